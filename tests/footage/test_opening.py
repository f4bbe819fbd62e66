import io

import pytest
from clips import (
    av,
    clip,
    salvaged,
    scene,
    speak,
)

from conftest import shared
from glimpse.decoders.footage import opening, track
from glimpse.decoders.video import Film


def test_the_default_stream_is_taken():
    path = shared("data/video") / "nasa_13013.mp4"
    with path.open("rb") as file, Film(file) as film:
        assert film.duration == pytest.approx(13.013)
        assert film.at(0.0).size == (480, 270)


def test_sound_alone_and_covers_are_no_films(tmp_path):
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        speak(container, container.add_stream("aac", rate=44100), 0.5)
    assert salvaged(file.getvalue()) == ([], "unsupported-format")
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w", format="mp4") as container:
        voice = container.add_stream("aac", rate=44100)
        cover = container.add_stream("mjpeg", rate=1)
        cover.height, cover.width, cover.pix_fmt = 64, 96, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        container.mux(cover.encode(av.VideoFrame.from_ndarray(scene(0), format="rgb24").reformat(format="yuvj420p")))
        speak(container, voice, 0.5)
    assert salvaged(path.read_bytes()) == ([], "unsupported-format")


@pytest.mark.parametrize(
    "text", ["#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1,\nfile://{}\n", "ffconcat version 1.0\nfile {}\n"]
)
def test_files_that_name_others_are_refused(tmp_path, text, monkeypatch):
    path = tmp_path / "other.ts"
    path.write_bytes(clip("mpegts"))
    data = text.format(path).encode()
    assert salvaged(data) == ([], "unsupported-format")
    monkeypatch.setattr(track, "recognises", lambda _: True)  # FFmpeg refuses it, too
    assert salvaged(data) == ([], "corrupt")


def test_only_the_listed_containers_are_opened():
    with pytest.raises((av.FFmpegError, ValueError)):
        av.open(io.BytesIO(clip("nut", "ffv1")), options=dict(opening.OPTIONS))


def test_a_huge_picture_is_refused(monkeypatch):
    monkeypatch.setattr(opening, "MAX_PIXELS", 5000)
    assert salvaged(clip()) == ([], "bomb")


def test_memory_that_is_not_there(monkeypatch):
    def fail(*_, **__):
        raise MemoryError

    data = clip()
    monkeypatch.setattr(av, "open", fail)
    assert salvaged(data) == ([], "memory")
