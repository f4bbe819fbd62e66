"""ONNX files: ours, written and read again, and those of others."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")

import glimpse  # noqa: E402  (after the check that there is anything to test)
from glimpse import registry  # noqa: E402
from glimpse.errors import CheckpointError, ModelUnsupported, UsageError  # noqa: E402
from glimpse.runtimes import Tower, _graphs  # noqa: E402
from glimpse.runtimes import onnx as runtime  # noqa: E402
from glimpse.values import ModelCard, PixelRules, TowerShape  # noqa: E402

ORACLE = registry.find("runtimes", "numpy")
READERS = [registry.find("runtimes", name) for name in ("onnx", "openvino")]
WIDTH, DIM, SIZE, PATCH, CONTEXT, END = 32, 24, 32, 16, 12, 49
SHAPE = TowerShape(WIDTH, 1, 2, 64, "gelu")
CARD = ModelCard("foreign", "clip", DIM, PATCH, SHAPE, SHAPE, PixelRules(SIZE, SIZE), CONTEXT, 50, END, 1.0)

RANDOM = np.random.default_rng(3)
PIXELS = RANDOM.integers(0, 256, (5, SIZE, SIZE, 3), np.uint8)
IDS = np.zeros((5, 7), np.int64)
for _row, _tokens in zip(IDS, (2, 7, 4, 3, 5), strict=True):
    _row[:_tokens] = [*RANDOM.integers(1, END, _tokens - 1), END]
BATCHES = {"image": PIXELS, "text": IDS}


def some(*shape: int) -> np.ndarray:
    return RANDOM.normal(0, 0.2, shape).astype(np.float32)


WEIGHTS = {
    "patch": some(PATCH, PATCH, 3, WIDTH),
    "class": some(WIDTH),
    "table": some(50, WIDTH),
    "positions": some(CONTEXT, WIDTH),
    "qkv": some(3 * WIDTH, WIDTH),
    "up": some(2 * WIDTH, WIDTH),
    "down": some(WIDTH, 2 * WIDTH),
    "bias": some(WIDTH),
    "projection": some(DIM, WIDTH),
}


def features(ops, w, ids_or_pixels, kind):
    """A small tower of either kind, before it is scaled to unit length."""
    if kind == "image":
        mean, std = np.array(CARD.pixels.mean), np.array(CARD.pixels.std)
        weight = (w["patch"] / (255 * std[:, None])).astype(np.float32)
        bias = -(w["patch"] * (mean / std)[:, None]).sum((0, 1, 2)).astype(np.float32)
        x = ops.prepend(w["class"], ops.patchify(ids_or_pixels, weight, bias, PATCH))
    else:
        x = ops.embed(ids_or_pixels, w["table"], w["positions"])
    y = ops.layer_norm(x, w["bias"], w["class"], 1e-5)
    x = ops.add(x, ops.attention(ops.linear(y, w["qkv"]), 2, causal=kind == "text"))
    x = ops.add(x, ops.linear(ops.gelu(ops.linear(x, w["up"])), w["down"], w["bias"]))
    x = ops.take(x, 0) if kind == "image" else ops.take(x, ops.end(ids_or_pixels, END))
    return ops.linear(x, w["projection"])


def tower_of(kind: str) -> Tower:
    def function(ops, w, _card, given):
        return ops.unit(features(ops, w, given, kind))

    return Tower(kind, function, CARD, lambda: WEIGHTS, f"small-{kind}", None)


def expected(kind: str) -> np.ndarray:
    return ORACLE.compile_tower(tower_of(kind), "float32")(BATCHES[kind])


def file_tower(kind: str, graph: Path, **changed) -> Tower:
    """As the encoder makes one of a folder with ONNX files: there is neither a function nor are there weights."""
    return Tower(kind, None, replace(CARD, **changed), dict, "of the file", None, graph=graph)


def plainly(path: Path, batch: np.ndarray) -> np.ndarray:
    """What anybody gets from ONNX Runtime."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (rows,) = session.run(["embedding"], {session.get_inputs()[0].name: batch})
    return rows


@pytest.fixture(params=READERS, ids=lambda module: module.__name__.rpartition(".")[2])
def reader(request):
    return request.param


@pytest.fixture(params=["image", "text"])
def kind(request):
    return request.param


@pytest.fixture
def exported(tmp_path: Path) -> Callable[..., Path]:
    def export(kind: str, precision: str = "float32") -> Path:
        path = tmp_path / f"{kind}.onnx"
        runtime.export_tower(tower_of(kind), path, precision)
        return path

    return export


# Ours, written.


def test_an_exported_tower_is_sound_and_says_who_made_it(kind, exported):
    path = exported(kind)
    onnx.checker.check_model(str(path), full_check=True)
    model = onnx.load(str(path))
    assert (model.producer_name, model.producer_version) == ("glimpse", glimpse.__version__)
    assert "foreign" in model.doc_string
    assert [(one.domain, one.version) for one in model.opset_import] == [("", runtime.OPSET)]
    (taken,), (given,) = _graphs.read(path).inputs, _graphs.read(path).outputs
    assert str(taken) == {"image": "image uint8 (n, 32, 32, 3)", "text": "text int64 (n, n)"}[kind]
    assert str(given) == "embedding float32 (n, 24)"
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_anybody_gets_the_oracles_rows_of_it(kind, exported):
    path, batch = exported(kind), BATCHES[kind]
    rows = plainly(path, batch)
    assert rows.dtype == np.float32
    assert np.abs(rows - expected(kind)).max() <= 1e-5
    assert np.abs(plainly(path, batch[:1]) - rows[:1]).max() <= 1e-6


def test_texts_may_have_any_number_of_tokens(exported):
    whole = np.pad(IDS, ((0, 0), (0, CONTEXT - IDS.shape[1])))
    assert np.abs(plainly(exported("text"), whole) - expected("text")).max() <= 1e-5


def test_float16_stays_close_and_is_half_the_size(kind, exported):
    large = exported(kind).stat().st_size
    path = exported(kind, "float16")
    onnx.checker.check_model(str(path), full_check=True)
    rows = plainly(path, BATCHES[kind])
    assert rows.dtype == np.float32
    assert (rows * expected(kind)).sum(1).min() >= 0.999
    assert path.stat().st_size < large * {"image": 0.9, "text": 0.6}[kind]  # the patches stay in float32


def test_many_weights_get_a_file_of_their_own(kind, exported, reader, monkeypatch):
    monkeypatch.setattr(runtime, "ONE_FILE", 1000)
    path = exported(kind)
    assert sorted(one.name for one in path.parent.iterdir()) == [path.name, f"{path.name}.data"]
    onnx.checker.check_model(str(path), full_check=True)
    assert np.abs(plainly(path, BATCHES[kind]) - expected(kind)).max() <= 1e-5
    run = reader.compile_tower(file_tower(kind, path), "float32")
    assert np.abs(run(BATCHES[kind]) - expected(kind)).max() <= 1e-5
    monkeypatch.undo()
    exported(kind)  # over it
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_an_export_is_the_same_every_time(kind, exported):
    assert exported(kind).read_bytes() == exported(kind).read_bytes()


def test_a_tower_that_is_a_file_is_not_exported(tmp_path):
    with pytest.raises(UsageError, match="copy"):
        runtime.export_tower(file_tower("image", tmp_path / "a.onnx"), tmp_path / "b.onnx")


def test_an_exported_tower_is_read_again(kind, exported, reader):
    for precision in reader.precisions(reader.devices()[-1]):
        rows = reader.compile_tower(file_tower(kind, exported(kind)), precision)(BATCHES[kind])
        least = 0.99999 if precision == "float32" else 0.999
        assert (rows * expected(kind)).sum(1).min() >= least
        assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def test_openvino_keeps_a_file_s_tower_too(exported, tmp_path):
    openvino, cache = registry.find("runtimes", "openvino"), tmp_path / "cache"
    tower = replace(file_tower("image", exported("image")), cache=cache)
    first = openvino.compile_tower(tower, "float32")(PIXELS)
    (blob,) = cache.iterdir()
    made = blob.stat().st_mtime_ns
    assert np.array_equal(openvino.compile_tower(tower, "float32")(PIXELS), first)
    assert blob.stat().st_mtime_ns == made
    openvino.compile_tower(replace(tower, fingerprint="of another file"), "float32")
    assert len(list(cache.iterdir())) == 2


# Of others.


def foreign(path: Path, kind: str, taken: tuple[str, int, list], name: str = "embedding", extra=()) -> Path:
    """A file as other exporters make it: pictures normalised by the caller, or ids int32, and rows of any length."""
    ops = runtime.OnnxOps()
    feed, dtype, shape = taken
    given = runtime.Value(feed, 3)
    if kind == "image":
        # Back to what `features` takes, which folds mean and std into the weights.
        given = ops.add(
            ops.multiply(given, np.array(CARD.pixels.std).reshape(3, 1, 1)), np.array(CARD.pixels.mean).reshape(3, 1, 1)
        )
        given = ops._node("Round", 3, ops.multiply(given, np.array(255.0)))
        given = ops._node("Transpose", 3, given, perm=[0, 2, 3, 1])
    else:
        given = ops._node("Cast", 1, given, to=onnx.TensorProto.INT64)
    rows = features(ops, WEIGHTS, given, kind)
    for other in extra:  # each is used, and changes nothing where it is 1 for every token up to the end
        rows = masked(ops, rows, given, other)
    rows = ops.multiply(rows, np.array(3.0))  # no unit length
    ops.nodes.append(onnx.helper.make_node("Identity", [rows.name], [name]))
    inputs = [onnx.helper.make_tensor_value_info(feed, dtype, shape)]
    inputs += [onnx.helper.make_tensor_value_info(other, onnx.TensorProto.INT64, shape) for other in extra]
    output = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [shape[0], DIM])
    hidden = onnx.helper.make_tensor_value_info("before", onnx.TensorProto.FLOAT, [shape[0], DIM])
    ops.nodes.append(onnx.helper.make_node("Neg", [rows.name], ["before"]))
    weights = [onnx.numpy_helper.from_array(array, key) for key, array in ops.weights.items()]
    graph = onnx.helper.make_graph(ops.nodes, kind, inputs, [hidden, output], weights)
    opset = onnx.helper.make_opsetid("", runtime.OPSET)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=9), str(path))
    return path


def masked(ops, rows, ids, name: str):
    """Take the negative of a row whose mask is not as many ones as its text has tokens."""
    ones = ops._node("ReduceSum", 1, runtime.Value(name, 1), ops._ints(1), keepdims=1)
    tokens = ops._node("Add", 1, ops.end(ids, END), ops._ints(1))
    right = ops._node("Equal", 1, ones, tokens)
    return ops._node("Where", DIM, right, rows, ops._node("Neg", DIM, rows))


FLOAT, FLOAT16, INT32, INT64 = (getattr(onnx.TensorProto, name) for name in ("FLOAT", "FLOAT16", "INT32", "INT64"))


@pytest.mark.parametrize(
    ("kind", "taken", "name"),
    [
        ("image", ("image", FLOAT, ["batch", 3, SIZE, SIZE]), "embedding"),
        ("image", ("image", FLOAT, [1, 3, SIZE, SIZE]), "embedding"),
        ("image", ("pixel_values", FLOAT, ["batch", "channels", "height", "width"]), "image_embeds"),
        ("image", ("pixel_values", FLOAT, [3, 3, "height", "width"]), "image_embeds"),
        ("text", ("text", INT32, [1, CONTEXT]), "embedding"),
        ("text", ("text", INT32, ["batch", CONTEXT]), "embedding"),
        ("text", ("input_ids", INT64, ["batch", "tokens"]), "text_embeds"),
        ("text", ("input_ids", INT64, [2, CONTEXT]), "sentence_embedding"),
    ],
)
def test_a_file_in_another_form_gives_the_oracles_rows(kind, taken, name, reader, tmp_path):
    path = foreign(tmp_path / "model.onnx", kind, taken, name)
    run = reader.compile_tower(file_tower(kind, path), "float32")
    rows = run(BATCHES[kind])
    assert rows.dtype == np.float32
    assert np.abs(rows - expected(kind)).max() <= 1e-5
    assert np.abs(run(BATCHES[kind][:1]) - rows[:1]).max() <= 1e-5
    assert run(BATCHES[kind][:0]).shape == (0, DIM)


@pytest.mark.parametrize("shape", [["batch", "tokens"], [1, CONTEXT]])
def test_a_mask_has_ones_where_there_are_tokens(shape, reader, tmp_path):
    path = foreign(tmp_path / "model.onnx", "text", ("input_ids", INT64, shape), extra=("attention_mask",))
    rows = reader.compile_tower(file_tower("text", path), "float32")(IDS)
    assert np.abs(rows - expected("text")).max() <= 1e-5


def test_a_mask_without_an_end_goes_to_the_last_id_that_is_no_padding():
    ids = np.array([[5, 6, 0, 7, 0, 0], [5, 6, 7, 8, 9, 1]])
    assert _graphs._mask(ids, None, 0).sum(1).tolist() == [4, 6]
    assert _graphs._mask(ids, 6, 0).sum(1).tolist() == [2, 2]
    assert _graphs._mask(np.array([[5, 1, 1, 1]]), 1, 1).sum(1).tolist() == [2]  # SigLIP's end is its padding


@pytest.mark.parametrize(
    ("port", "shown"),
    [
        (("uint8", (None, 3, 4, 4)), "planes"),
        (("uint8", (None, None, None, None)), "bytes"),
        (("float32", (None, 4, 4, 3)), "floats"),
        (("float16", (None, 3, 4, 4)), "float planes"),
    ],
)
def test_pictures_are_laid_out_as_the_file_says(port, shown, tmp_path):
    pixels = RANDOM.integers(0, 256, (2, 4, 4, 3), np.uint8)
    card = replace(CARD, pixels=PixelRules(4, 4))
    graph = _graphs.Graph(tmp_path, (_graphs.Port("x", *port),), ())
    fed = _graphs._of_images(graph, "y", card).feeds(pixels)["x"]
    normal = (pixels / 255 - np.array(card.pixels.mean)) / np.array(card.pixels.std)
    wanted = normal if "float" in shown else pixels
    assert fed.dtype == port[0]
    assert np.allclose(fed, wanted.transpose(0, 3, 1, 2) if "planes" in shown else wanted, atol=1e-2)


# Refused.


def small(path: Path, node=None, inputs=None, outputs=None, weights=()) -> Path:
    """A file that adds what it is given to itself, or what else is asked for."""
    make = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [node or onnx.helper.make_node("Add", ["image", "image"], ["embedding"])],
        "small",
        [make(*one) for one in inputs or [("image", FLOAT, ["n", 3, SIZE, SIZE])]],
        [make(*one) for one in outputs or [("embedding", FLOAT, ["n", DIM])]],
        weights,
    )
    path.write_bytes(onnx.helper.make_model(graph, ir_version=9).SerializeToString())
    return path


@pytest.mark.parametrize(
    ("kind", "inputs", "outputs", "says"),
    [
        ("image", [("image", INT64, ["n", 3, SIZE, SIZE])], None, "image int64 (n, 3, 32, 32); wanted is pictures"),
        ("image", [("image", FLOAT, ["n", 4, SIZE, SIZE])], None, "wanted is pictures"),
        ("image", [("image", FLOAT, ["n", 3])], None, "wanted is pictures"),
        ("image", [("image", FLOAT, None)], None, "any shape"),
        ("image", [("image", FLOAT, [1, 3, 9, 9]), ("ids", INT64, [1, 3])], None, "one batch of pictures"),
        ("image", None, [("embedding", FLOAT, ["n", DIM + 1])], "wanted is float (n, 24)"),
        ("image", None, [("last_hidden_state", FLOAT, ["n", 5, DIM])], "wanted is float (n, 24)"),
        ("image", None, [("embedding", INT64, ["n", DIM])], "wanted is float (n, 24)"),
        ("text", [("text", FLOAT, ["n", "tokens"])], None, "wanted is token ids"),
        ("text", [("text", INT64, ["n"])], None, "wanted is token ids"),
        ("text", [("text", INT64, ["n", 77]), ("image", FLOAT, [1, 3, 9, 9])], None, "one batch of token ids"),
    ],
)
def test_what_does_not_fit_says_what_there_is_and_what_is_wanted(kind, inputs, outputs, says, tmp_path, reader):
    path = small(tmp_path / "a.onnx", inputs=inputs, outputs=outputs)
    with pytest.raises(ModelUnsupported) as caught:
        reader.compile_tower(file_tower(kind, path), "float32")
    assert says in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_file_and_a_config_that_do_not_belong_together(tmp_path, reader):
    tower = file_tower("image", small(tmp_path / "a.onnx"), pixels=PixelRules(48, 48))
    with pytest.raises(CheckpointError, match="48 × 48 pixels"):
        reader.compile_tower(tower, "float32")
    path = small(tmp_path / "b.onnx", inputs=[("text", INT64, ["n", CONTEXT - 1])])
    with pytest.raises(CheckpointError, match="12 tokens"):
        reader.compile_tower(file_tower("text", path), "float32")


@pytest.mark.parametrize(
    "content", [None, b"", b"no ONNX", b"\x00" * 64, bytes(range(256)), "half", "nearly all", "{}"]
)
def test_a_file_that_is_none_is_said_to_be(content, tmp_path, exported, reader):
    path = tmp_path / "a.onnx"
    if isinstance(content, str):
        whole = exported("image").read_bytes()
        content = {"half": whole[: len(whole) // 2], "nearly all": whole[:-3]}.get(content, content.encode())
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"a\.onnx (cannot be read|is no ONNX file)"):
        reader.compile_tower(file_tower("image", path), "float32")


def test_operators_of_elsewhere_are_one_sentence(tmp_path, reader, capfd):
    node = onnx.helper.make_node("Secret", ["image"], ["embedding"], domain="com.example")
    with pytest.raises(CheckpointError) as caught:
        reader.compile_tower(file_tower("image", small(tmp_path / "a.onnx", node)), "float32")
    assert "what this version does not have" in str(caught.value)
    assert "Secret" not in str(caught.value)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("to", [[7, 7], [-1, DIM * 2]])
def test_what_fails_as_it_runs_is_one_sentence(to, tmp_path, reader, capfd):
    node = onnx.helper.make_node("Reshape", ["image", "to"], ["embedding"])
    weights = [onnx.numpy_helper.from_array(np.array(to), "to")]
    path = small(tmp_path / "a.onnx", node, outputs=[("embedding", FLOAT, ["n", "dim"])], weights=weights)
    run = reader.compile_tower(file_tower("image", path), "float32")
    with pytest.raises(CheckpointError, match=r"cannot compute|another model"):
        run(PIXELS)
    assert capfd.readouterr().err == ""


def elsewhere(location: str, name: str = "w"):
    """Weights (24,) that are in another file."""
    tensor = onnx.TensorProto(name=name, dims=[DIM], data_type=FLOAT, data_location=onnx.TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    return tensor


@pytest.mark.parametrize(
    "location", ["../secret", "/etc/passwd", "inner/../../secret", "link", "C:\\secret", "..\\secret", ""]
)
@pytest.mark.parametrize("inside", [False, True])
def test_weights_elsewhere_are_refused(location, inside, tmp_path, reader):
    (tmp_path / "secret").write_bytes(bytes(4 * DIM))
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "secret")
    node, weights = None, [elsewhere(location)]
    if inside:  # a constant of a graph within a node
        constant = onnx.helper.make_node("Constant", [], ["c"], value=elsewhere(location))
        branch = onnx.helper.make_graph([constant], "b", [], [onnx.helper.make_tensor_value_info("c", FLOAT, [DIM])])
        node, weights = (
            onnx.helper.make_node("If", ["image"], ["embedding"], then_branch=branch, else_branch=branch),
            [],
        )
    path = small(folder / "a.onnx", node, weights=weights)
    with pytest.raises(CheckpointError, match="outside its folder"):
        reader.compile_tower(file_tower("image", path), "float32")


def test_weights_that_are_missing_are_named(tmp_path, reader):
    path = small(tmp_path / "a.onnx", weights=[elsewhere("a.onnx.data")])
    with pytest.raises(CheckpointError, match=r"needs a\.onnx\.data"):
        reader.compile_tower(file_tower("image", path), "float32")


def test_links_of_the_hub_client_s_cache_are_followed(tmp_path, exported, monkeypatch):
    """It keeps files under names of their digests in one folder, and links to them from a folder for each revision."""
    monkeypatch.setattr(runtime, "ONE_FILE", 1000)
    path = exported("image")
    blobs, revision = tmp_path / "blobs", tmp_path / "snapshots" / "1"
    blobs.mkdir()
    revision.mkdir(parents=True)
    for name in (path.name, f"{path.name}.data"):
        (tmp_path / name).rename(blobs / name[::-1])
        (revision / name).symlink_to(f"../../blobs/{name[::-1]}")
    tower = file_tower("image", revision / path.name)
    assert np.abs(runtime.compile_tower(tower, "float32")(PIXELS) - expected("image")).max() <= 1e-5
    with pytest.raises(ModelUnsupported, match="choose the runtime 'onnx'"):
        registry.find("runtimes", "openvino").compile_tower(tower, "float32")


def test_a_device_that_is_not_there_is_one_sentence(exported):
    assert runtime.devices()[-1] in ("cpu", "coreml")
    for device in ("cuda:99", "tpu"):
        tower = replace(file_tower("image", exported("image")), devices=(device,))
        with pytest.raises(UsageError, match="device"):
            runtime.compile_tower(tower, "float32")


def test_precisions():
    assert runtime.precisions("cpu") == ("float32",)
    assert runtime.precisions("cuda:1") == ("float16", "float32")
