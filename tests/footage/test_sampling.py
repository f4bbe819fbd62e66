import math

import pytest

from glimpse.decoders.footage.sampling import Index, plan
from glimpse.values import Sampling


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
