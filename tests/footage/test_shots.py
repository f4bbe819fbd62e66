import numpy as np
import pytest
from clips import (
    CONTAINERS,
    RATE,
    clip,
    near,
    plain,
    sampled,
    scene,
    times,
)


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
