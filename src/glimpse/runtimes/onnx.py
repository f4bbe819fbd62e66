"""Towers as ONNX graphs: computed by ONNX Runtime, on a processor or a GPU, or written to a file for whatever reads such files.

A graph takes what every run takes, uint8 (n, size, size, 3) or int64 (n, tokens), and gives "embedding", float32 (n, dim) unit
rows. A tower that is an ONNX file already is run as it is (see `_graphs.py`). Knows no model.
"""

import contextlib
import ctypes
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from glimpse import __version__
from glimpse.atomic import replacing
from glimpse.errors import CheckpointError, ModelError, UsageError
from glimpse.runtimes import Array, Run, Tower, _graphs
from glimpse.values import Rows

onnxruntime.disable_telemetry_events()  # builds for Windows tell Microsoft otherwise

# LayerNormalization came with 17 and Gelu with 20; 21 and later are beyond DirectML and older TensorRT and CoreML.
OPSET = 20
FORMAT = 9  # the file format that came with opset 20; onnx would write its newest, which older runtimes refuse

EMBEDDING = "embedding"
ONE_FILE = 1 << 30  # bytes of weights; more go into a file of their own, for protobuf ends at 2 GB
SMALL = 1024  # bytes of a weight that stays in the graph always: shapes and axes have to be known there
PAGE = 4096  # bytes: weights in a file of their own begin at pages, so that they can be mapped

# Pictures in one run; texts share a run as long as their tokens are few.
IMAGES_PER_RUN = 8
TOKENS_PER_RUN = 2048

# By device: which of ONNX Runtime's providers computes there, best first. TensorRT is none of them: it would build an engine
# for every new number of items, for minutes. CoreML was never measured here, so `auto` does not choose it.
_PROVIDERS = {"cuda": "CUDAExecutionProvider", "cpu": "CPUExecutionProvider", "coreml": "CoreMLExecutionProvider"}

_NEVER = -10_000.0  # added to a score, leaves nothing of it after the softmax, in float16 too


@dataclass(frozen=True, slots=True)
class Value:
    """What flows inside a graph: the name of a node's output, and its last dimension."""

    name: str
    width: int


class OnnxOps:
    """`glimpse.runtimes.Ops` as nodes of a graph that grows; all but the first and the last are computed in `dtype`.

    Attributes:
        nodes: of the graph, in the order in which they are computed.
        weights: what the nodes name, in the precision it is computed in.
    """

    def __init__(self, dtype: Literal["float32", "float16"] = "float32") -> None:
        self.nodes: list[Any] = []
        self.weights: dict[str, NDArray[Any]] = {}
        self.dtype = np.dtype(dtype)
        self._type = helper.np_dtype_to_tensor_dtype(self.dtype)
        self._masks: dict[str, Value] = {}

    def patchify(self, pixels: Value, weight: Array, bias: Array, patch: int) -> Value:
        # In float32 always: pixels up to 255 meet weights that are too small for float16.
        planes = self._node("Transpose", 3, self._node("Cast", 3, pixels, to=TensorProto.FLOAT), perm=[0, 3, 1, 2])
        kernel = self._keep(weight.transpose(3, 2, 0, 1), np.float32)
        x = self._node("Conv", 0, planes, kernel, self._keep(bias, np.float32), strides=[patch, patch])
        x = self._node("Reshape", 0, x, self._ints(0, 0, -1))
        return self._inner(self._node("Transpose", len(bias), x, perm=[0, 2, 1]))  # (n, patches, width)

    def merge(self, x: Value, side: int) -> Value:
        x = self._node("Reshape", x.width, x, self._ints(0, side // 2, 2, side // 2, 2, x.width))
        x = self._node("Transpose", x.width, x, perm=[0, 1, 3, 2, 4, 5])
        return self._node("Reshape", 4 * x.width, x, self._ints(0, side**2 // 4, 4 * x.width))

    def embed(self, ids: Value, table: Array, positions: Array) -> Value:
        rows = self._node("Gather", table.shape[1], self._keep(table), ids, axis=0)
        tokens = self._node("Shape", 1, ids, start=1, end=2)
        return self.add(
            rows, self._node("Slice", table.shape[1], self._keep(positions), self._ints(0), tokens, self._ints(0))
        )

    def prepend(self, row: Array, x: Value) -> Value:
        rows = self._for_all(row.reshape(1, 1, -1), x)
        return self._node("Concat", x.width, rows, x, axis=1)

    def add(self, x: Value, y: Value | Array) -> Value:
        return self._node("Add", x.width, x, self._value(y))

    def multiply(self, x: Value, y: Value | Array) -> Value:
        return self._node("Mul", x.width, x, self._value(y))

    def linear(self, x: Value, weight: Array, bias: Array | None = None) -> Value:
        y = self._node("MatMul", len(weight), x, self._keep(weight.T))
        return y if bias is None else self.add(y, bias)

    def layer_norm(self, x: Value, weight: Array, bias: Array, eps: float) -> Value:
        return self._node(
            "LayerNormalization", x.width, x, self._keep(weight), self._keep(bias), axis=-1, epsilon=float(eps)
        )

    def attention(self, qkv: Value, heads: int, *, causal: bool = False, rotary: Array | None = None) -> Value:
        width = qkv.width // 3
        q, k, v = (self._heads(part, heads) for part in self._split(qkv, 3))
        if rotary is not None:
            q, k = self._turned(q, rotary), self._turned(k, rotary)
        x = self._attend(q, k, v, self._mask(qkv) if causal else None)
        x = self._node("Transpose", width // heads, x, perm=[0, 2, 1, 3])
        return self._node("Reshape", width, x, self._ints(0, 0, width))

    def pool(self, q: Value | Array, kv: Value, heads: int) -> Value:
        width = kv.width // 2
        k, v = (self._heads(part, heads) for part in self._split(kv, 2))
        q = self._node("Reshape", width // heads, self._value(q), self._ints(-1, heads, 1, width // heads))
        return self._node("Reshape", width, self._attend(q, k, v, None), self._ints(-1, width))

    def gelu(self, x: Value) -> Value:
        return self._node("Gelu", x.width, x)

    def gelu_tanh(self, x: Value) -> Value:
        return self._node("Gelu", x.width, x, approximate="tanh")

    def quick_gelu(self, x: Value) -> Value:
        return self.multiply(x, self._node("Sigmoid", x.width, self._scaled(x, 1.702)))

    def silu(self, x: Value) -> Value:
        return self.multiply(x, self._node("Sigmoid", x.width, x))

    def end(self, ids: Value, end_id: int | None) -> Value:
        marks = ids if end_id is None else self._node("Equal", 0, ids, self._ints(end_id))
        return self._node("ArgMax", 1, self._node("Cast", 0, marks, to=TensorProto.INT32), axis=1, keepdims=1)  # (n, 1)

    def take(self, x: Value, place: Value | int) -> Value:
        if isinstance(place, int):
            return self._node("Gather", x.width, x, self._scalar(place), axis=1)
        return self._node("GatherND", x.width, x, place, batch_dims=1)

    def mean(self, x: Value, first: int = 0) -> Value:
        if first:
            x = self._node("Slice", x.width, x, self._ints(first), self._ints(np.iinfo(np.int64).max), self._ints(1))
        return self._node("ReduceMean", x.width, x, self._ints(1), keepdims=0)

    def unit(self, x: Value) -> Value:
        x = self._node("Cast", x.width, x, to=TensorProto.FLOAT) if self.dtype != np.float32 else x
        length = self._node("ReduceL2", 1, x, self._ints(-1), keepdims=1)
        least = self._keep(np.array(1e-12), np.float32)
        return self._node("Div", x.width, x, self._node("Max", 1, length, least))

    def _attend(self, q: Value, k: Value, v: Value, mask: Value | None) -> Value:
        """Softmax(q · kᵀ / √head width + mask) · v, each (n, heads, tokens, head width)."""
        keys = self._node("Transpose", 0, k, perm=[0, 1, 3, 2])
        scores = self._node("MatMul", 0, self._scaled(q, q.width**-0.5), keys)
        scores = scores if mask is None else self.add(scores, mask)
        return self._node("MatMul", v.width, self._node("Softmax", 0, scores, axis=-1), v)

    def _split(self, x: Value, parts: int) -> list[Value]:
        width = x.width // parts
        names = [f"split.{len(self.nodes)}.{part}" for part in range(parts)]
        self.nodes.append(helper.make_node("Split", [x.name, self._ints(*[width] * parts).name], names, axis=-1))
        return [Value(name, width) for name in names]

    def _heads(self, x: Value, heads: int) -> Value:
        """(n, tokens, width) → (n, heads, tokens, head width)."""
        x = self._node("Reshape", x.width // heads, x, self._ints(0, 0, heads, x.width // heads))
        return self._node("Transpose", x.width, x, perm=[0, 2, 1, 3])

    def _turned(self, x: Value, rotary: Array) -> Value:
        first, second = self._split(x, 2)
        sines = rotary[1] * np.repeat([-1, 1], rotary.shape[2] // 2)
        other = self.multiply(self._node("Concat", x.width, second, first, axis=-1), sines)
        return self.add(self.multiply(x, rotary[0]), other)

    def _mask(self, x: Value) -> Value:
        """What is added to scores so that no token sees a later one: (tokens, tokens), made once for all layers."""
        if "causal" not in self._masks:
            tokens = self._node("Shape", 1, x, start=1, end=2)
            shape = self._node("Concat", 1, tokens, tokens, axis=0)
            never = helper.make_tensor("never", self._type, [1], [_NEVER])
            full = self._node("ConstantOfShape", 0, shape, value=never)
            self._masks["causal"] = self._node("Trilu", 0, full, self._scalar(1), upper=1)
        return self._masks["causal"]

    def _for_all(self, row: Array, x: Value) -> Value:
        """One row (1, 1, width) for each item of x."""
        items = self._node("Shape", 1, x, start=0, end=1)
        return self._node("Expand", x.width, self._keep(row), self._node("Concat", 1, items, self._ints(1, 1), axis=0))

    def _scaled(self, x: Value, factor: float) -> Value:
        return self.multiply(x, np.array(factor))

    def _inner(self, x: Value) -> Value:
        return x if self.dtype == np.float32 else self._node("Cast", x.width, x, to=self._type)

    def _node(self, kind: str, width: int, *inputs: Value, **attributes: Any) -> Value:
        name = f"{kind.lower()}.{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, [value.name for value in inputs], [name], name, **attributes))
        return Value(name, width)

    def _value(self, x: Value | Array) -> Value:
        return self._keep(x) if isinstance(x, np.ndarray) else x

    def _keep(self, array: NDArray[Any], dtype: Any = None) -> Value:
        name = f"weight.{len(self.weights)}"
        self.weights[name] = np.ascontiguousarray(array, dtype or self.dtype).reshape(array.shape)
        return Value(name, array.shape[-1] if array.ndim else 1)

    def _ints(self, *values: int) -> Value:
        return self._keep(np.array(values), np.int64)

    def _scalar(self, value: int) -> Value:
        return self._keep(np.array(value), np.int64)


def devices() -> tuple[str, ...]:
    """The GPUs of ONNX Runtime's CUDA build, the processor, and what CoreML drives."""
    there = onnxruntime.get_available_providers()
    cuda = tuple(f"cuda:{place}" for place in range(_gpus())) if _PROVIDERS["cuda"] in there else ()
    return (*cuda, "cpu", *(["coreml"] if _PROVIDERS["coreml"] in there else []))


def _gpus() -> int:
    """How many GPUs the driver has; a CUDA build is no sign of one."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int()
    good = driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0
    return count.value if good else 0


def precisions(device: str = "cpu") -> tuple[str, ...]:
    """What is computed in: float16 on CUDA; ONNX Runtime's processor code has nothing faster than float32."""
    return ("float16", "float32") if device.startswith("cuda") else ("float32",)


def compile_tower(tower: Tower, precision: str) -> Run:
    """Make a session of a tower, or of the ONNX file that it is, in that file's own precision."""
    if tower.graph is None:
        plan = _graphs.Plan(lambda batch: {tower.kind: np.ascontiguousarray(batch)}, EMBEDDING)
    else:
        plan = _graphs.plan(tower)
    session = _session(tower, precision)

    def run(batch: NDArray[Any]) -> Rows:
        rows = np.empty((len(batch), tower.card.dim), np.float32)
        for place in _slices(batch, plan):
            part = batch[place]
            with _said_plainly(tower):
                (output,) = session.run([plan.output], dict(plan.feeds(part)))
            rows[place] = plan.rows(output, (len(part), tower.card.dim))
        return rows

    return run


def _slices(batch: NDArray[Any], plan: _graphs.Plan) -> list[slice]:
    is_text = batch.ndim == 2  # noqa: PLR2004  (n, tokens) against (n, size, size, 3)
    best = TOKENS_PER_RUN // max(1, plan.tokens or batch.shape[1]) if is_text else IMAGES_PER_RUN
    step = plan.together or max(1, best)
    return [slice(i, i + step) for i in range(0, len(batch), step)]


def _session(tower: Tower, precision: str) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is raised, and said in one sentence
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # decoders work beside it
    providers = _providers(tower.devices[0])
    if tower.graph is None:
        model, weights = _model(tower, "float16" if precision == "float16" else "float32")
        large = {name: array for name, array in weights.items() if array.nbytes > SMALL}
        _put_inside(model, {name: array for name, array in weights.items() if name not in large})
        _put_outside(model, large, "in memory")
        options.add_external_initializers(
            list(large), [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in large.values()]
        )
        source: Any = model.SerializeToString()
    else:
        source = str(tower.graph)
    with _said_plainly(tower):
        session = onnxruntime.InferenceSession(source, options, providers=providers, enable_fallback=0)
    if session.get_providers()[0] != providers[0][0]:
        raise UsageError(
            f"ONNX Runtime cannot load what it needs for the device {tower.devices[0]!r}:"
            " install CUDA and cuDNN as its documentation says, or choose the device 'cpu'"
        )
    return session


def _providers(device: str) -> list[tuple[str, dict[str, str]]]:
    kind, _, place = device.partition(":")
    provider = _PROVIDERS.get(kind)
    if provider not in onnxruntime.get_available_providers():
        raise UsageError(f"ONNX Runtime has no device {device!r} here: choose {' or '.join(devices())}")
    if kind == "cuda":
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it did not find, which may not be needed
            onnxruntime.preload_dlls()
    settings = {"cuda": {"device_id": place or "0"}, "coreml": {"ModelFormat": "MLProgram"}}.get(kind, {})
    processor = (_PROVIDERS["cpu"], dict[str, str]())
    return [processor] if kind == "cpu" else [(str(provider), settings), processor]


@contextlib.contextmanager
def _said_plainly(tower: Tower) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # its errors have no common root
        name = f"ONNX Runtime {onnxruntime.__version__}"
        if tower.graph is None:
            raise ModelError(f"{name} cannot compute {tower.card.name} on the device {tower.devices[0]!r}") from error
        raise CheckpointError(
            f"{name} cannot compute {tower.graph}: the file is damaged, or uses what this version does not have"
        ) from error


def export_tower(tower: Tower, path: Path, precision: Literal["float32", "float16"] = "float32") -> None:
    """Write a tower as an ONNX file, and weights of more than ONE_FILE bytes beside it, as `<name>.data`.

    Args:
        tower: one with function and weights.
        path: the file, as in model.onnx; its folder is there.
        precision: of weights and computation. What goes in (uint8 or int64) and comes out (float32) is the same for both.

    Raises:
        UsageError: the tower is an ONNX file already.
    """
    if tower.graph is not None:
        raise UsageError(f"{tower.card.name} is an ONNX file already: copy {tower.graph}")
    model, weights = _model(tower, precision)
    data = path.with_name(f"{path.name}.data")
    path.unlink(missing_ok=True)  # never an old graph beside new weights
    data.unlink(missing_ok=True)
    if sum(array.nbytes for array in weights.values()) > ONE_FILE:
        large = {name: array for name, array in weights.items() if array.nbytes > SMALL}
        weights = {name: array for name, array in weights.items() if name not in large}
        _write_data(data, large, _put_outside(model, large, data.name))
    _put_inside(model, weights)
    with replacing(path) as part:
        part.write_bytes(model.SerializeToString(deterministic=True))


def _write_data(path: Path, weights: dict[str, NDArray[Any]], offsets: list[int]) -> None:
    with replacing(path) as part, part.open("wb") as file:
        for array, offset in zip(weights.values(), offsets, strict=True):
            file.seek(offset)
            file.write(array.data)


def _model(tower: Tower, dtype: Literal["float32", "float16"]) -> tuple[Any, dict[str, NDArray[Any]]]:
    """A tower as a graph, still without the weights that it names."""
    ops, size = OnnxOps(dtype), tower.card.pixels.size
    rows = tower.function(ops, tower.weights(), tower.card, Value(tower.kind, 3))
    ops.nodes.append(helper.make_node("Identity", [rows.name], [EMBEDDING], EMBEDDING))
    pixels = helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", size, size, 3])
    ids = helper.make_tensor_value_info("text", TensorProto.INT64, ["n", "tokens"])
    given = helper.make_tensor_value_info(EMBEDDING, TensorProto.FLOAT, ["n", tower.card.dim])
    doc = {
        "image": f"Pictures, RGB, resized and cropped to {size} × {size}, to unit vectors.",
        "text": f"Token ids, up to {tower.card.context}, {_AFTER[tower.card.words.padding]}, to unit vectors.",
    }[tower.kind]
    graph = helper.make_graph(
        ops.nodes, tower.kind, [{"image": pixels, "text": ids}[tower.kind]], [given], doc_string=doc
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=FORMAT,
        producer_name="glimpse",
        producer_version=__version__,
        doc_string=f"The {tower.kind} tower of {tower.card.name}. {doc}",
    )
    return model, ops.weights


_AFTER = {
    "free": "anything after a text's end",
    "full": "padded to that by the tokenizer's own",
    "none": "texts of one length together, without padding",
}


def _put_inside(model: Any, weights: dict[str, NDArray[Any]]) -> None:
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in weights.items())


def _put_outside(model: Any, weights: dict[str, NDArray[Any]], location: str) -> list[int]:
    """Name weights that are elsewhere, one after the other; returns where each begins."""
    offsets, end = [], 0
    for name, array in weights.items():
        begin = -(-end // PAGE) * PAGE
        end = begin + array.nbytes
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        tensor = TensorProto(name=name, dims=array.shape, data_type=kind, data_location=TensorProto.EXTERNAL)
        for key, value in {"location": location, "offset": begin, "length": array.nbytes}.items():
            tensor.external_data.add(key=key, value=str(value))
        model.graph.initializer.append(tensor)
        offsets.append(begin)
    return offsets
