"""The oracle: every word in float64, as plainly as it can be written. Every other runtime is tested against it."""

from math import erf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glimpse.runtimes import Array, Run, Tower
from glimpse.values import Rows

Float = NDArray[np.float64]
_erf = np.vectorize(erf, otypes=[np.float64])


class NumpyOps:
    """`glimpse.runtimes.Ops` on float64 arrays."""

    def patchify(self, pixels: NDArray[np.uint8], weight: Array, bias: Array, patch: int) -> Float:
        n, size, _, channels = pixels.shape
        side = size // patch
        x = pixels[:, : side * patch, : side * patch].reshape(n, side, patch, side, patch, channels)
        x = x.transpose(0, 1, 3, 2, 4, 5).reshape(n, side * side, -1)  # (n, patches, patch × patch × 3)
        return x.astype(np.float64) @ weight.reshape(-1, weight.shape[-1]).astype(np.float64) + bias

    def merge(self, x: Float, side: int) -> Float:
        n, _, width = x.shape
        x = x.reshape(n, side // 2, 2, side // 2, 2, width).transpose(0, 1, 3, 2, 4, 5)
        return x.reshape(n, side**2 // 4, 4 * width)

    def embed(self, ids: NDArray[np.int64], table: Array, positions: Array) -> Float:
        return table[ids].astype(np.float64) + positions[: ids.shape[1]]

    def prepend(self, row: Array, x: Float) -> Float:
        return np.concatenate([np.broadcast_to(row.astype(np.float64), (len(x), 1, x.shape[-1])), x], axis=1)

    def add(self, x: Float, y: Float | Array) -> Float:
        z: Float = x + y
        return z

    def multiply(self, x: Float, y: Float | Array) -> Float:
        z: Float = x * y
        return z

    def linear(self, x: Float, weight: Array, bias: Array | None = None) -> Float:
        y: Float = x @ weight.T.astype(np.float64)
        return y if bias is None else y + bias

    def layer_norm(self, x: Float, weight: Array, bias: Array, eps: float) -> Float:
        centred = x - x.mean(-1, keepdims=True)
        y: Float = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + eps) * weight + bias
        return y

    def attention(self, qkv: Float, heads: int, *, causal: bool = False, rotary: Array | None = None) -> Float:
        n, tokens, width = qkv.shape[0], qkv.shape[1], qkv.shape[2] // 3
        q, k, v = qkv.reshape(n, tokens, 3, heads, -1).transpose(2, 0, 3, 1, 4)  # each (n, heads, tokens, head width)
        if rotary is not None:
            q, k = _turned(q, rotary), _turned(k, rotary)
        scores = q @ k.transpose(0, 1, 3, 2) / np.sqrt(width // heads)
        if causal:
            scores = np.where(np.tri(tokens, dtype=bool), scores, -np.inf)
        mixed: Float = _softmax(scores) @ v
        return mixed.transpose(0, 2, 1, 3).reshape(n, tokens, width)

    def pool(self, q: Float | Array, kv: Float, heads: int) -> Float:
        n, tokens, width = kv.shape[0], kv.shape[1], q.shape[-1]
        k, v = kv.reshape(n, tokens, 2, heads, -1).transpose(2, 0, 3, 1, 4)  # each (n, heads, tokens, head width)
        scores = q.reshape(-1, heads, 1, width // heads) @ k.transpose(0, 1, 3, 2) / np.sqrt(width // heads)
        mixed: Float = _softmax(scores) @ v  # (n, heads, 1, head width)
        return mixed.reshape(n, width)

    def gelu(self, x: Float) -> Float:
        y: Float = x * 0.5 * (1 + _erf(x / np.sqrt(2)))
        return y

    def gelu_tanh(self, x: Float) -> Float:
        y: Float = x * 0.5 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
        return y

    def quick_gelu(self, x: Float) -> Float:
        y: Float = x / (1 + np.exp(-1.702 * x))
        return y

    def silu(self, x: Float) -> Float:
        y: Float = x / (1 + np.exp(-x))
        return y

    def end(self, ids: NDArray[np.int64], end_id: int | None) -> NDArray[np.int64]:
        place: NDArray[np.int64] = (ids if end_id is None else ids == end_id).argmax(1)
        return place

    def take(self, x: Float, place: NDArray[np.int64] | int) -> Float:
        y: Float = x[np.arange(len(x)), place]
        return y

    def mean(self, x: Float, first: int = 0) -> Float:
        y: Float = x[:, first:].mean(1)
        return y

    def unit(self, x: Float) -> Float:
        y: Float = x / np.linalg.norm(x, axis=-1, keepdims=True)
        return y


def _softmax(scores: Float) -> Float:
    scores = np.exp(scores - scores.max(-1, keepdims=True))
    y: Float = scores / scores.sum(-1, keepdims=True)
    return y


def _turned(x: Float, rotary: Array) -> Float:
    first, second = np.split(x, 2, axis=-1)
    y: Float = x * rotary[0] + np.concatenate([-second, first], axis=-1) * rotary[1]
    return y


def devices() -> tuple[str, ...]:
    """The processor."""
    return ("cpu",)


def precisions(_device: str = "cpu") -> tuple[str, ...]:
    """What it computes in: float32 in name, float64 in fact."""
    return ("float32",)


def compile_tower(tower: Tower, _precision: str) -> Run:
    """Bind the weights; there is nothing to compile."""
    weights, ops = tower.weights(), NumpyOps()

    def run(batch: NDArray[Any]) -> Rows:
        if not len(batch):
            return np.empty((0, tower.card.dim), np.float32)
        rows: Rows = tower.function(ops, weights, tower.card, batch).astype(np.float32)
        return rows

    return run
