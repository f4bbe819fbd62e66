import contextlib
import io
import math
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
import numpy as np
import pytest
from PIL import Image
from glimpse.decoders.footage.containers import recognises


@pytest.mark.parametrize(
    "head",
    [b"", b"text " * 900, b"\0\0\0 ftypheic\0\0\0\0mif1heic", b"\0\0\0 ftypavif\0\0\0\0", b"#EXTM3U\n", b"RIFF\0\0\0\0WAVE",
     b"OggS" + b"\0" * 24 + b"OpusHead", b"ID3\4", b"G" * 100, b"PK\3\4" * 99, b"\0\0\0 ftypM4A \0\0\0\0"],
)  # fmt: skip
def test_what_is_no_film(head):
    assert not recognises(head)
    assert salvaged(head) == ([], "unsupported-format" if head else "empty")


@pytest.mark.parametrize("step", [188, 192])
def test_transport_streams_are_told_by_their_rhythm(step):
    packet = b"\0" * (step - 188) + b"G" + b"\7" * 187
    assert recognises(packet * 8)
    assert not recognises(packet * 2)
