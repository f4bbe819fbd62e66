"""The cheapest way to the wanted frames of a film, by what is known of its packets.

    keyframes    only the frames stored whole are decoded
    seeking      for each wanted frame: from the keyframe before it to the frame
    sequential   every frame is decoded

Knows times and counts; neither PyAV nor pictures.
"""

import itertools
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from glimpse.values import Sampling

Strategy = Literal["keyframes", "seeking", "sequential"]

EPSILON = 1e-6  # seconds: two times nearer than this are one, whatever the rounding
_SEEK = 8  # packets: what a seek costs, as decoding goes
_FAR_FEWER = 2  # seeking must save more than half of the decoding; its estimate is rough
_SLACK = 1.25  # keyframes may be so much further apart: encoders' usual 250 frames are 10.4 s at 24 a second
_DENSE = 2.0  # seconds: with keyframes so near, no shot worth a picture lies between two
_LIGHT = 1e9  # pixels: decoding so many takes a few seconds


@dataclass(frozen=True, slots=True)
class Index:
    """What is known of a film before it is decoded.

    Attributes:
        times: seconds of every packet in decoding order, rising; estimates where the container lists keyframes only.
        keys: seconds of the keyframes among them.
    """

    times: Sequence[float]
    keys: Sequence[float]

    @property
    def widest(self) -> float:
        """The longest stretch without a keyframe, in seconds, the one up to the end included."""
        marks = [*self.times[:1], *self.keys, *self.times[-1:]]
        return max((after - before for before, after in itertools.pairwise(marks)), default=0.0)

    def decoded(self, target: float) -> int:
        """How many packets lie between the keyframe before a time and that time."""
        key = bisect_right(self.keys, target + EPSILON) - 1
        start = bisect_right(self.times, self.keys[key] - EPSILON) if key >= 0 else 0
        return bisect_right(self.times, target + EPSILON) - start


def plan(sampling: Sampling, index: Index, pixels: int, *, seekable: bool) -> Strategy:
    """The cheapest way that finds the wanted frames.

    - "keyframes": the keyframes are what is decoded.
    - "every": seeking, where the packets from each keyframe to its target, and 8 for each seek, are less than half of all.
    - "shots": keyframes suffice where they are at most `seconds` (and a quarter) apart; but where they are more than 2 s
      apart and the whole film is decoded in a few seconds (10⁹ pixels), it is, so that short clips lose no shot.

    Args:
        sampling: what is wanted.
        index: the film's packets.
        pixels: of one frame.
        seekable: whether the container has an index of its own, so that seeks land where they should.
    """
    if sampling.mode == "keyframes":
        return "keyframes"
    if sampling.mode == "every":
        return "seeking" if seekable and _seeking_pays(sampling.seconds, index) else "sequential"
    light = len(index.times) * pixels <= _LIGHT
    suffice = index.widest <= _DENSE or (not light and index.widest <= sampling.seconds * _SLACK)
    return "keyframes" if index.keys and suffice else "sequential"


def _seeking_pays(seconds: float, index: Index) -> bool:
    affordable = len(index.times) / _FAR_FEWER
    cost = 0
    for target in _targets(index.times[0] if index.times else 0.0, seconds):
        if not index.keys or target > index.times[-1] or cost > affordable:
            break
        cost += index.decoded(target) + _SEEK
    return bool(index.keys) and cost < affordable


def _targets(first: float, seconds: float) -> Iterator[float]:
    return (first + step * seconds for step in itertools.count())
