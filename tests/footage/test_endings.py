import io

import pytest
from clips import (
    CONTAINERS,
    clip,
    decoded,
    salvaged,
)

from glimpse.decoders.footage import containers
from glimpse.decoders.footage.endings import ends_early
from glimpse.decoders.footage.reader import Reader


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
            part = whole[: len(whole) * tenth // 10]
            found, code = salvaged(part, mode)
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


def early(data: bytes) -> bool:
    return ends_early(Reader(io.BytesIO(data)), data[: containers.HEAD])


def box(name: bytes, inside: int, size: int | None = None) -> bytes:
    return (8 + inside if size is None else size).to_bytes(4) + name + bytes(inside)


@pytest.mark.parametrize(
    ("whole", "reason"),
    [
        (box(b"ftyp", 12) + box(b"mdat", 500), "boxes"),
        (box(b"ftyp", 12) + (1).to_bytes(4) + b"mdat" + (516).to_bytes(8) + bytes(500), "a box with a long size"),
        (b"RIFF" + (504).to_bytes(4, "little") + b"AVI " + bytes(500), "a list"),
        (b"\x1aE\xdf\xa3\x84" + bytes(4) + b"\x18S\x80g\x41\xf4" + bytes(500), "elements"),
        (containers.ASF + (524).to_bytes(8, "little") + bytes(500), "an object"),
        ((b"G" + bytes(187)) * 8, "packets"),
        ((bytes(4) + b"G" + bytes(187)) * 8, "packets of a Blu-ray"),
        (b"OggS\0\4" + bytes(20) + b"\2\xff\x10" + bytes(271), "a last page"),
        (b"FLV\1\5" + b"\x09" + (50).to_bytes(3) + bytes(57) + (61).to_bytes(4), "a tag"),
    ],
)
def test_what_a_container_promises(whole, reason):
    assert not early(whole)
    for missing in (1, 7, 100):
        assert early(whole[:-missing]) or missing > len(whole) - 100


@pytest.mark.parametrize(
    "data",
    [
        b"\0\0\1\xba" + bytes(100),  # MPEG-PS
        box(b"ftyp", 12) + box(b"mdat", 500, size=0),  # up to the end, wherever that is
        box(b"ftyp", 12) + box(b"mdat", 500, size=7),  # no length
        b"RIFF\0\0\0\0AVI " + bytes(100),  # written to a pipe
        b"RIFF\xff\xff\xff\xffAVI " + bytes(100),
        b"\x1aE\xdf\xa3\x84" + bytes(4) + b"\x18S\x80g\x01" + b"\xff" * 7 + bytes(100),
        b"\x1aE\xdf\xa3",
        box(b"ftyp", 12) + box(b"mdat", 500) + b"junk behind the end",
    ],
)
def test_who_promises_nothing_cannot_end_early(data):
    assert not early(data)


def test_an_ogg_whose_last_page_is_not_marked_goes_on():
    assert early(b"OggS\0\0" + bytes(20) + b"\1\x10" + bytes(16))
    assert early(b"OggS")
