"""Towers in 8-bit integers for OpenVINO: what flows into every matrix product is watched on pictures, then rounded.

Activations are rounded to 256 steps of the range that was seen, a range for each product; weights to 255 steps, a scale for each of
a product's outputs. Before that, part of every input channel's size is moved from the activations to the weights (SmoothQuant,
Xiao et al., 2023, arXiv 2211.10438), for some channels of a trained tower are a hundred times as large as others. Patches, the
attention itself, and what is computed for single tokens stay in floating point. Knows no model.
"""

from collections.abc import Mapping
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from glimpse.errors import UsageError
from glimpse.runtimes import Array, Tensor, Tower
from glimpse.runtimes.openvino import OpenvinoOps, op, ov
from glimpse.values import Pixels

Range = tuple[Array, Array]
"""The least and the largest that every channel (width,) had where a matrix product begins."""

_SMOOTH = 0.5  # how much of a channel's size is moved: SmoothQuant's usual share
_LEAST = 1e-5  # of a channel's size; what is never anything must not become everything
_STEPS, _WEIGHT_STEPS = 256, 127
_TOGETHER = 8  # pictures watched in one run
_TOKENS_AXIS = 3  # the rank of (n, tokens, width): where it is worth it


class Watched(OpenvinoOps):
    """Ops that also give what flows into every matrix product over tokens: its least and its largest, by channel."""

    def __init__(self) -> None:
        self.seen: list[Tensor] = []

    def linear(self, x: Tensor, weight: Array, bias: Array | None = None) -> Tensor:
        if _over_tokens(x):
            both = np.array([0, 1], np.int64)
            self.seen += [op.reduce_min(x, both, keep_dims=False), op.reduce_max(x, both, keep_dims=False)]
        return super().linear(x, weight, bias)


class Rounded(OpenvinoOps):
    """Ops whose matrix products over tokens are of integers."""

    def __init__(self, tower: Tower) -> None:
        """Take the ranges that the tower was calibrated by, in the order in which `Watched` saw them."""
        self._tower = tower
        self._ranges = iter(_ranges(needed(tower)))

    def linear(self, x: Tensor, weight: Array, bias: Array | None = None) -> Tensor:
        if not _over_tokens(x):
            return super().linear(x, weight, bias)
        low, high = next(self._ranges, (np.empty(0), np.empty(0)))
        if not low.shape == high.shape == weight.shape[1:]:
            raise _damaged(self._tower)
        sizes = _moved(np.maximum(-low, high), weight)
        x = op.multiply(x, _number(1 / sizes))
        x = _steps(x, float((low / sizes).min()), float((high / sizes).max()))
        y = op.matmul(x, _integers(weight * sizes), transpose_a=False, transpose_b=True)
        return y if bias is None else op.add(y, _number(bias))


def watch(tower: Tower, pixels: Pixels) -> dict[str, Array]:
    """Run a tower over uint8 (n, size, size, 3) and say what `Rounded` wants to know, by the names of an .npz file."""
    ops, size = Watched(), tower.card.pixels.size
    batch = op.parameter(ov.PartialShape([-1, size, size, 3]), ov.Type.u8, name="image")
    rows = tower.function(ops, tower.weights(), tower.card, batch)
    graph = ov.Model([op.result(rows), *(op.result(node) for node in ops.seen)], [batch], "watched")
    run = ov.Core().compile_model(graph, "CPU")
    found: list[NDArray[Any]] = []
    for start in range(0, len(pixels), _TOGETHER):
        values = list(run([pixels[start : start + _TOGETHER]]).values())[1:]
        found = [_wider(place, *pair) for place, pair in enumerate(zip(found or values, values, strict=True))]
    return {f"{'high' if place % 2 else 'low'}.{place // 2}": value for place, value in enumerate(found)}


def _ranges(kept: Mapping[str, Array]) -> list[Range]:
    """What `watch` found, in order."""
    return [
        (kept[f"low.{place}"], kept[f"high.{place}"])
        for place in range(len(kept) // 2)
        if {f"low.{place}", f"high.{place}"} <= set(kept)
    ]


def needed(tower: Tower) -> Mapping[str, Array]:
    """Read what was kept of `watch`.

    Raises:
        UsageError: nothing was, or it is damaged.
    """
    if tower.calibration is None or not tower.calibration.is_file():
        raise UsageError(
            "int8 has to see some of your pictures first: run `glimpse verify` with this model and pictures, or Encoder.calibrate"
        )
    try:
        with np.load(tower.calibration) as kept:
            return dict(kept)
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise _damaged(tower) from error


def _damaged(tower: Tower) -> UsageError:
    return UsageError(f"{tower.calibration} is damaged or of another version: delete it and run `glimpse verify` again")


def _wider(place: int, known: NDArray[Any], new: NDArray[Any]) -> NDArray[Any]:
    return np.asarray((np.minimum, np.maximum)[place % 2](known, new))


def _over_tokens(x: Tensor) -> bool:
    return bool(x.get_output_partial_shape(0).rank.get_length() == _TOKENS_AXIS)


def _moved(activations: Array, weight: Array) -> Array:
    """By what to divide every input channel, and to multiply its weights: → (in,)."""
    mine, theirs = np.maximum(activations, _LEAST), np.maximum(np.abs(weight).max(0), _LEAST)
    return np.asarray(mine**_SMOOTH / theirs ** (1 - _SMOOTH), np.float32)


def _steps(x: Tensor, low: float, high: float) -> Tensor:
    """Round to 256 steps from low to high, one of which is 0."""
    low, high = min(low, -_LEAST), max(high, _LEAST)
    step = (high - low) / (_STEPS - 1)
    below = round(-low / step)
    ends = [_number(np.array(value, np.float32)) for value in (-below * step, (_STEPS - 1 - below) * step)]
    return op.fake_quantize(x, *ends, *ends, _STEPS)


def _integers(weight: Array) -> Tensor:
    """A matrix (out, in) as int8, and a scale for every output."""
    scales = np.maximum(np.abs(weight).max(1, keepdims=True), _LEAST) / _WEIGHT_STEPS
    whole = op.constant(np.rint(weight / scales).astype(np.int8))
    return op.multiply(op.convert(whole, "f32"), _number(scales))


def _number(array: NDArray[Any]) -> Tensor:
    return op.constant(np.ascontiguousarray(array, np.float32))
