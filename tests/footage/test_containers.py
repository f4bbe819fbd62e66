import io
import subprocess
import sys

import pytest

from glimpse.decoders.footage import containers
from glimpse.decoders.footage.containers import recognises
from glimpse.decoders.video import Film
from glimpse.errors import BadItem


@pytest.mark.parametrize(
    "head",
    [b"", b"text " * 900, b"\0\0\0 ftypheic\0\0\0\0mif1heic", b"\0\0\0 ftypavif\0\0\0\0", b"#EXTM3U\n", b"RIFF\0\0\0\0WAVE",
     b"OggS" + b"\0" * 24 + b"OpusHead", b"ID3\4", b"G" * 100, b"PK\3\4" * 99, b"\0\0\0 ftypM4A \0\0\0\0"],
)  # fmt: skip
def test_what_is_no_film(head):
    assert not recognises(head)
    with pytest.raises(BadItem) as caught:
        Film(io.BytesIO(head))
    assert caught.value.code == ("unsupported-format" if head else "empty")


@pytest.mark.parametrize(
    "head",
    [b"\0\0\0 ftypisom", b"\0\0\0 ftypqt  ", b"\0\0\0\x08wide", b"\x1aE\xdf\xa3", b"RIFF\0\0\0\0AVI LIST", b"FLV\1\5", b"\0\0\1\xbaD",
     b"OggS" + b"\0" * 24 + b"\x80theora", b"OggS" + b"\0" * 24 + b"OVP80", containers.ASF],
)  # fmt: skip
def test_what_may_be_a_film(head):
    assert recognises(head)


@pytest.mark.parametrize("step", [188, 192])
def test_transport_streams_are_told_by_their_rhythm(step):
    packet = b"\0" * (step - 188) + b"G" + b"\7" * 187
    assert recognises(packet * 8)
    assert not recognises(packet * 2)


def test_a_film_is_recognised_without_pyav():
    code = """
import sys
sys.modules["av"] = None  # an import of it fails
from glimpse.decoders import video
assert video.recognises(b"FLV\\1")
try:
    video.Film(__import__("io").BytesIO(b"FLV\\1"))
except ImportError:
    print("needed now")
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert found.stdout == "needed now\n"
