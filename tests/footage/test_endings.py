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
from clips import (
    CONTAINERS,
    RATE,
    av,
    clip,
    decoded,
    moving,
    near,
    plain,
    salvaged,
    sampled,
    scene,
    shown,
    speak,
    times,
)
from conftest import shared
from glimpse.decoders import video
from glimpse.decoders.footage import looks, opening, track
from glimpse.decoders.footage.sampling import Index, plan
from glimpse.decoders.video import Film
from glimpse.errors import BadItem
from glimpse.values import Sampling


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
