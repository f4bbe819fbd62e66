"""ONNX files made by anyone: what they want, how a batch becomes that, and whether they may be opened.

A runtime that is handed `Tower.graph` asks `plan` for the feeds and reads the file itself. The declarations are read here,
from protobuf's wire format (https://protobuf.dev/programming-guides/encoding) and with the numbers of onnx.proto, for the
package onnx is an extra, and no library says where a file's weights are before it opens them. Knows no runtime.
"""

import mmap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from glimpse.errors import CheckpointError, ModelUnsupported
from glimpse.runtimes import Tower
from glimpse.values import ModelCard, Rows

Batch = NDArray[Any]
Feeds = Mapping[Any, Batch]

OUTPUTS = (
    "embedding",
    "image_embeds",
    "text_embeds",
    "sentence_embedding",
    "pooler_output",
)  # which one, if there are several
MASK, SEGMENTS = "attention_mask", "token_type_ids"  # what text towers take besides ids

_TYPES = {
    1: "float32",
    2: "uint8",
    3: "int8",
    6: "int32",
    7: "int64",
    9: "bool",
    10: "float16",
    11: "float64",
    16: "bfloat16",
}
_FLOATS = ("float32", "float16", "float64")


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output as the file declares it; a dimension that may be any is None, a rank that may be any no shape."""

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None

    def __str__(self) -> str:
        sides = (
            "any shape" if self.shape is None else ", ".join("n" if side is None else str(side) for side in self.shape)
        )
        return f"{self.name} {self.dtype} ({sides})"


@dataclass(frozen=True, slots=True)
class Graph:
    """What a file declares; `beside` are the files with weights that it names."""

    path: Path
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    beside: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """How a runtime runs a graph.

    Attributes:
        feeds: a batch of uint8 (n, size, size, 3) or int64 (n, tokens) as the graph takes it, by input name.
        output: the name of the output that has the vectors.
        together: how many items the graph takes at a time, or None for any number.
        tokens: how many tokens it takes, or None for any number.
    """

    feeds: Callable[[Batch], Feeds]
    output: str
    together: int | None = None
    tokens: int | None = None

    def rows(self, output: Batch, shape: tuple[int, ...]) -> Rows:
        """Take the first rows of an output as float32 of unit length: `shape` says how many and how wide they are.

        Raises:
            CheckpointError: they are not; the file had left it open.
        """
        x = np.asarray(output[: shape[0]], np.float32)
        if x.shape != shape:
            raise CheckpointError(f"the ONNX file gives {x.shape} for {shape}: its config is that of another model")
        rows: Rows = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), np.float32(1e-12))
        return rows


def plan(tower: Tower, pad: int = 0) -> Plan:
    """Decide how a tower's own graph is fed; `pad` is the id after a text's end.

    Raises:
        CheckpointError: the file is missing or broken, is not the tower that the card says, or names weights elsewhere.
        ModelUnsupported: it is a graph that wants or gives something else.
    """
    assert tower.graph is not None  # noqa: S101  (for mypy: callers ask for nothing else)
    graph = read(tower.graph)
    output = _output(graph, tower.card.dim)
    if tower.kind == "image":
        return _of_images(graph, output, tower.card)
    return _of_texts(graph, output, tower.card, pad)


def _of_images(graph: Graph, output: str, card: ModelCard) -> Plan:
    if len(graph.inputs) != 1:
        _refuse(graph, "one batch of pictures")
    (port,) = graph.inputs
    wanted = "pictures, uint8 or float, (n, 3, size, size) or (n, size, size, 3)"
    if port.shape is None or len(port.shape) != 4 or port.dtype not in ("uint8", *_FLOATS):  # noqa: PLR2004
        _refuse(graph, wanted)
    if port.shape[1] != 3 and port.shape[3] not in (3, None):  # noqa: PLR2004
        _refuse(graph, wanted)
    # Where nothing is said, float means torch's order and uint8 that of picture files.
    planes = port.shape[1] == 3 or (port.shape[3] is None and port.dtype != "uint8")  # noqa: PLR2004
    sides = {side for side in (port.shape[2:] if planes else port.shape[1:3]) if side is not None}
    if sides - {card.pixels.size}:
        size = card.pixels.size
        raise CheckpointError(
            f"{graph.path} takes {port}, but its config says {size} × {size} pixels: they do not belong together"
        )
    picture = _pictures(port, card, planes=planes)
    together = port.shape[0]
    return Plan(lambda batch: {port.name: _filled(picture(batch), together)}, output, together)


def _pictures(port: Port, card: ModelCard, *, planes: bool) -> Callable[[Batch], Batch]:
    """uint8 (n, size, size, 3) → what the input declares: the bytes, or (x / 255 − mean) / std; (n, 3, size, size) if planes."""
    mean, std = np.array(card.pixels.mean), np.array(card.pixels.std)
    scale, offset = np.float32(1 / (255 * std)), np.float32(-mean / std)

    def prepared(pixels: Batch) -> Batch:
        x = pixels if port.dtype == "uint8" else (pixels * scale + offset).astype(port.dtype, copy=False)
        return np.ascontiguousarray(x.transpose(0, 3, 1, 2) if planes else x)

    return prepared


def _of_texts(graph: Graph, output: str, card: ModelCard, pad: int) -> Plan:
    mains = [port for port in graph.inputs if port.name not in (MASK, SEGMENTS)]
    if len(mains) != 1:
        _refuse(graph, "one batch of token ids")
    for port in graph.inputs:
        if port.shape is None or len(port.shape) != 2 or port.dtype not in ("int32", "int64"):  # noqa: PLR2004
            _refuse(graph, "token ids, int32 or int64, (n, tokens)")
    (main,) = mains
    assert main.shape is not None  # noqa: S101  (for mypy: looked at above)
    together, tokens = main.shape
    if tokens is not None and tokens < card.context:
        raise CheckpointError(
            f"{graph.path} takes {main}, but its config says {card.context} tokens: they do not belong together"
        )

    def feeds(ids: Batch) -> Feeds:
        whole = ids if tokens is None else np.pad(ids, ((0, 0), (0, tokens - ids.shape[1])), constant_values=pad)
        made = {main.name: whole, MASK: _mask(whole, card.end_id, pad), SEGMENTS: np.zeros_like(whole)}
        return {port.name: _filled(made[port.name].astype(port.dtype), together) for port in graph.inputs}

    return Plan(feeds, output, together, tokens)


def _mask(ids: Batch, end_id: int | None, pad: int) -> NDArray[np.bool_]:
    """Where there are tokens: up to the end's id where it is known and there, else up to the last id that is no padding."""
    tokens = ids.shape[1]
    ends = np.zeros(ids.shape, bool) if end_id is None else ids == end_id
    last = tokens - 1 - (ids != pad)[:, ::-1].argmax(1)
    last = np.where(ends.any(1), ends.argmax(1), last)
    return np.asarray(np.arange(tokens) <= last[:, None])


def _filled(batch: Batch, together: int | None) -> Batch:
    """Repeat the last item until there are as many as the graph takes."""
    missing = (together or len(batch)) - len(batch)
    return np.concatenate([batch, np.repeat(batch[-1:], missing, axis=0)]) if missing else batch


def _output(graph: Graph, dim: int) -> str:
    """The name of the output with the vectors: float (n, dim), by name where there are several."""
    rows = [
        port.name
        for port in graph.outputs
        if port.dtype in _FLOATS and (port.shape is None or (len(port.shape) == 2 and port.shape[1] in (dim, None)))  # noqa: PLR2004
    ]
    known = [name for name in OUTPUTS if name in rows]
    if not rows:
        has = ", ".join(map(str, graph.outputs)) or "none"
        raise ModelUnsupported(
            f"{graph.path} has the outputs: {has}; wanted is float (n, {dim}): export it with its projection"
        )
    return (known or rows)[0]


def _refuse(graph: Graph, wanted: str) -> NoReturn:
    has = ", ".join(map(str, graph.inputs)) or "none"
    raise ModelUnsupported(f"{graph.path} has the inputs: {has}; wanted is {wanted}: export the towers one by one")


# The wire format: a message is fields, a field its number, its kind and its value.
_Field = tuple[int, int | memoryview]

# Where tensors can be: field numbers of onnx.proto, by message.
_INSIDE = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "training": {1: "graph", 2: "graph"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_MODEL_GRAPH, _INITIALIZER, _INPUT, _OUTPUT = 7, 5, 11, 12
_TENSOR_NAME, _TENSOR_EXTERNAL = 8, 13


def read(path: Path) -> Graph:
    """Read what a file declares, and refuse one whose weights are not beside it.

    Raises:
        CheckpointError: there is no such file, it is no ONNX file or ends early, or it names weights elsewhere.
    """
    try:
        with path.open("rb") as file:
            content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: fetch or export it again") from error
    try:
        beside = tuple(_beside(path, location) for location in sorted(set(_locations(content))))
        return _declared(path, content, beside)
    except (ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} is no ONNX file, or is cut short: fetch or export it again") from error


def _declared(path: Path, content: memoryview, beside: tuple[Path, ...]) -> Graph:
    graphs = _parts(content, _MODEL_GRAPH)
    if len(graphs) != 1:
        raise ValueError("no graph")
    weights = {_text(tensor, _TENSOR_NAME) for tensor in _parts(graphs[0], _INITIALIZER)}
    inputs = [_port(part) for part in _parts(graphs[0], _INPUT)]
    outputs = tuple(_port(part) for part in _parts(graphs[0], _OUTPUT))
    inputs = [port for port in inputs if port.name not in weights]  # old files list weights too
    return Graph(path, tuple(inputs), outputs, beside)


def _port(content: memoryview) -> Port:
    """ValueInfoProto: name 1, type 2, in it tensor_type 1, in it elem_type 1 and shape 2, in it dim 1 with dim_value 1."""
    tensors = [tensor for kind in _parts(content, 2) for tensor in _parts(kind, 1)]
    numbers = [value for tensor in tensors for field, value in _fields(tensor) if field == 1]
    shapes = [shape for tensor in tensors for shape in _parts(tensor, 2)]
    sides = [dict(_fields(side)).get(1) for shape in shapes for side in _parts(shape, 1)]
    shape = tuple(side if isinstance(side, int) and side > 0 else None for side in sides) if shapes else None
    element = next((number for number in numbers if isinstance(number, int)), 0)
    return Port(_text(content, 1), _TYPES.get(element, f"type {element}"), shape)


def _locations(content: memoryview) -> Iterator[str]:
    """Every place outside the file that any of its tensors names."""
    waiting = [(content, "model")]
    while waiting:  # no recursion: graphs may be nested as deep as their maker liked
        message, kind = waiting.pop()
        if kind == "tensor":
            entries = [(_text(entry, 1), _text(entry, 2)) for entry in _parts(message, _TENSOR_EXTERNAL)]
            yield from (value for key, value in entries if key == "location")
            continue
        inside = _INSIDE[kind]
        waiting += [
            (value, inside[field])
            for field, value in _fields(message)
            if field in inside and isinstance(value, memoryview)
        ]


def _beside(path: Path, location: str) -> Path:
    """A file with weights; it has to be in the file's folder, or where the file's own link leads (the hub client's way)."""
    pure = (PurePosixPath(location), PureWindowsPath(location))
    data = (path.parent / location).resolve()
    inside = data.is_relative_to(path.parent.resolve()) or data.parent == path.resolve().parent
    if not location or any(one.anchor or ".." in one.parts for one in pure) or not inside:
        raise CheckpointError(f"{path} names weights outside its folder ({location!r}): it is not safe to open")
    if not data.is_file():
        raise CheckpointError(f"{path} needs {location} beside it: fetch or export it again")
    return path.parent / location


def _parts(message: memoryview, number: int) -> list[memoryview]:
    return [value for field, value in _fields(message) if field == number and isinstance(value, memoryview)]


def _text(message: memoryview, number: int) -> str:
    """The last of a field's values, as protobuf has it."""
    found = _parts(message, number)
    return bytes(found[-1]).decode() if found else ""


def _fields(message: memoryview) -> Iterator[_Field]:
    """The fields of a message: number, and the value of a whole number or the bytes of anything that has a length."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == 0:
            value, at = _varint(message, at)
            yield tag >> 3, value
            continue
        length, at = _varint(message, at) if kind == 2 else ({1: 8, 5: 4}.get(kind, -1), at)  # noqa: PLR2004
        if length < 0 or at + length > len(message):
            raise ValueError("no protobuf, or cut short")
        yield tag >> 3, message[at : at + length]
        at += length


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """A whole number of seven bits a byte, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise ValueError("cut short")
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:  # noqa: PLR2004
            return value, at
    raise ValueError("no number")
