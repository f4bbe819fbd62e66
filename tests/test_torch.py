import gc
import multiprocessing
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

import checks
from glimpse import registry
from glimpse.errors import ModelError, ModelUnsupported, UsageError, WorkerError
from glimpse.models import formats
from glimpse.runtimes import Tower, _processes

library = pytest.importorskip("torch", reason="torch is not installed: pip install 'glimpse-search[torch]'")
torch = pytest.importorskip("glimpse.runtimes.torch")

NAME = "hf-clip-quickgelu"
card = pytest.mark.skipif(not library.cuda.is_available(), reason="there is no graphics card that CUDA shows here")
cards = pytest.mark.skipif(library.cuda.device_count() < 2, reason="there are not two graphics cards here")


@pytest.fixture
def reference(golden):
    return golden(NAME)


def tower(reference, kind="image", devices=("cpu",)):
    model = formats.read(reference.folder, NAME)
    function = getattr(registry.find("models", model.card.family), f"{kind}_tower")
    return Tower(kind, function, model.card, lambda: model.weights(kind), "x", None, devices)


def compiled(reference, kind="image", precision="float32", devices=("cpu",)):
    return torch.compile_tower(tower(reference, kind, devices), precision)


def many(reference, count):
    """So many pictures, none like another, and their rows by the oracle."""
    noise = np.random.default_rng(count).integers(0, 256, (count, *reference.pixels.shape[1:]), np.uint8)
    return noise, checks.ORACLE.compile_tower(tower(reference), "float32")(noise)


def test_what_there_is():
    *found, last = torch.devices()
    assert last == "cpu"
    assert found == [f"cuda:{i}" for i in range(library.cuda.device_count())]
    assert set(torch.precisions("cpu")) == {"float32", "bfloat16"}
    for device in found:
        assert "float32" in torch.precisions(device)


def test_bfloat16_is_asked_of_older_torch_too(monkeypatch):
    monkeypatch.delattr(library.cpu, "get_capabilities", raising=False)
    for has, first in ((True, "bfloat16"), (False, "float32")):
        monkeypatch.setattr(library.cpu, "_is_avx512_bf16_supported", lambda has=has: has, raising=False)
        monkeypatch.setattr(library.cpu, "_is_amx_tile_supported", lambda: False, raising=False)
        assert torch.precisions("cpu")[0] == first


def test_bfloat16_is_not_taken_first_where_it_is_emulated(monkeypatch):
    monkeypatch.setattr(library.cpu, "get_capabilities", lambda: {"avx2": True}, raising=False)
    assert torch.precisions("cpu") == ("float32", "bfloat16")


@pytest.mark.parametrize("count", [0, 1, 2, 15, 16, 17, 31, 33, 50])
def test_any_number_of_pictures(count, reference):
    pixels, expected = many(reference, count)
    rows = compiled(reference)(pixels)
    assert rows.shape == expected.shape
    assert rows.dtype == np.float32
    assert np.allclose(rows, expected, atol=1e-5)


@pytest.mark.parametrize("count", [1, 3, 4, 5, 8, 9, 17, 24])
def test_batches_are_filled_up_to_the_next_size(count, reference):
    asked = tower(reference)
    sizes = []

    def forward(pixels):
        sizes.append(len(pixels))
        return plain(pixels)

    plain = torch._forward(asked, library.device("cpu"), "float32")
    run = torch.Pictures(forward, asked, library.device("cpu"), (1, 4, 8))
    pixels, expected = many(reference, count)
    assert np.allclose(run(pixels), expected, atol=1e-5)
    assert set(sizes) <= {1, 4, 8}
    assert sum(sizes) >= count
    assert len(sizes) == -(-count // 8)


def test_sizes_of_a_card_waste_little():
    for count in range(1, 1000):
        filled = sum(size for _, size in torch._batches(count, torch.SIZES["cuda"]))
        assert filled <= max(2 * count, count + 128)
    assert [place for place, _ in torch._batches(600, torch.SIZES["cuda"])] == [
        slice(0, 256),
        slice(256, 512),
        slice(512, 600),
    ]


def test_pixels_as_they_come(reference):
    """Steps backwards, every second one, and memory that may not be written to."""
    run = compiled(reference)
    pixels, expected = many(reference, 12)
    fixed = pixels.copy()
    fixed.flags.writeable = False
    assert np.allclose(run(fixed), expected, atol=1e-5)
    assert np.allclose(run(pixels[::-1]), expected[::-1], atol=1e-5)
    assert np.allclose(run(pixels[::2]), expected[::2], atol=1e-5)


@pytest.mark.parametrize("count", [0, 1, 6, 19])
def test_pixels_that_are_on_the_device_already(count, reference):
    device = torch.devices()[0]
    run = compiled(reference, devices=(device,))
    pixels, expected = many(reference, count)
    rows = run.on_device(library.from_numpy(pixels).to(device))
    assert rows.device == library.device(device)
    assert np.allclose(rows.cpu().numpy(), expected, atol=1e-5)


def test_where_memory_is_short_batches_get_smaller(reference):
    asked, sizes = tower(reference), []
    plain = torch._forward(asked, library.device("cpu"), "float32")

    def forward(pixels):
        sizes.append(len(pixels))
        if len(pixels) > most:
            raise library.OutOfMemoryError("CUDA out of memory.\nTried to allocate ...")
        return plain(pixels)

    run = torch.Pictures(forward, asked, library.device("cpu"), (1, 2, 4, 8, 16))
    pixels, expected = many(reference, 20)
    most = 4
    assert np.allclose(run(pixels), expected, atol=1e-5)
    sizes.clear()
    assert np.allclose(run(pixels), expected, atol=1e-5)
    assert max(sizes) == 4  # remembered
    most = 0
    with pytest.raises(ModelError, match="cpu has too little memory: close what else uses it"):
        run(pixels)


def test_one_process_that_fails_does_not_wait_for_the_others(reference, monkeypatch):
    """Nor does an interrupt: all are ended at once."""
    run = compiled(reference, devices=("cpu", "cpu"))
    pixels, _ = many(reference, 4)
    run(pixels)
    monkeypatch.setattr(_processes, "PATIENCE", 1.0)
    stuck, failing = run._workers
    monkeypatch.setattr(stuck, "work", lambda *_: stuck._listen())  # an answer that never comes
    monkeypatch.setattr(failing, "work", lambda *_: failing._collect_nothing())
    began = time.monotonic()
    with pytest.raises(AttributeError):
        run(pixels)
    assert time.monotonic() - began < 30  # not forever
    assert not any(worker.process.is_alive() for worker in run._workers)


def test_an_error_half_way_leaves_the_run_usable(reference):
    asked = tower(reference)
    plain, trouble = torch._forward(asked, library.device("cpu"), "float32"), [False, True]

    def forward(pixels):
        if trouble and trouble.pop(0):
            raise RuntimeError("out of memory")
        return plain(pixels)

    run = torch.Pictures(forward, asked, library.device("cpu"), (1, 4))
    pixels, expected = many(reference, 11)
    with pytest.raises(RuntimeError):
        run(pixels)
    assert np.allclose(run(pixels), expected, atol=1e-5)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_several_threads(precision, reference):
    run = compiled(reference, precision=precision)
    batches = [many(reference, count) for count in (3, 20, 37)] * 3
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(run, [pixels for pixels, _ in batches]))
    for rows, (_, expected) in zip(found, batches, strict=True):
        assert (rows * expected).sum(1).min() > 0.999


def test_texts_run_in_parts(reference, monkeypatch):
    monkeypatch.setitem(torch.TOKENS, "cpu", 200)
    ids = checks.padded(reference.ids, 77)
    assert np.abs(compiled(reference, "text")(ids) - reference.rows).max() < 1e-5
    assert compiled(reference, "text")(ids[:0]).shape == (0, reference.rows.shape[1])


def test_weights_are_moved_once(reference):
    asked = tower(reference)
    ops = torch.TorchOps(library.device("cpu"), library.bfloat16)
    weights = ops.weights(asked.weights())
    with library.inference_mode():
        for _ in range(3):
            asked.function(ops, weights, asked.card, library.from_numpy(reference.pixels))
    assert len(ops._kernels) == 1
    assert not ops._moved


def test_tables_that_are_no_weights_are_moved_once():
    ops = torch.TorchOps(library.device("cpu"), library.float32)
    first, again = (ops._here(np.arange(4, dtype=np.float32)) for _ in range(2))
    assert first is again
    assert ops._here(np.zeros(4, np.float32)) is not first


def test_bright_pictures_lose_nothing_in_bfloat16(golden):
    """What a white picture comes to nearly cancels the bias that the mean is folded into."""
    for name in ("hf-clip-gelu", "open_clip-vit"):
        reference = golden(name)
        white = np.full((1, *reference.pixels.shape[1:]), 255, np.uint8)
        white[:, ::7, ::5] = 240
        expected = checks.compiled(checks.ORACLE, "float32", reference, "image")(white)
        rows = checks.compiled(torch, "bfloat16", reference, "image")(white)
        assert (rows * expected).sum() > 0.9995


def test_onnx_files_are_refused(reference, tmp_path):
    with pytest.raises(ModelUnsupported, match="torch reads no ONNX files"):
        torch.compile_tower(replace(tower(reference), graph=tmp_path / "model.onnx"), "float32")


# GLIMPSE_TORCH --------------------------------------------------------------------------------------------------------


def test_another_way_is_refused(reference, monkeypatch):
    monkeypatch.setenv("GLIMPSE_TORCH", "quickly")
    with pytest.raises(UsageError, match="GLIMPSE_TORCH is 'quickly': choose graphs, eager, compile"):
        compiled(reference)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's own, of its compiler
@pytest.mark.parametrize("kind", ["image", "text"])
def test_compiled_towers(kind, reference, monkeypatch):
    from torch._inductor import cpp_builder, exc

    try:
        cpp_builder.get_cpp_compiler()
    except exc.InvalidCxxCompiler:
        pytest.skip("there is no C++ compiler here, which torch.compile needs on a processor")
    monkeypatch.setenv("GLIMPSE_TORCH", "compile")
    run = compiled(reference, kind)
    expected = reference.images if kind == "image" else reference.rows
    given = reference.pixels if kind == "image" else checks.padded(reference.ids, 77)
    assert np.abs(run(given) - expected).max() < 1e-5
    assert np.abs(run(given[:3]) - expected[:3]).max() < 1e-5
    assert np.abs(run(given[:1]) - expected[:1]).max() < 1e-5


# Several devices ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def both(golden):
    return compiled(golden(NAME), devices=("cpu", "cpu"))


@pytest.mark.parametrize("count", [0, 1, 2, 3, 49])
def test_two_processes(count, both, reference):
    pixels, expected = many(reference, count)
    rows = both(pixels)
    assert rows.shape == expected.shape
    assert np.allclose(rows, expected, atol=1e-5)


def test_two_processes_take_more_than_fits(both, reference, monkeypatch):
    monkeypatch.setattr(_processes, "PICTURES", 5)
    pixels, expected = many(reference, 53)
    assert np.allclose(both(pixels), expected, atol=1e-5)


def test_two_processes_and_several_threads(both, reference):
    batches = [many(reference, count) for count in (3, 20, 7)] * 2
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(both, [pixels for pixels, _ in batches]))
    assert all(np.allclose(rows, expected, atol=1e-5) for rows, (_, expected) in zip(found, batches, strict=True))


def test_a_dead_process_is_one_clear_error(reference):
    run = compiled(reference, devices=("cpu", "cpu"))
    first, second = (worker.process for worker in run._workers)
    os.kill(second.pid, signal.SIGKILL)
    began = time.monotonic()
    with pytest.raises(WorkerError, match=r"computes on cpu has ended \(exit code -9\): load the model anew"):
        run(many(reference, 40)[0])
    assert time.monotonic() - began < 10
    assert not first.is_alive()
    with pytest.raises(WorkerError, match="has ended"):
        run(reference.pixels)


@pytest.mark.slow
def test_a_process_that_dies_at_work_is_noticed(reference):
    run = compiled(reference, devices=("cpu", "cpu"))
    pixels = np.concatenate([many(reference, 500)[0]] * 8)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run, pixels)
        time.sleep(0.1)
        os.kill(run._workers[0].process.pid, signal.SIGKILL)
        with pytest.raises(WorkerError, match="has ended"):
            running.result(30)


def test_what_goes_wrong_in_a_process_is_told(reference):
    before = multiprocessing.active_children()
    with pytest.raises(WorkerError, match="computes on cpu could not: UsageError: no such luck"):
        _processes.Processes(tower(reference, devices=("cpu",)), "float32", _refuse)
    assert set(multiprocessing.active_children()) <= set(before)


def _refuse(_tower, _precision):
    raise UsageError("no such luck")


def test_processes_end_with_the_run(reference):
    run = compiled(reference, devices=("cpu", "cpu"))
    processes = [worker.process for worker in run._workers]
    assert all(process.is_alive() for process in processes)
    del run
    gc.collect()
    assert not any(process.is_alive() for process in processes)


def test_texts_and_single_devices_start_no_process(reference, monkeypatch):
    monkeypatch.setattr(torch, "Processes", lambda *_: pytest.fail("a process was started"))
    assert len(compiled(reference)(reference.pixels)) == len(reference.pixels)
    ids = checks.padded(reference.ids, 77)
    assert len(compiled(reference, "text", devices=("cpu", "cpu"))(ids)) == len(ids)


# Cards ----------------------------------------------------------------------------------------------------------------


@card
@pytest.mark.parametrize("precision", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("name", ["hf-clip-gelu", NAME])
def test_a_card_agrees_with_the_reference(name, precision, golden):
    reference = golden(name)
    ids = checks.padded(reference.ids, 77)
    for kind, given, expected in (("image", reference.pixels, reference.images), ("text", ids, reference.rows)):
        rows = compiled(reference, kind, precision, ("cuda:0",))(given)
        if precision == "float32":
            assert np.abs(rows - expected).max() < 1e-5
        else:
            assert (rows * expected).sum(1).min() >= 0.999


@card
def test_graphs_are_the_tower(reference, monkeypatch):
    graphs = compiled(reference, devices=("cuda:0",))
    monkeypatch.setenv("GLIMPSE_TORCH", "eager")
    eager = compiled(reference, devices=("cuda:0",))
    for count in (1, 5, 256, 700, 5, 0, 33):  # and back to graphs that were made before others
        pixels, expected = many(reference, count)
        assert np.allclose(graphs(pixels), expected, atol=1e-5)
        assert np.allclose(graphs(pixels), eager(pixels), atol=1e-6)
    assert set(graphs._forward._known) == {1, 8, 64, 192, 256}
    assert all(graphs._forward._known.values())  # everything in it could be recorded


@card
def test_what_cannot_be_recorded_is_computed(reference):
    def forward(pixels):
        rows = plain(pixels)
        return rows * float(rows.isfinite().all())  # waits for the card, which no graph can

    asked, device = tower(reference, devices=("cuda:0",)), library.device("cuda:0")
    with library.inference_mode():
        plain = torch._forward(replace(asked, kind="text"), device, "float32")
        run = torch.Pictures(torch.Graphs(forward, asked, device), asked, device, torch.SIZES["cuda"])
    pixels, expected = many(reference, 20)
    assert np.allclose(run(pixels), expected, atol=1e-5)
    assert run._forward._known == {32: None}


@card
def test_copies_that_overlap_mix_nothing(reference):
    run = compiled(reference, devices=("cuda:0",))
    pixels, expected = many(reference, 1500)
    for _ in range(5):
        assert np.allclose(run(pixels), expected, atol=1e-5)


@card
def test_quick_gelu_is_one_pass_where_triton_is():
    pytest.importorskip("triton", reason="triton is not installed, so quick GELU takes three passes")
    torch._gate.cache_clear()
    gate = torch._gate("cuda", library.float32)
    assert gate is not torch._quick_gelu
    x = library.linspace(-8, 8, 1001, device="cuda")
    assert library.allclose(gate(x), torch._quick_gelu(x), atol=1e-6)


@card
@pytest.mark.slow
def test_compiled_towers_on_a_card(reference, monkeypatch):
    pytest.importorskip("triton", reason="triton is not installed, which torch.compile needs on a card")
    monkeypatch.setenv("GLIMPSE_TORCH", "compile")
    pixels, expected = many(reference, 40)
    assert np.allclose(compiled(reference, devices=("cuda:0",))(pixels), expected, atol=1e-5)


@cards
def test_two_cards(reference):
    run = compiled(reference, devices=("cuda:0", "cuda:1"))
    pixels, expected = many(reference, 1300)
    assert np.allclose(run(pixels), expected, atol=1e-5)


@card
def test_a_card_and_the_processor_share(reference):
    run = compiled(reference, devices=("cuda:0", "cpu"))
    pixels, expected = many(reference, 61)
    assert np.allclose(run(pixels), expected, atol=1e-5)
