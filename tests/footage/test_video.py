import contextlib
import io
import re
import sys

import numpy as np
import pytest
from clips import (
    CONTAINERS,
    RATE,
    av,
    clip,
    decoded,
    moving,
    near,
    salvaged,
    sampled,
    scene,
    shown,
    times,
)

from conftest import shared
from glimpse.decoders import video
from glimpse.decoders.video import Film
from glimpse.errors import BadItem
from glimpse.values import Sampling


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


def test_a_sign_of_life_is_given():
    signs = []
    with Film(io.BytesIO(clip())) as film:
        list(film.frames(Sampling("shots"), lambda: signs.append(1)))
    assert len(signs) >= 50


def test_steps_of_no_length_are_every_frame():
    with Film(io.BytesIO(clip(frames=moving(10)))) as film:
        assert len(list(film.frames(Sampling("every", 0.0)))) == 10


def test_keyframes():
    data = clip(gop=10, options={"sc_threshold": "0"})
    assert times(sampled(data, "keyframes")) == pytest.approx([0.0, 0.4, 0.8, 1.2, 1.6])


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


def test_versions_are_those_of_pyav_and_of_ffmpeg():
    assert re.fullmatch(r"PyAV \d+\.\d+\S*, libavcodec \d+\.\d+\.\d+, libavformat \d+\.\d+\.\d+", video.versions())
    assert av.__version__ in video.versions()


def test_versions_of_what_is_not_there(monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImportError):
        video.versions()
