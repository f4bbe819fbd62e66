"""HOW a tower is computed: the contract that every file here fulfils, found by its name.

A tower (see `glimpse.models`) is a pure function over `Ops`, a small vocabulary; a runtime gives the words a meaning. A
runtime file has, besides its `Ops`:

    devices() -> tuple[str, ...]            what it can compute on here ("cpu", "cuda:0"), the one that `auto` takes first
    precisions(device) -> tuple[str, ...]   what it can compute in there, the one that `auto` takes first
    compile_tower(tower, precision) -> Run
    calibrate(tower, pixels) -> arrays      where "int8" is among the precisions: what it must have seen of pictures

Neither knows what the other is: no file here names a model, none in `models/` names a library.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from glimpse.values import ModelCard, Rows

Tensor = Any
"""What flows inside a tower: an array in numpy, a node of a graph in openvino."""

Array = NDArray[np.float32]
Run = Callable[[NDArray[Any]], Rows]
"""A compiled tower: uint8 (n, size, size, 3) or int64 (n, tokens) → float32 (n, dim) unit rows, for any n."""


class Ops(Protocol):
    """The words a tower is written in. Shapes are (n, tokens, width) unless said otherwise; weights are float32."""

    def patchify(self, pixels: Tensor, weight: Array, bias: Array, patch: int) -> Tensor:
        """Cut uint8 (n, s, s, 3) into patches, row by row; project by weight (patch, patch, 3, width), add bias."""

    def merge(self, x: Tensor, side: int) -> Tensor:
        """Put four neighbours of side × side tokens side by side, row by row: (n, side², width) → (n, side² / 4, 4 × width)."""

    def embed(self, ids: Tensor, table: Array, positions: Array) -> Tensor:
        """Look up int64 (n, tokens) in table (vocabulary, width) and add the first rows of positions."""

    def prepend(self, row: Array, x: Tensor) -> Tensor:
        """Put one row (width,) before the tokens of every item."""

    def add(self, x: Tensor, y: Tensor | Array) -> Tensor:
        """Sum, broadcast over items."""

    def multiply(self, x: Tensor, y: Tensor | Array) -> Tensor:
        """Multiply number by number, broadcast over items."""

    def linear(self, x: Tensor, weight: Array, bias: Array | None = None) -> Tensor:
        """Compute x @ weight.T + bias, with weight (out, in)."""

    def layer_norm(self, x: Tensor, weight: Array, bias: Array, eps: float) -> Tensor:
        """Normalise over the width."""

    def attention(self, qkv: Tensor, heads: int, *, causal: bool = False, rotary: Array | None = None) -> Tensor:
        """Attend within each item: (n, tokens, 3 × width), queries, keys and values side by side → width.

        `rotary` (2, tokens, head width) has cosines and sines by which queries and keys are turned first, the halves of a
        head together (Su et al., 2021, arXiv 2104.09864): x · cos + (-second half, first half) · sin.
        """

    def pool(self, q: Tensor | Array, kv: Tensor, heads: int) -> Tensor:
        """Attend from one query an item (n, width), or one for all (width,), to all tokens of the item → (n, width).

        Keys and values are side by side: (n, tokens, 2 × width).
        """

    def gelu(self, x: Tensor) -> Tensor:
        """Compute x · Φ(x), by the error function."""

    def gelu_tanh(self, x: Tensor) -> Tensor:
        """Compute gelu by its approximation x / 2 · (1 + tanh(√(2 / π) · (x + 0.044715 x³)))."""

    def quick_gelu(self, x: Tensor) -> Tensor:
        """Compute x · sigmoid(1.702 x)."""

    def silu(self, x: Tensor) -> Tensor:
        """Compute x · sigmoid(x)."""

    def end(self, ids: Tensor, end_id: int | None) -> Tensor:
        """Find the first place (n,) of end_id in int64 (n, tokens), or of the largest id where it is None."""

    def take(self, x: Tensor, place: Tensor | int) -> Tensor:
        """Take the token at place, one of all items (-1 is the last) or one for each: → (n, width)."""

    def mean(self, x: Tensor, first: int = 0) -> Tensor:
        """Average the tokens from `first` on: → (n, width)."""

    def unit(self, x: Tensor) -> Tensor:
        """Scale rows (n, dim) to unit length."""


TowerFunction = Callable[[Any, Mapping[str, Array], ModelCard, Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Tower:
    """All that a runtime needs to compile one tower, the weights read only if it must.

    Attributes:
        kind: what goes in.
        function: the tower, over ops, weights, card and input.
        weights: reads the canonical weights of this tower.
        fingerprint: of the tower's weights and sizes; names what is cached.
        cache: a folder for compiled blobs, or None to keep nothing.
        devices: where to compute: one of the runtime's devices, or several that share the work.
        graph: an ONNX file that is the tower, in place of function and weights, for runtimes that read such files.
        calibration: what a runtime's `calibrate` found, for int8; the file need not be there.
    """

    kind: Literal["image", "text"]
    function: TowerFunction
    card: ModelCard
    weights: Callable[[], Mapping[str, Array]]
    fingerprint: str
    cache: Path | None
    devices: tuple[str, ...] = ("cpu",)
    graph: Path | None = None
    calibration: Path | None = None


READ_GRAPHS = ("openvino", "onnx")
"""The runtimes that take a `Tower.graph`."""

_LIBRARIES = {"openvino": "openvino", "onnx": "onnxruntime", "torch": "torch"}
_DRIVERS = tuple(map(Path, ("/proc/driver/nvidia/version", "/dev/nvidiactl", "/dev/dxg")))


def best(*, graphs: bool = False) -> str:
    """Say which runtime `auto` means here: torch where it finds a GPU, else OpenVINO, else what is installed.

    With `graphs`, of those that run ONNX files.
    """
    if not graphs and _torch_sees_a_gpu():
        return "torch"
    offered = READ_GRAPHS if graphs else tuple(_LIBRARIES)
    return next((name for name in offered if _has(_LIBRARIES[name])), "openvino" if graphs else "numpy")


def _torch_sees_a_gpu() -> bool:
    """Ask torch itself, but only where there is a driver, for importing it takes seconds."""
    if not _has("torch") or not any(driver.exists() for driver in _DRIVERS):
        return False
    found: bool = import_module("torch").cuda.is_available()
    return found


def _has(library: str) -> bool:
    """Whether a library is installed; importing it would take seconds."""
    return sys.modules[library] is not None if library in sys.modules else find_spec(library) is not None
