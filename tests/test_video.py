import contextlib
import io
import math
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import shared
from glimpse.decoders import video
from glimpse.decoders.video import Film, Index, plan
from glimpse.errors import BadItem
from glimpse.values import FAILURE_CODES, Sampling

av = pytest.importorskip("av", reason="footage needs PyAV: pip install 'glimpse-search[video]'")

RATE = 25
CONTAINERS = [
    ("mp4", "libx264"),
    ("mov", "libx264"),
    ("matroska", "libx264"),
    ("webm", "libvpx"),
    ("avi", "mpeg4"),
    ("mpegts", "libx264"),
    ("mpeg", "mpeg2video"),
    ("flv", "libx264"),
    ("ogg", "libvpx"),
    ("asf", "wmv2"),
    ("mxf", "mpeg2video"),
]


def scene(seed: int, shift: int = 0, size: tuple[int, int] = (96, 64)) -> np.ndarray:
    """Coloured blocks that move to the right; another seed is another place."""
    blocks = np.random.default_rng(seed).integers(0, 256, (8, 12, 3), np.uint8)
    picture = np.kron(blocks, np.ones((16, 16, 1), np.uint8))
    return np.ascontiguousarray(np.roll(picture, shift, 1)[: size[1], : size[0]])


def moving(count: int, size: tuple[int, int] = (96, 64)) -> list[np.ndarray]:
    return [scene(0, place * 3, size) for place in range(count)]


def plain(colour: int) -> np.ndarray:
    return np.full((64, 96, 3), colour, np.uint8)


def clip(
    kind: str = "mp4",
    codec: str = "libx264",
    frames=None,
    *,
    times=None,
    gop: int = 12,
    pixels: str = "yuv420p",
    options: dict[str, str] | None = None,
    prepare=lambda _: None,
    fill=lambda _: None,
    sound: float = 0.0,
    to=None,
    **muxing: str,
) -> bytes:
    """A film made by PyAV; `times` are multiples of 1/25 s."""
    frames = moving(50) if frames is None else frames
    file = io.BytesIO()
    with av.open(to or file, "w", format=kind, options=muxing) as container:
        stream = container.add_stream(codec, rate=RATE, options=options or {})
        first = frames[0]
        stream.height, stream.width = first.shape[:2] if isinstance(first, np.ndarray) else (first.height, first.width)
        stream.pix_fmt, stream.gop_size = pixels, gop
        prepare(stream)
        voice = container.add_stream("aac", rate=44100) if sound else None
        for time, array in zip(times or range(len(frames)), frames, strict=True):
            frame = array if isinstance(array, av.VideoFrame) else av.VideoFrame.from_ndarray(array, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, RATE)
            fill(frame)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if voice:
            speak(container, voice, sound)
    return Path(to).read_bytes() if to else file.getvalue()


def speak(container, stream, seconds: float) -> None:
    for start in range(0, int(seconds * 44100), 1024):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.pts, frame.sample_rate, frame.time_base = start, 44100, Fraction(1, 44100)
        container.mux(stream.encode(frame))
    container.mux(stream.encode())


def wanted(mode: str, seconds: float | None) -> Sampling:
    return Sampling(mode, seconds or (10.0 if mode == "shots" else 0.2))


def sampled(data: bytes, mode: str = "every", seconds: float | None = None) -> list[tuple[float, Image.Image]]:
    with Film(io.BytesIO(data)) as film:
        return list(film.frames(wanted(mode, seconds)))


def times(found) -> list[float]:
    return [time for time, _ in found]


def salvaged(data: bytes, mode: str = "every") -> tuple[list[float], str | None]:
    """The times that were found, and the code of what was raised then, if anything was."""
    found = []
    try:
        with Film(io.BytesIO(data)) as film:
            for time, _ in film.frames(wanted(mode, None)):
                found.append(time)
    except BadItem as error:
        return found, checked(error).code
    return found, None


def checked(error: BadItem) -> BadItem:
    assert error.message == FAILURE_CODES[error.code]
    return error


def decoded(data: bytes) -> list[float]:
    with av.open(io.BytesIO(data)) as container:
        return [frame.time for frame in container.decode(container.streams.best("video"))]


def shown(times: list[float], seconds: float, end: float) -> list[float]:
    """What is on screen at each multiple of `seconds`, the slow way."""
    targets = [times[0] + step * seconds for step in range(1000) if times[0] + step * seconds < end]
    return sorted({max(time for time in times if time <= target + 1e-6) for target in targets})


def near(one, other) -> float:
    """The mean difference of two pictures, of 255."""
    return float(np.abs(np.asarray(one, np.int16) - np.asarray(other, np.int16)).mean())


# Containers and streams


@pytest.mark.parametrize(("kind", "codec"), CONTAINERS)
def test_every_container(kind, codec):
    data = clip(kind, codec)
    assert video.recognises(data[: video.HEAD])
    expected = decoded(data)
    with Film(io.BytesIO(data)) as film:
        assert film.duration == pytest.approx(2.0, abs=0.6)
        found = list(film.frames(Sampling("every", 0.2)))
        assert times(found) == shown(expected, 0.2, expected[-1] + 0.04)
        assert all(near(picture, scene(0, 3 * round((time - expected[0]) * RATE))) < 25 for time, picture in found)
        for time, picture in found[::3]:
            assert near(film.at(round(time, 3)), picture) == 0


@pytest.mark.parametrize(
    "head",
    [b"", b"text " * 900, b"\0\0\0 ftypheic\0\0\0\0mif1heic", b"\0\0\0 ftypavif\0\0\0\0", b"#EXTM3U\n", b"RIFF\0\0\0\0WAVE",
     b"OggS" + b"\0" * 24 + b"OpusHead", b"ID3\4", b"G" * 100, b"PK\3\4" * 99, b"\0\0\0 ftypM4A \0\0\0\0"],
)  # fmt: skip
def test_what_is_no_film(head):
    assert not video.recognises(head)
    assert salvaged(head) == ([], "unsupported-format" if head else "empty")


@pytest.mark.parametrize("step", [188, 192])
def test_transport_streams_are_told_by_their_rhythm(step):
    packet = b"\0" * (step - 188) + b"G" + b"\7" * 187
    assert video.recognises(packet * 8)
    assert not video.recognises(packet * 2)


def test_a_film_is_recognised_without_pyav(monkeypatch):
    data = clip()
    monkeypatch.setitem(sys.modules, "av", None)
    assert video.recognises(data)


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
    monkeypatch.setattr(video, "recognises", lambda _: True)  # FFmpeg refuses it, too
    assert salvaged(data) == ([], "corrupt")


def test_only_the_listed_containers_are_opened():
    with pytest.raises((av.FFmpegError, ValueError)):
        av.open(io.BytesIO(clip("nut", "ffv1")), options=dict(video._OPTIONS))


def test_a_file_that_cannot_be_read():
    class Failing(io.BytesIO):
        left = 3

        def read(self, count=-1):
            self.left -= 1
            if self.left < 0:
                raise OSError(5, "disk")
            return super().read(count)

    for left in (0, 1, 3, 9):
        file = Failing(clip("mpegts", frames=moving(120, (192, 128))))
        file.left = left
        with pytest.raises(BadItem) as caught, Film(file) as film:
            list(film.frames(Sampling("every", 0.2)))
        assert caught.value.code == "unreadable"


def test_a_huge_picture_is_refused(monkeypatch):
    monkeypatch.setattr(video, "MAX_PIXELS", 5000)
    assert salvaged(clip()) == ([], "bomb")


def test_memory_that_is_not_there(monkeypatch):
    def fail(*_, **__):
        raise MemoryError

    data = clip()
    monkeypatch.setattr(av, "open", fail)
    assert salvaged(data) == ([], "memory")


def test_a_sign_of_life_is_given():
    signs = []
    with Film(io.BytesIO(clip())) as film:
        list(film.frames(Sampling("shots"), lambda: signs.append(1)))
    assert len(signs) >= 50


# Time


def test_a_variable_frame_rate():
    data = clip("matroska", times=[0, 1, 2, 10, 11, 30, 31, 32, 60, 100], frames=moving(10))
    assert times(sampled(data, "every", 0.4)) == shown(decoded(data), 0.4, 4.04)
    path = shared("data/video") / "var_fps_video.mp4"
    found = times(sampled(path.read_bytes(), "every", 0.5))
    assert found == [time for time in shown(decoded(path.read_bytes()), 0.5, 14.9333) if time in found]
    assert len(found) > 20


def test_steps_of_no_length_are_every_frame():
    with Film(io.BytesIO(clip(frames=moving(10)))) as film:
        assert len(list(film.frames(Sampling("every", 0.0)))) == 10


def test_keyframes():
    data = clip(gop=10, options={"sc_threshold": "0"})
    assert times(sampled(data, "keyframes")) == pytest.approx([0.0, 0.4, 0.8, 1.2, 1.6])


def test_gaps_are_no_work_for_seeking():
    data = clip("matroska", times=[0, 1, 2, 3, 100_000, 100_001], frames=moving(6))
    with Film(io.BytesIO(data)) as film:
        found = [list(film._sampled(Sampling("every", 0.08), way, lambda: None)) for way in ("sequential", "seeking")]
    assert times(found[0]) == times(found[1]) == [0.0, 0.08, 0.12, 4000.0]


@pytest.mark.parametrize("kind", ["mp4", "matroska", "avi"])
@pytest.mark.parametrize("seconds", [0.1, 0.37, 1.0])
def test_every_strategy_finds_the_same_frames(kind, seconds):
    data = clip(kind, "mpeg4" if kind == "avi" else "libx264", moving(80))
    with Film(io.BytesIO(data)) as film:
        slow, quick = (
            list(film._sampled(Sampling("every", seconds), way, lambda: None)) for way in ("sequential", "seeking")
        )
    assert times(slow) == times(quick) == shown(decoded(data), seconds, 3.2)
    assert all(near(one, other) == 0 for (_, one), (_, other) in zip(slow, quick, strict=True))


def test_open_groups_of_pictures_can_be_sought():
    data = clip(frames=moving(80), options={"x264-params": "open-gop=1:bframes=3:keyint=12:min-keyint=12:scenecut=0"})
    with Film(io.BytesIO(data)) as film:
        for place in range(0, 80, 7):
            assert near(film.at(round(place / RATE, 3)), scene(0, place * 3)) < 25
        assert near(film.at(-5), scene(0)) < 25
        assert near(film.at(99), scene(0, 79 * 3)) < 25


@pytest.mark.parametrize(
    "name", ["nasa_13013.mp4", "av1_video.mkv", "h265_video.mp4", "h264_10bits.mp4", "dog_eating_854132.mp4"]
)
def test_real_films_are_found_again_at_their_rounded_times(name):
    with (shared("data/video") / name).open("rb") as file, Film(file) as film:
        found = list(film.frames(Sampling("every", 0.9)))
        for time, picture in found[:4]:
            assert near(film.at(round(time, 3)), picture) == 0


# Which frames


def even(count: int, gop: float, rate: int = 25) -> Index:
    stamps = [place / rate for place in range(count)]
    return Index(stamps, [key * gop for key in range(math.ceil(count / rate / gop))])


SMALL, LARGE = 640 * 360, 1920 * 1080


@pytest.mark.parametrize(
    ("sampling", "index", "pixels", "strategy"),
    [
        (Sampling("keyframes"), Index((), ()), LARGE, "keyframes"),
        (Sampling("every", 1.0), even(5000, 2.0), LARGE, "sequential"),
        (Sampling("every", 10.0), even(5000, 2.0), LARGE, "seeking"),
        (Sampling("every", 2.0), even(5000, 2.0), LARGE, "seeking"),  # every target is a keyframe
        (Sampling("every", 7.0), even(5000, 100.0), LARGE, "sequential"),
        (Sampling("every", 1.0), Index((), ()), LARGE, "sequential"),
        (Sampling("shots"), even(500, 3.0), SMALL, "sequential"),  # a short clip: all of it
        (Sampling("shots"), even(500, 1.0), SMALL, "keyframes"),  # as near as frames are kept
        (Sampling("shots"), even(50_000, 8.0), LARGE, "keyframes"),
        (Sampling("shots"), even(50_000, 10.4), LARGE, "keyframes"),  # 250 frames at 24 a second
        (Sampling("shots"), even(50_000, 30.0), LARGE, "sequential"),
        (Sampling("shots", 2.0), even(50_000, 8.0), LARGE, "sequential"),
        (Sampling("shots"), Index(even(50_000, 8.0).times, [0.0, 8.0]), LARGE, "sequential"),
        (Sampling("shots"), Index((), ()), LARGE, "sequential"),
    ],
)
def test_the_cheapest_way_is_planned(sampling, index, pixels, strategy):
    assert plan(sampling, index, pixels, seekable=True) == strategy
    assert plan(sampling, index, pixels, seekable=False) == ("sequential" if strategy == "seeking" else strategy)


def test_shots_are_found():
    frames = [scene(shot) for shot, length in enumerate((60, 45, 80, 30)) for _ in range(length)]
    found = sampled(clip(frames=frames, gop=300, options={"sc_threshold": "0"}), "shots")
    cuts = [0, 60 / RATE, 105 / RATE, 185 / RATE]
    assert len(found) == 4
    for shot, (time, picture) in enumerate(found):
        assert cuts[shot] <= time < cuts[shot] + 0.21
        assert near(picture, scene(shot)) < 25


@pytest.mark.parametrize("gop", [25, 2000])
def test_a_long_moving_shot_has_a_frame_every_ten_seconds(gop):
    frames = [np.roll(scene(3) // 4 + 80, place // 8, 1) for place in range(25 * 40)]
    found = times(sampled(clip(frames=frames, gop=gop, options={"sc_threshold": "0", "preset": "ultrafast"}), "shots"))
    assert found == pytest.approx([0, 10, 20, 30])


@pytest.mark.parametrize(("kind", "codec"), CONTAINERS)
def test_shots_are_found_in_every_container(kind, codec):
    frames = [scene(shot) for shot in range(3) for _ in range(40)]
    found = sampled(clip(kind, codec, frames=frames), "shots")
    assert len(found) == 3
    assert all(near(picture, scene(shot)) < 25 for shot, (_, picture) in enumerate(found))


def test_no_two_shots_within_a_second():
    frames = [scene(place // 5) for place in range(100)]
    found = times(sampled(clip(frames=frames), "shots"))
    assert 3 <= len(found) <= 5
    assert np.diff(found).min() >= 1 - 1e-6


@pytest.mark.parametrize("mode", ["shots", "keyframes", "every"])
def test_blank_frames_and_the_same_again_are_left_out(mode):
    frames = [plain(0)] * 30 + [scene(1)] * 60 + [plain(255)] * 30 + [scene(2)] * 60
    found = sampled(clip(frames=frames, gop=15), mode)
    assert len(found) == 2
    assert near(found[0][1], scene(1)) < 25
    assert near(found[1][1], scene(2)) < 25


@pytest.mark.parametrize("mode", ["shots", "keyframes", "every"])
def test_of_a_film_that_is_all_blank_the_first_frame_is_kept(mode):
    (time, picture), = sampled(clip(frames=[plain(0)] * 30), mode)  # fmt: skip
    assert time == 0
    assert np.asarray(picture).max() < 8


def test_fine_patterns_are_not_blank():
    grain = np.random.default_rng(0).integers(90, 166, (64, 96, 1), np.uint8).repeat(3, 2)
    found = sampled(clip(frames=[scene(1)] * 30 + [grain] * 30, options={"crf": "10"}), "every", 1.3)
    assert len(found) == 2


# How they look


ROTATIONS = [
    (90, False, False),
    (180, False, False),
    (270, False, False),
    (0, True, False),
    (0, False, True),
    (90, True, False),
]


@pytest.mark.parametrize(("degrees", "across", "down"), ROTATIONS)
def test_the_right_way_up(degrees, across, down):
    upright = clip("mov", "qtrle", [scene(1)] * 3, pixels="rgb24")
    turned = clip(
        "mov", "qtrle", [scene(1)] * 3, pixels="rgb24",
        prepare=lambda stream: stream.set_display_rotation(degrees, hflip=across, vflip=down),
    )  # fmt: skip
    (_, plain_picture), = sampled(upright)  # fmt: skip
    (_, picture), = sampled(turned)  # fmt: skip
    with av.open(io.BytesIO(turned)) as container:
        frame = next(container.decode(video=0))
        a, b, _, c, d = np.frombuffer(bytes(frame.side_data["DISPLAYMATRIX"]), np.int32)[:5] // 65536
    stored = np.asarray(plain_picture)
    ys, xs = np.mgrid[: stored.shape[0], : stored.shape[1]]
    x, y = a * xs + c * ys, b * xs + d * ys
    expected = np.zeros(((np.ptp(y) + 1), (np.ptp(x) + 1), 3), np.uint8)
    expected[y - y.min(), x - x.min()] = stored
    assert np.array_equal(np.asarray(picture), expected)


def test_turned_upright_before_it_is_compared():
    lying = [np.ascontiguousarray(np.rot90(scene(5))) for _ in range(3)]
    (_, picture), = sampled(clip(frames=lying, prepare=lambda stream: stream.set_display_rotation(-90)))  # fmt: skip
    assert picture.size == (96, 64)
    assert near(picture, scene(5)) < 25


@pytest.mark.parametrize(
    ("aspect", "size"), [((4, 3), (128, 64)), ((1, 2), (96, 128)), ((1, 1), (96, 64)), ((5000, 1), (96, 64))]
)
def test_pixels_are_made_square(aspect, size):
    def prepare(stream):
        stream.codec_context.sample_aspect_ratio = Fraction(*aspect)

    (_, picture), = sampled(clip(frames=[scene(1)] * 2, prepare=prepare))  # fmt: skip
    assert picture.size == size


def test_pixels_are_stretched_before_the_picture_is_turned():
    def prepare(stream):
        stream.codec_context.sample_aspect_ratio = Fraction(2)
        stream.set_display_rotation(90)

    (_, picture), = sampled(clip(frames=[scene(1)] * 2, prepare=prepare))  # fmt: skip
    assert picture.size == (64, 192)


def corners(height: int = 64, width: int = 96) -> np.ndarray:
    colours = np.array([[(200, 40, 30), (30, 180, 60)], [(20, 60, 220), (128, 128, 128)]], np.uint8)
    return np.kron(colours, np.ones((height // 2, width // 2, 1), np.uint8))


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv444p10le", "yuv422p"])
@pytest.mark.parametrize("spread", [1, 2])  # limited, full
@pytest.mark.parametrize(
    ("matrix", "tag", "height"), [(1, 1, 64), (5, 5, 64), (5, 6, 64), (9, 9, 64), (5, 2, 64), (1, 2, 720)]
)
def test_colours(pixels, spread, matrix, tag, height):
    """Tagged films as their tags say; those without: high definition as BT.709, else as BT.601."""
    array = corners(height)
    frame = av.VideoFrame.from_ndarray(array, format="rgb24")
    frame = frame.reformat(format=pixels, dst_colorspace=matrix, dst_color_range=spread)

    def prepare(stream):
        stream.codec_context.colorspace, stream.codec_context.color_range = tag, spread

    def fill(frame):
        frame.colorspace, frame.color_range = tag, spread

    (_, picture), = sampled(clip("matroska", "ffv1", [frame], pixels=pixels, prepare=prepare, fill=fill))  # fmt: skip
    inside = np.s_[height // 4 :: height // 2, 24::48]
    assert np.abs(np.asarray(picture, np.int16)[inside] - array.astype(np.int16)[inside]).max() <= 4


# Damage


@pytest.mark.parametrize(
    ("kind", "codec", "muxing"),
    [
        ("mp4", "libx264", {"movflags": "faststart"}),
        ("mp4", "libx264", {"movflags": "frag_keyframe+empty_moov"}),
        *((kind, codec, {}) for kind, codec in CONTAINERS),
    ],
)
def test_a_film_cut_at_every_tenth(kind, codec, muxing, tmp_path):
    whole = clip(kind, codec, to=str(tmp_path / "film"), **muxing)
    complete, code = salvaged(whole)
    every = set(decoded(whole))
    assert code is None
    counts = []
    for tenth in range(1, 10):
        for mode in ("every", "keyframes", "shots") if tenth == 7 else ("every",):
            found, code = salvaged(whole[: len(whole) * tenth // 10], mode)
            if kind not in {"mpegts", "mpeg"} or not found:  # a stream without a beginning and an end
                assert code in {"truncated", "corrupt", "empty"}
            assert kind != "mp4" or code in {"truncated", "corrupt"}
            assert set(found) <= every
        counts.append(len(found))
    if muxing or kind not in {"mp4", "mov"}:  # those without the list at their end are as good as empty
        assert len(complete) >= counts[-1] > counts[5] > 0


def test_longer_sound_is_no_truncation(tmp_path):
    for kind, codec in CONTAINERS:
        if kind in {"mp4", "mov", "matroska", "flv", "mpegts"}:
            assert salvaged(clip(kind, codec, sound=6.0))[1] is None


def test_real_films_are_whole():
    for path in shared("data/video").iterdir():
        if path.suffix in {".mp4", ".mkv"}:
            found, code = salvaged(path.read_bytes(), "shots")
            assert found
            assert code is None


@pytest.mark.parametrize(("kind", "codec"), CONTAINERS)
def test_flipped_bytes_end_in_a_code_or_in_frames(kind, codec):
    whole = clip(kind, codec, moving(20))
    places = np.random.default_rng(len(kind)).integers(0, len(whole), 40)
    for number, place in enumerate(places):
        data = bytearray(whole)
        data[place] ^= 0xFF
        found, code = salvaged(bytes(data), ("every", "keyframes", "shots")[number % 3])
        assert found or code
        if number % 5 == 0:
            with contextlib.suppress(BadItem), Film(io.BytesIO(bytes(data))) as film:
                film.at(0.4)


def test_what_is_behind_the_damage_is_found_too():
    whole = bytearray(clip("mpegts", frames=moving(100)))
    middle = len(whole) // 376 * 188
    whole[middle : middle + 188] = bytes(188)
    found, code = salvaged(bytes(whole))
    assert code == "corrupt"
    assert found[0] < 0.5
    assert found[-1] > 3.5
