import io

import pytest
from clips import (
    RATE,
    clip,
    decoded,
    moving,
    near,
    sampled,
    scene,
    shown,
    times,
)

from conftest import shared
from glimpse.decoders.video import Film
from glimpse.values import Sampling


def test_a_variable_frame_rate():
    data = clip("matroska", times=[0, 1, 2, 10, 11, 30, 31, 32, 60, 100], frames=moving(10))
    assert times(sampled(data, "every", 0.4)) == shown(decoded(data), 0.4, 4.04)
    path = shared("data/video") / "var_fps_video.mp4"
    found = times(sampled(path.read_bytes(), "every", 0.5))
    assert found == [time for time in shown(decoded(path.read_bytes()), 0.5, 14.9333) if time in found]
    assert len(found) > 20


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
