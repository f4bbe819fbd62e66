"""The default on a CPU: towers as OpenVINO graphs, compiled once and kept on disk.

Pictures run with two requests side by side (throughput), texts with all cores on one (latency). A compiled tower is kept as
a blob named after the weights, this OpenVINO and this processor, so that the next process neither reads the checkpoint nor
builds the graph. A tower that is an ONNX file is read by OpenVINO itself (see `_graphs.py`). Knows no model.
"""

import contextlib
import hashlib
import importlib
import mmap
import os
import sys
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glimpse.atomic import replacing
from glimpse.errors import CheckpointError, ModelUnsupported, UsageError
from glimpse.runtimes import Array, Run, Tensor, Tower, _graphs
from glimpse.values import Pixels, Rows

_CONVERTER = "openvino.tools.ovc"


def _quietly() -> Any:
    """Import OpenVINO without its model converter, which tells Google Analytics of every import.

    It is a third of the import, too. Whoever wants the converter beside glimpse still gets it when they ask for it.
    """
    if "openvino" in sys.modules:
        return sys.modules["openvino"]
    sys.modules[_CONVERTER] = None  # type: ignore[assignment]  # makes importing it an ImportError, which is caught
    try:
        module = importlib.import_module("openvino")
    finally:
        del sys.modules[_CONVERTER]
    vars(module)["__getattr__"] = _converter
    return module


def _converter(name: str) -> Any:
    if name != "convert_model":
        raise AttributeError(f"module 'openvino' has no attribute {name!r}")
    return importlib.import_module(_CONVERTER).convert_model


ov = _quietly()
op = importlib.import_module("openvino.opset15")

# Pictures in one request: measured best at 8 to 16 (a larger batch leaves the cache). Texts share a request as long as
# their tokens are few; 2,048 tokens keep the widest layer of a large tower within some tens of megabytes.
IMAGES_PER_REQUEST = 8
TOKENS_PER_REQUEST = 2048

_HINTS = {"float32": "f32", "bfloat16": "bf16"}


class OpenvinoOps:
    """`glimpse.runtimes.Ops` as nodes of a graph."""

    def patchify(self, pixels: Tensor, weight: Array, bias: Array, patch: int) -> Tensor:
        planes = op.transpose(op.convert(pixels, "f32"), _ints(0, 3, 1, 2))  # (n, 3, s, s)
        kernel = _constant(weight.transpose(3, 2, 0, 1))
        x = op.convolution(planes, kernel, [patch, patch], [0, 0], [0, 0], [1, 1])
        x = op.reshape(op.add(x, _constant(bias.reshape(1, -1, 1, 1))), _ints(0, len(bias), -1), special_zero=True)
        return op.transpose(x, _ints(0, 2, 1))  # (n, patches, width)

    def merge(self, x: Tensor, side: int) -> Tensor:
        width = x.get_output_partial_shape(0)[2].get_length()
        x = op.reshape(x, _ints(0, side // 2, 2, side // 2, 2, width), special_zero=True)
        x = op.transpose(x, _ints(0, 1, 3, 2, 4, 5))
        return op.reshape(x, _ints(0, side**2 // 4, 4 * width), special_zero=True)

    def embed(self, ids: Tensor, table: Array, positions: Array) -> Tensor:
        tokens = op.gather(op.shape_of(ids), _ints(1), _ints(0))
        rows = op.slice(_constant(positions), _ints(0), tokens, _ints(1), _ints(0))
        return op.add(op.gather(_constant(table), ids, _ints(0)), rows)

    def prepend(self, row: Array, x: Tensor) -> Tensor:
        items = op.gather(op.shape_of(x), _ints(0), _ints(0))
        rows = op.broadcast(_constant(row.reshape(1, 1, -1)), op.concat([items, _ints(1, len(row))], 0))
        return op.concat([rows, x], 1)

    def add(self, x: Tensor, y: Tensor | Array) -> Tensor:
        return op.add(x, _constant(y) if isinstance(y, np.ndarray) else y)

    def multiply(self, x: Tensor, y: Tensor | Array) -> Tensor:
        return op.multiply(x, _constant(y) if isinstance(y, np.ndarray) else y)

    def linear(self, x: Tensor, weight: Array, bias: Array | None = None) -> Tensor:
        y = op.matmul(x, _constant(weight), transpose_a=False, transpose_b=True)
        return y if bias is None else op.add(y, _constant(bias))

    def layer_norm(self, x: Tensor, weight: Array, bias: Array, eps: float) -> Tensor:
        y = op.mvn(x, _ints(-1), normalize_variance=True, eps=eps, eps_mode="inside_sqrt")
        return op.add(op.multiply(y, _constant(weight)), _constant(bias))

    def attention(self, qkv: Tensor, heads: int, *, causal: bool = False, rotary: Array | None = None) -> Tensor:
        width = qkv.get_output_partial_shape(0)[2].get_length() // 3
        q, k, v = _parts(qkv, 3, heads, width)
        if rotary is not None:
            q, k = _turned(q, rotary), _turned(k, rotary)
        x = op.transpose(op.scaled_dot_product_attention(q, k, v, causal=causal), _ints(0, 2, 1, 3))
        return op.reshape(x, _ints(0, 0, width), special_zero=True)

    def pool(self, q: Tensor | Array, kv: Tensor, heads: int) -> Tensor:
        width = kv.get_output_partial_shape(0)[2].get_length() // 2
        k, v = _parts(kv, 2, heads, width)
        if isinstance(q, np.ndarray):
            items = op.gather(op.shape_of(kv), _ints(0), _ints(0))
            q = op.broadcast(_constant(q.reshape(1, -1)), op.concat([items, _ints(width)], 0))
        q = op.reshape(q, _ints(0, heads, 1, width // heads), special_zero=True)
        x = op.scaled_dot_product_attention(q, k, v, causal=False)  # (n, heads, 1, head width)
        return op.reshape(x, _ints(0, width), special_zero=True)

    def gelu(self, x: Tensor) -> Tensor:
        return op.gelu(x, "erf")

    def gelu_tanh(self, x: Tensor) -> Tensor:
        return op.gelu(x, "tanh")

    def quick_gelu(self, x: Tensor) -> Tensor:
        return op.swish(x, op.constant(np.float32(1.702)))

    def silu(self, x: Tensor) -> Tensor:
        return op.swish(x)

    def end(self, ids: Tensor, end_id: int | None) -> Tensor:
        marks = ids if end_id is None else op.convert(op.equal(ids, op.constant(np.int64(end_id))), "i32")
        largest = op.topk(marks, op.constant(np.int64(1)), 1, "max", "index", "i64", stable=True)
        return largest.output(1)  # (n, 1)

    def take(self, x: Tensor, place: Tensor | int) -> Tensor:
        if isinstance(place, int):
            return op.gather(x, op.constant(np.int64(place)), op.constant(np.int64(1)))
        rows = op.gather(x, place, op.constant(np.int64(1)), batch_dims=1)  # (n, 1, width)
        return op.squeeze(rows, _ints(1))

    def mean(self, x: Tensor, first: int = 0) -> Tensor:
        if first:
            x = op.slice(x, _ints(first), _ints(np.iinfo(np.int64).max), _ints(1), _ints(1))
        return op.reduce_mean(x, _ints(1), keep_dims=False)

    def unit(self, x: Tensor) -> Tensor:
        return op.normalize_l2(x, _ints(-1), eps=1e-12, eps_mode="max")


def _parts(x: Tensor, parts: int, heads: int, width: int) -> list[Tensor]:
    """Take queries, keys and values (or the last two) apart: (n, tokens, parts × width) → (n, heads, tokens, head width)."""
    x = op.reshape(x, _ints(0, 0, parts, heads, width // heads), special_zero=True)
    split = op.split(op.transpose(x, _ints(2, 0, 3, 1, 4)), np.array(0), parts)
    return [op.squeeze(part, _ints(0)) for part in split.outputs()]


def _turned(x: Tensor, rotary: Array) -> Tensor:
    first, second = op.split(x, np.array(3), 2).outputs()
    sines = rotary[1] * np.repeat([-1, 1], rotary.shape[2] // 2)
    other = op.multiply(op.concat([second, first], 3), _constant(sines))
    return op.add(op.multiply(x, _constant(rotary[0])), other)


def _constant(array: Array) -> Tensor:
    return op.constant(np.ascontiguousarray(array, np.float32), shared_memory=True)


def _ints(*values: int) -> Tensor:
    return op.constant(np.array(values, np.int64))


@cache
def _core() -> Any:
    return ov.Core()


def devices() -> tuple[str, ...]:
    """The processor."""
    return ("cpu",)


def precisions(_device: str = "cpu") -> tuple[str, ...]:
    """What the processor computes natively, best first: bfloat16 only where it has the instructions; int8 changes vectors."""
    native = "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return ("bfloat16", "float32", "int8") if native else ("float32", "int8")


def calibrate(tower: Tower, pixels: Pixels) -> dict[str, Array]:
    """Watch what flows through an image tower, for int8: uint8 (n, size, size, 3) → arrays to keep in `Tower.calibration`."""
    from glimpse.runtimes import _int8  # noqa: PLC0415  (it builds on this file)

    if tower.cache is not None:  # what was compiled by an earlier calibration
        for blob in tower.cache.glob(f"{tower.fingerprint[:24]}-{tower.kind}-int8-*.openvino"):
            blob.unlink(missing_ok=True)
    if tower.graph is not None:
        raise UsageError(
            f"{tower.card.name} is an ONNX file, which int8 cannot be made of: use the checkpoint it came from"
        )
    return _int8.watch(tower, pixels)


def compile_tower(tower: Tower, precision: str) -> Run:
    """Compile a tower, or take it from the cache, and return it as a function over batches of any size."""
    plan = _graphs.plan(tower) if tower.graph else _graphs.Plan(lambda batch: {0: np.ascontiguousarray(batch)}, "")
    compiled, blob = _from_cache(tower, precision) or _made(tower, precision)
    beside = compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
    requests = ov.AsyncInferQueue(compiled, beside)

    turn = threading.Lock()  # the queue has one callback for all, so callers from several threads take turns

    def run(batch: NDArray[Any]) -> Rows:
        rows = np.empty((len(batch), tower.card.dim), np.float32)

        def take(request: Any, place: slice) -> None:
            output = request.get_output_tensor().data
            rows[place] = plan.rows(output, rows[place].shape) if tower.graph else output

        with turn, _said_plainly(tower):
            requests.set_callback(take)
            places = _slices(batch, beside, plan)
            feeds = [dict(plan.feeds(batch[place])) for place in places]  # read where they are, until all are done
            for fed, place in zip(feeds, places, strict=True):
                requests.start_async(fed, place, share_inputs=True)
            requests.wait_all()
            if blob and tower.kind == "image":
                blob.rest()  # its weights have been laid out; a text's latency shows when pages have to come back
        return rows

    return run


def _slices(batch: NDArray[Any], beside: int, plan: _graphs.Plan) -> list[slice]:
    """Cut a batch into requests: of the best size, but so that each of those that run side by side gets some."""
    is_text = batch.ndim == 2  # noqa: PLR2004  (n, tokens) against (n, size, size, 3)
    best = max(1, TOKENS_PER_REQUEST // max(1, plan.tokens or batch.shape[1])) if is_text else IMAGES_PER_REQUEST
    step = plan.together or max(1, min(best, -(-len(batch) // beside)))
    return [slice(i, i + step) for i in range(0, len(batch), step)]


def _made(tower: Tower, precision: str) -> "tuple[Any, _Mapped | None]":
    """Compile a tower and keep it; what comes from the cache takes half the memory of what went there."""
    compiled = _compile(tower, precision)
    path = _blob(tower, precision)
    if path is None or not _keep(compiled, path):
        return compiled, None
    del compiled
    return _from_cache(tower, precision) or (_compile(tower, precision), None)


def _compile(tower: Tower, precision: str) -> Any:
    graph = _read(tower) if tower.graph else _graph(tower, precision)
    if precision == "bfloat16":
        _halve(graph)
    with _said_plainly(tower):
        return _core().compile_model(graph, "CPU", _settings(tower, precision))


def _halve(graph: Any) -> None:
    """Keep weights as float16, finer than the bfloat16 they will be rounded to: half the blob, half the time to read it."""
    with contextlib.suppress(ImportError):
        compress = importlib.import_module("openvino._offline_transformations").compress_model_transformation
        compress(graph)


def _graph(tower: Tower, precision: str) -> Any:
    size = tower.card.pixels.size
    shape, kind = ([-1, size, size, 3], ov.Type.u8) if tower.kind == "image" else ([-1, -1], ov.Type.i64)
    batch = op.parameter(ov.PartialShape(shape), kind, name=tower.kind)
    rows = tower.function(_ops(tower, precision), tower.weights(), tower.card, batch)
    return ov.Model([op.result(rows)], [batch], tower.kind)


def _ops(tower: Tower, precision: str) -> "OpenvinoOps":
    if precision != "int8":
        return OpenvinoOps()
    from glimpse.runtimes import _int8  # noqa: PLC0415  (it builds on this file)

    return _int8.Rounded(tower)


def _read(tower: Tower) -> Any:
    """Read the ONNX file that a tower is, and leave of it what the vectors need."""
    _check_links(tower)
    with _said_plainly(tower):
        graph = _core().read_model(str(tower.graph))
        rows = graph.output(_graphs.plan(tower).output).get_node().input_value(0)
        return ov.Model([op.result(rows)], graph.get_parameters(), tower.kind)


def _check_links(tower: Tower) -> None:
    """Say what to do about weights behind links out of the folder, which OpenVINO refuses and ONNX Runtime follows."""
    assert tower.graph is not None  # noqa: S101  (for mypy: callers ask for nothing else)
    folder = tower.graph.parent.resolve()
    if not all(file.resolve().is_relative_to(folder) for file in _graphs.read(tower.graph).beside):
        raise ModelUnsupported(
            f"the weights of {tower.graph} are behind links, which OpenVINO does not follow:"
            " choose the runtime 'onnx', or copy the folder to another place and give that"
        )


@contextlib.contextmanager
def _said_plainly(tower: Tower) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if tower.graph is None:
            raise  # a graph of ours: a mistake of ours
        raise CheckpointError(
            f"OpenVINO {ov.get_version().partition('-')[0]} cannot compute {tower.graph}:"
            " the file is damaged, or uses what this version does not have"
        ) from error


def _settings(tower: Tower, precision: str) -> dict[str, str]:
    return {
        "INFERENCE_PRECISION_HINT": _HINTS[precisions()[0] if precision == "int8" else precision],
        "PERFORMANCE_HINT": "THROUGHPUT" if tower.kind == "image" else "LATENCY",
    }


def _blob(tower: Tower, precision: str) -> Path | None:
    """Where a compiled tower is kept, by all that it depends on: weights, code, OpenVINO and processor."""
    if tower.cache is None:
        return None
    features = _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    processor = f"{_core().get_property('CPU', 'FULL_DEVICE_NAME')} {features} {os.cpu_count()}"
    code = [path.read_bytes() for path in _decisive(tower, precision)]
    made_by = hashlib.sha256(b"".join([ov.get_version().encode(), processor.encode(), *code])).hexdigest()[:12]
    return tower.cache / f"{tower.fingerprint[:24]}-{tower.kind}-{precision}-{made_by}.openvino"


def _decisive(tower: Tower, precision: str) -> list[Path]:
    """The files whose content decides a compiled tower, besides the checkpoint's: code, and what int8 was calibrated by."""
    here, files = Path(__file__), [Path(__file__)]
    if tower.graph:
        files += [here.with_name("_graphs.py")]
    else:  # the family, what it shares with others, and how its weights are made
        family = Path(tower.function.__code__.co_filename)
        files += [family, *sorted(family.parent.glob("_*.py")), *sorted(family.parent.glob("formats/*.py"))]
    if precision == "int8":
        files += [here.with_name("_int8.py"), *filter(None, [tower.calibration])]
    return [file for file in files if file.is_file()]


class _Mapped:
    """A blob in the address space, where a compiled tower looks for its weights as long as it lives.

    Most are read once, some when the tower is taken from the cache and some when it first runs, to be laid out anew for the
    processor: after either their pages are given back.
    """

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)  # writable, for OpenVINO takes no other
        self.tensor = ov.Tensor(np.frombuffer(self._map, np.uint8), shared_memory=True)
        self._rests = 2

    def rest(self) -> None:
        """Give back the pages that are in memory; those that are needed again come back by themselves."""
        if self._rests and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)
        self._rests = max(0, self._rests - 1)


def _from_cache(tower: Tower, precision: str) -> tuple[Any, _Mapped] | None:
    path = _blob(tower, precision)
    if path is None or not path.is_file():
        return None
    try:
        blob = _Mapped(path)
        compiled = _core().import_model(blob.tensor, "CPU", _settings(tower, precision))
        blob.rest()
        return compiled, blob
    except (RuntimeError, ValueError, OSError):  # written by another build, or cut short by a full disk: make it anew
        with contextlib.suppress(OSError):
            path.unlink()
        return None


def _keep(compiled: Any, blob: Path) -> bool:
    """Keep a compiled tower, and say whether that went well; a cache that cannot be written is no cache, not an error."""
    try:
        blob.parent.mkdir(parents=True, exist_ok=True)
        with replacing(blob) as part:
            part.write_bytes(compiled.export_model().getbuffer())
    except OSError:
        return False
    return True
