"""Towers computed by torch: the runtime for graphics cards, and one more for processors.

On a card pictures run in batches of a few fixed sizes, what is left over filled up to the next one: each size is captured as
a CUDA graph once and replayed with one launch, while the next batch is on its way through pinned memory. Texts run as they
are. `GLIMPSE_TORCH` chooses another way: "eager" is without graphs, "compile" has torch.compile make the towers first, which
takes minutes and a C++ compiler. Several devices are a process each (`_processes.py`). Knows no model.
"""

import contextlib
import os
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from itertools import cycle
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  (as everybody calls it)
from numpy.typing import NDArray

from glimpse.errors import ModelError, ModelUnsupported, UsageError
from glimpse.runtimes import Array, Run, Tensor, Tower
from glimpse.runtimes._processes import Processes
from glimpse.values import Rows

WAYS = ("graphs", "eager", "compile")

# Pictures that run together. On a card larger batches are no faster, and at most a third of one is filling; a processor has
# caches to stay in, and fills up nothing.
SIZES = {"cuda": (1, 2, 4, 8, 16, 32, 64, 96, 128, 192, 256), "cpu": tuple(range(1, 17))}
TOKENS = {"cuda": 65536, "cpu": 4096}

# Pixels are brought to -2 … 2, in steps that float16 and bfloat16 have exactly: (pixel - 128) / 64.
_MIDDLE, _SCALE = 128, 64

_RECOMPILED = 128  # towers that torch.compile may make, of all encoders together

# While a graph is recorded nobody may wait for the whole card, nor record another: CUDA would break the recording off.
_RECORDING = threading.RLock()

Forward = Callable[[Tensor], Tensor]


class TorchOps:
    """`glimpse.runtimes.Ops` on tensors of one device and precision; weights may be arrays, which are moved there once."""

    def __init__(self, device: Any, dtype: Any, *, compiled: bool = False, fused: bool = False) -> None:
        self._device, self._dtype = device, dtype
        self._middle = torch.tensor(-_MIDDLE / _SCALE, dtype=dtype, device=device)
        self._moved: dict[tuple[tuple[int, ...], bytes], Tensor] = {}  # by what is in them
        self._exact: dict[int, tuple[Tensor, Array]] = {}  # by id: tensors, and what they were before they were rounded
        self._kernels: dict[int, tuple[Tensor, Tensor, Tensor]] = {}  # by id of the weight: it, and what became of it
        self._fused = fused and not compiled  # torch.compile sees to it itself
        self._constant, self._kernel = self._constant_of, self._kernel_of
        if compiled:  # torch.compile cannot follow what is looked up; to tell it so imports it, which takes seconds
            self._constant, self._kernel = map(torch.compiler.disable, (self._constant_of, self._kernel_of))

    def weights(self, arrays: Mapping[str, Array]) -> dict[str, Tensor]:
        """Move weights to the device; those that `patchify` may take are remembered as they are (they are small)."""
        moved = {name: _tensor(array).to(self._device, self._dtype) for name, array in arrays.items()}
        self._exact = {id(moved[name]): (moved[name], array) for name, array in arrays.items() if array.ndim in (1, 4)}
        return moved

    def patchify(self, pixels: Tensor, weight: Array, bias: Array, patch: int) -> Tensor:
        n, size, _, channels = pixels.shape
        side = size // patch
        x = pixels[:, : side * patch, : side * patch].reshape(n, side, patch, side, patch, channels)
        x = x.permute(0, 1, 3, 2, 4, 5).reshape(n, side * side, -1)  # (n, patches, patch × patch × 3), still uint8
        x = torch.add(self._middle, x, alpha=1 / _SCALE)
        return F.linear(x, *self._kernel(weight, bias))

    def merge(self, x: Tensor, side: int) -> Tensor:
        n, _, width = x.shape
        x = x.reshape(n, side // 2, 2, side // 2, 2, width).permute(0, 1, 3, 2, 4, 5)
        return x.reshape(n, side**2 // 4, 4 * width)

    def embed(self, ids: Tensor, table: Array, positions: Array) -> Tensor:
        return F.embedding(ids, self._here(table)) + self._here(positions)[: ids.shape[1]]

    def prepend(self, row: Array, x: Tensor) -> Tensor:
        return torch.cat([self._here(row).expand(len(x), 1, -1), x], 1)

    def add(self, x: Tensor, y: Tensor | Array) -> Tensor:
        return x + self._here(y)

    def multiply(self, x: Tensor, y: Tensor | Array) -> Tensor:
        return x * self._here(y)

    def linear(self, x: Tensor, weight: Array, bias: Array | None = None) -> Tensor:
        return F.linear(x, self._here(weight), None if bias is None else self._here(bias))

    def layer_norm(self, x: Tensor, weight: Array, bias: Array, eps: float) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], self._here(weight), self._here(bias), eps)  # statistics are float32 inside

    def attention(self, qkv: Tensor, heads: int, *, causal: bool = False, rotary: Array | None = None) -> Tensor:
        n, tokens, width = qkv.shape[0], qkv.shape[1], qkv.shape[2] // 3
        q, k, v = qkv.reshape(n, tokens, 3, heads, -1).permute(2, 0, 3, 1, 4)  # each (n, heads, tokens, head width)
        if rotary is not None:
            turn = self._here(rotary)
            q, k = _turned(q, turn), _turned(k, turn)
        x = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        return x.transpose(1, 2).reshape(n, tokens, width)

    def pool(self, q: Tensor | Array, kv: Tensor, heads: int) -> Tensor:
        n, tokens, width = kv.shape[0], kv.shape[1], kv.shape[2] // 2
        k, v = kv.reshape(n, tokens, 2, heads, -1).permute(2, 0, 3, 1, 4)  # each (n, heads, tokens, head width)
        one = self._here(q).reshape(-1, heads, 1, width // heads).expand(n, -1, -1, -1)
        return F.scaled_dot_product_attention(one, k, v).reshape(n, width)

    def gelu(self, x: Tensor) -> Tensor:
        return F.gelu(x)

    def gelu_tanh(self, x: Tensor) -> Tensor:
        return F.gelu(x, approximate="tanh")

    def quick_gelu(self, x: Tensor) -> Tensor:
        gate = _gate(self._device.type, self._dtype) if self._fused else _quick_gelu
        return gate(x.reshape(-1)).reshape(x.shape)  # flat, so that it is compiled once for all shapes

    def silu(self, x: Tensor) -> Tensor:
        return F.silu(x)

    def end(self, ids: Tensor, end_id: int | None) -> Tensor:
        return (ids if end_id is None else (ids == end_id).int()).argmax(1)  # the first of equals

    def take(self, x: Tensor, place: Tensor | int) -> Tensor:
        return x[:, place] if isinstance(place, int) else x[torch.arange(len(x), device=x.device), place]

    def mean(self, x: Tensor, first: int = 0) -> Tensor:
        return x[:, first:].mean(1)

    def unit(self, x: Tensor) -> Tensor:
        return F.normalize(x.float(), dim=-1)

    def _here(self, x: Tensor | Array) -> Tensor:
        """A weight that is moved already, or a table that a family has as an array, such as rotary's."""
        return self._constant(x) if isinstance(x, np.ndarray) else x

    def _constant_of(self, array: Array) -> Tensor:
        known = (array.shape, array.tobytes())
        if known not in self._moved:
            self._moved[known] = _tensor(array).to(self._device, self._dtype)
        return self._moved[known]

    def _kernel_of(self, weight: Tensor | Array, bias: Tensor | Array) -> tuple[Tensor, Tensor]:
        """Make the matrix (width, patch × patch × 3) and bias that go with pixels between -2 and 2.

        From the exact numbers, for the bias nearly cancels what a medium grey comes to: that is done here, in float64.
        """
        if id(weight) not in self._kernels:
            exact, start = (self._exact.get(id(one), (one, one))[1] for one in (weight, bias))
            kernel = np.asarray(exact, np.float64).reshape(-1, exact.shape[-1])
            grey = np.asarray(start, np.float64) + _MIDDLE * kernel.sum(0)
            made = (torch.from_numpy(made).to(self._device, self._dtype) for made in (kernel.T * _SCALE, grey))
            matrix, offset = (one.contiguous() for one in made)
            self._kernels[id(weight)] = (weight, matrix, offset)
        return self._kernels[id(weight)][1:]


def _turned(x: Tensor, rotary: Tensor) -> Tensor:
    first, second = x.chunk(2, -1)
    return x * rotary[0] + torch.cat([-second, first], -1) * rotary[1]


def _quick_gelu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(1.702 * x)


@cache
def _gate(kind: str, dtype: Any) -> Forward:
    """Make quick GELU, on a card in one pass over memory rather than three, if torch can compile there (it needs Triton)."""
    if kind != "cuda" or _way() == "eager":
        return _quick_gelu
    fused: Forward = torch.compile(_quick_gelu, dynamic=True)
    try:
        fused(torch.ones(4096, device=kind, dtype=dtype))
    except Exception:  # noqa: BLE001  (whatever a compiler that is not there, or does not work, may raise)
        return _quick_gelu
    return fused


def _tensor(array: NDArray[Any]) -> Tensor:
    """See an array as a tensor; torch warns of arrays that may not be written to, and refuses steps backwards."""
    whole = np.ascontiguousarray(array)
    return torch.from_numpy(whole if whole.flags.writeable else whole.copy())


# What there is --------------------------------------------------------------------------------------------------------


def devices() -> tuple[str, ...]:
    """Every card that CUDA (or ROCm, under the same name) shows, then the processor."""
    cards = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return (*(f"cuda:{i}" for i in range(cards)), "cpu")


def precisions(device: str = "cpu") -> tuple[str, ...]:
    """What the device computes, best first: bfloat16 where it has the instructions, which nothing overflows in."""
    if device == "cpu":
        return ("bfloat16", "float32") if _has_bfloat16() else ("float32", "bfloat16")
    with torch.cuda.device(device):
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    return ("bfloat16", "float16", "float32") if native else ("float16", "float32")


def _has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16; of torch before 2.11 two functions tell, of its x86 processors alone."""
    if hasattr(torch.cpu, "get_capabilities"):
        known = torch.cpu.get_capabilities()
        return any(known.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    asked = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return any(one() for one in asked if one is not None)


def _way() -> str:
    way = os.environ.get("GLIMPSE_TORCH", WAYS[0])
    if way not in WAYS:
        raise UsageError(f"GLIMPSE_TORCH is {way!r}: choose {', '.join(WAYS)}")
    return way


# Compiled towers ------------------------------------------------------------------------------------------------------


def compile_tower(tower: Tower, precision: str) -> Run:
    """Move a tower's weights to its device and return it as a function over batches of any size.

    Raises:
        ModelUnsupported: the tower is an ONNX file.
        WorkerError: of several devices, one's process cannot be started.
    """
    if tower.graph is not None:
        raise ModelUnsupported("torch reads no ONNX files: choose the runtime 'onnx' or 'openvino'")
    if tower.kind == "image" and len(tower.devices) > 1:
        return Processes(tower, precision, partial(_beside, len(tower.devices)))
    if precision == "float32":
        torch.set_float32_matmul_precision("highest")  # torch's default; others would compute in fewer digits
    device = torch.device(tower.devices[0])
    run: Run
    with _RECORDING, _memory_said(device), _on(device), torch.inference_mode():
        forward = _forward(tower, device, precision)
        if tower.kind == "image":
            run = Pictures(forward, tower, device, SIZES[device.type])
        else:
            run = partial(_texts, forward, tower.card.dim, device)
        if device.type == "cuda":
            torch.cuda.current_stream().synchronize()  # weights and buffers were made there, and are used on other streams
    return run


def _beside(processes: int, tower: Tower, precision: str) -> Run:
    """Compile in one of several processes, which share the processor's cores."""
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // processes))
    return compile_tower(tower, precision)


def _forward(tower: Tower, device: Any, precision: str) -> Forward:
    way = _way()
    # Compiling a kernel takes seconds: not for a text.
    ops = TorchOps(device, getattr(torch, precision), compiled=way == "compile", fused=tower.kind == "image")
    weights = ops.weights(tower.weights())

    def forward(batch: Tensor) -> Tensor:
        return tower.function(ops, weights, tower.card, batch)

    in_graphs = device.type == "cuda" and tower.kind == "image"
    if way == "compile":
        _allow_all_sizes()
        made: Forward = torch.compile(forward, dynamic=not in_graphs)
        return Graphs(made, tower, device) if in_graphs else made
    return Graphs(forward, tower, device) if in_graphs and way == "graphs" else forward


def _allow_all_sizes() -> None:
    """Let torch.compile make a tower for each size of batch: it stops at 8 otherwise (the name differs by version)."""
    from torch._dynamo import config  # noqa: PLC0415  (it takes seconds)

    for name in ("recompile_limit", "cache_size_limit"):
        if hasattr(config, name):
            setattr(config, name, max(getattr(config, name), _RECOMPILED))


def _on(device: Any) -> contextlib.AbstractContextManager[Any]:
    on: contextlib.AbstractContextManager[Any] = contextlib.nullcontext()
    return torch.cuda.device(device) if device.type == "cuda" else on


def _texts(forward: Forward, dim: int, device: Any, ids: NDArray[np.int64]) -> Rows:
    """Run texts, as many together as have few enough tokens: (n, tokens) → (n, dim)."""
    rows = np.empty((len(ids), dim), np.float32)
    step = max(1, TOKENS[device.type] // max(1, ids.shape[1]))
    with _memory_said(device), _on(device), torch.inference_mode():
        for start in range(0, len(ids), step):
            with _RECORDING:
                part = _tensor(ids[start : start + step]).to(device, torch.int64)
                rows[start : start + step] = forward(part).cpu().numpy()
    return rows


@contextlib.contextmanager
def _memory_said(device: Any) -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"{device} has too little memory: close what else uses it, or choose another device or a smaller model"
        ) from error


class Graphs:
    """A tower as CUDA graphs, one for each size of batch, made when it is first met. They run one at a time, so share memory.

    A graph that is replayed may write over another's rows: they are to be copied, on the same stream, before the next one.
    """

    def __init__(self, forward: Forward, tower: Tower, device: Any) -> None:
        side = tower.card.pixels.size
        self._forward = forward
        self._pixels = torch.empty((SIZES["cuda"][-1], side, side, 3), dtype=torch.uint8, device=device)
        self._memory = torch.cuda.graph_pool_handle()
        self._known: dict[int, tuple[Any, Tensor] | None] = {}
        self._failed: list[Any] = []  # graphs that could not be recorded: CUDA's allocator may still ask them

    def __call__(self, pixels: Tensor) -> Tensor:
        """Embed pixels on the current stream, which must be the same one always, and none of CUDA's default streams."""
        n = len(pixels)
        if n not in self._known:
            with _RECORDING:
                self._known[n] = self._captured(n)
        known = self._known[n]
        if known is None:
            return self._forward(pixels)
        graph, rows = known
        self._pixels[:n].copy_(pixels)
        graph.replay()
        return rows

    def _captured(self, n: int) -> tuple[Any, Tensor] | None:
        """Record what the tower launches for n pictures; None where something in it cannot be recorded."""
        stream, pixels = torch.cuda.current_stream(), self._pixels[:n]
        # Compiles kernels, moves tables, has libraries choose and allocate: none of it can be recorded.
        for _ in range(2):
            self._forward(pixels)
        stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        try:
            # Other threads may go on with cards of their own meanwhile.
            with torch.cuda.graph(graph, pool=self._memory, stream=stream, capture_error_mode="thread_local"):
                rows = self._forward(pixels)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            self._give_up(graph)
            warnings.warn(f"batches of {n} run without a CUDA graph: {str(error).splitlines()[0]}", stacklevel=2)
            return None
        return graph, rows

    def _give_up(self, graph: Any) -> None:
        """Do what torch leaves undone where a recording fails: its allocator would take it to be still under way."""
        self._failed.append(graph)
        with contextlib.suppress(Exception):  # names that are not public
            inner, device = torch._C, torch.cuda.current_device()  # noqa: SLF001
            inner._cuda_endAllocateToPool(device, self._memory)  # noqa: SLF001
            inner._cuda_releasePool(device, self._memory)  # noqa: SLF001


class Pictures:
    """A run over pictures: batches of given sizes, two of them on their way, so that one is copied while one is computed."""

    def __init__(self, forward: Forward, tower: Tower, device: Any, sizes: tuple[int, ...]) -> None:
        self._forward, self._device, self._dim, self._sizes = forward, device, tower.card.dim, sizes
        self._streams = (torch.cuda.Stream(), torch.cuda.Stream()) if device.type == "cuda" else None
        self._lanes = [_Lane(sizes[-1], tower, device) for _ in range(2)]
        self._turn = threading.Lock()  # lanes and graphs are there once, so callers from several threads take turns

    def __call__(self, pixels: NDArray[np.uint8]) -> Rows:
        """Embed uint8 (n, size, size, 3) → (n, dim).

        Raises:
            ModelError: the device has no memory even for one picture.
        """
        with self._turn, _memory_said(self._device), _on(self._device), torch.inference_mode():
            while True:
                try:
                    return self._embedded(pixels)
                except torch.OutOfMemoryError:
                    if len(self._sizes) == 1:
                        raise
                self._make_room()  # here, for the exception's traceback keeps tensors

    def on_device(self, pixels: Tensor) -> Tensor:
        """Embed a tensor uint8 (n, size, size, 3) that is on the device already → float32 (n, dim), which stays there.

        For pictures that were decoded there, and to measure towers without copies.
        """
        found = [torch.empty((0, self._dim), dtype=torch.float32, device=pixels.device)]
        with self._turn, _memory_said(self._device), _on(self._device), torch.inference_mode(), self._computing():
            for place, size in _batches(len(pixels), self._sizes):
                part = pixels[place]
                whole = torch.cat([part, part[:1].expand(size - len(part), -1, -1, -1)]) if len(part) < size else part
                found.append(self._forward(whole)[: len(part)].clone())  # the next graph may write over them
            return torch.cat(found)

    @contextlib.contextmanager
    def _computing(self) -> Iterator[None]:
        """Go on in the stream of the graphs after what the caller's has begun, and have the caller's wait for it."""
        if self._streams is None:
            yield
            return
        theirs, ours = torch.cuda.current_stream(), self._streams[1]
        ours.wait_stream(theirs)
        with torch.cuda.stream(ours):
            yield
        theirs.wait_stream(ours)

    def _embedded(self, pixels: NDArray[np.uint8]) -> Rows:
        rows = np.empty((len(pixels), self._dim), np.float32)
        under_way: deque[tuple[_Lane, slice]] = deque()
        for (place, size), lane in zip(_batches(len(pixels), self._sizes), cycle(self._lanes), strict=False):
            if len(under_way) == len(self._lanes):
                _finish(rows, *under_way.popleft())
            lane.start(self._forward, self._streams, pixels[place], size)
            under_way.append((lane, place))
        for lane, place in under_way:
            _finish(rows, lane, place)
        return rows

    def _make_room(self) -> None:
        """Go on with batches of half the size at most, for good."""
        half = self._sizes[-1] // 2
        self._sizes = tuple(size for size in self._sizes if size <= half) or self._sizes[:1]
        if self._streams is not None:
            for stream in self._streams:
                stream.synchronize()
            torch.cuda.empty_cache()


def _batches(count: int, sizes: tuple[int, ...]) -> Iterator[tuple[slice, int]]:
    """Cut so many pictures into batches: where each is, and which of the sizes it runs at."""
    for start in range(0, count, sizes[-1]):
        stop = min(count, start + sizes[-1])
        yield slice(start, stop), next(size for size in sizes if size >= stop - start)


def _finish(rows: Rows, lane: "_Lane", place: slice) -> None:
    rows[place] = lane.rows(place.stop - place.start)


class _Lane:
    """The memory that one batch passes through: pinned, the card's, and pinned again; a processor's is its own."""

    def __init__(self, largest: int, tower: Tower, device: Any) -> None:
        shape, card = (largest, tower.card.pixels.size, tower.card.pixels.size, 3), device.type == "cuda"
        self._given = torch.zeros(shape, dtype=torch.uint8, pin_memory=card)
        self._pixels = torch.empty(shape, dtype=torch.uint8, device=device) if card else self._given
        self._rows = torch.empty((largest, tower.card.dim), dtype=torch.float32, pin_memory=card)
        self._there: Any = torch.cuda.Event() if card else None  # the pixels are on the card
        # The rows are back. Whoever waits sleeps, for decoders want the processor.
        self._done: Any = torch.cuda.Event(blocking=True) if card else None

    def start(self, forward: Forward, streams: tuple[Any, Any] | None, pixels: NDArray[np.uint8], size: int) -> None:
        """Have pictures embedded in a batch of the size; on a card this returns before anything is done."""
        self._wait()  # after an error, what was under way may still be
        # What else is in the batch are pixels of earlier ones: no matter.
        self._given[: len(pixels)].copy_(_tensor(pixels))
        if streams is None:
            self._rows[:size].copy_(forward(self._pixels[:size]))
        else:
            self._launch(forward, *streams, size)

    def _launch(self, forward: Forward, copying: Any, computing: Any, size: int) -> None:
        with torch.cuda.stream(copying):
            self._pixels[:size].copy_(self._given[:size], non_blocking=True)
            self._there.record()
        with torch.cuda.stream(computing):
            self._there.wait()
            self._rows[:size].copy_(forward(self._pixels[:size]), non_blocking=True)
            self._done.record()

    def rows(self, count: int) -> Rows:
        """Wait for the batch: its first rows, which the next batch writes over."""
        self._wait()
        rows: Rows = self._rows[:count].numpy()
        return rows

    def _wait(self) -> None:
        if self._done is not None:
            self._done.synchronize()
