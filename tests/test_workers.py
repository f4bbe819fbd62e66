import ast
import base64
import json
import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import glimpse
from conftest import noise
from glimpse import pixels, sources
from glimpse.errors import WorkerError
from glimpse.sources import folder
from glimpse.values import FAILURE_CODES, Failure, Item, PixelRules, Selection
from glimpse.workers import process
from glimpse.workers.events import Ending, Frame, Task
from glimpse.workers.limits import GIGABYTE, Limits
from glimpse.workers.pool import Pool
from glimpse.workers.recipe import Recipe
from glimpse.workers.window import Window

RULES = PixelRules(32, 32)
USUAL = Limits()
FAULTS = str(Path(__file__).parent / "faults")


def tasks(place):
    return [Task(item) for item in folder.items(str(place)) if isinstance(item, Item)]


def run(todo, *, workers=2, limits=USUAL, **recipe):
    """All frames and endings by the base names of keys."""
    frames, endings = {}, {}
    with Pool(Recipe(32, RULES, limits=limits, **recipe), workers=workers) as workers_:
        for event in workers_.run(todo):
            if isinstance(event, Frame):
                frames.setdefault(os.path.basename(event.item.key), []).append(event)
            elif isinstance(event, Ending):
                assert event.item.key not in endings
                endings[os.path.basename(event.item.key)] = event
    return frames, endings


def codes(endings):
    return {name: ending.failure.code if ending.failure else "" for name, ending in endings.items()}


@pytest.fixture
def faulty(monkeypatch, tmp_path):
    """A folder of good pictures among which faults can be put."""
    monkeypatch.setattr(sys, "path", [FAULTS, *sys.path])
    place = tmp_path / "faulty"
    place.mkdir()
    for seed in range(12):
        noise(seed).save(place / f"good{seed:02}.png")
    return place


def test_pixels_are_those_of_the_library(album):
    frames, endings = run(tasks(album))
    assert codes(endings) == {
        "a.png": "", "b.jpg": "", "c.webp": "", "d.gif": "", "notes.txt": "unsupported-format",
    }  # fmt: skip
    for name in ("a.png", "b.jpg"):
        (frame,) = frames[name]
        assert np.array_equal(frame.pixels, pixels.prepare(Image.open(album / name), RULES))
        assert frame.digest == endings[name].digest
        assert frame.time is None
    stat = (album / "a.png").stat()
    assert (endings["a.png"].item.size, endings["a.png"].item.mtime_ns) == (stat.st_size, stat.st_mtime_ns)
    assert endings["a.png"].decoding > 0


def test_content_that_is_known_is_not_decoded(album):
    _, endings = run(tasks(album))
    known = [Task(task.item, endings[os.path.basename(task.item.key)].digest) for task in tasks(album)]
    frames, again = run(known)
    assert frames == {}
    assert all(ending.same for ending in again.values())


@pytest.mark.parametrize(
    ("fault", "code", "limits"),
    [
        ("segfault", "crashed", Limits()),
        ("spin", "timeout", Limits(cpu=0.5)),
        ("sleep", "timeout", Limits(wall=1.5)),
        ("killed", "memory", Limits()),
        ("allocate", "memory", Limits()),
        ("babble", "crashed", Limits()),
        pytest.param("nested", "crashed", Limits(), marks=pytest.mark.slow),
        ("shrink", "corrupt", Limits()),
        pytest.param("slot 0", "crashed", Limits(), marks=pytest.mark.slow),
        pytest.param("infinite 0", "crashed", Limits(), marks=pytest.mark.slow),
        ("nan 0", "crashed", Limits()),
        pytest.param("shape 0", "crashed", Limits(), marks=pytest.mark.slow),
        pytest.param("half", "crashed", Limits(), marks=pytest.mark.slow),
        ("odd", "corrupt", Limits()),
    ],
)
def test_a_file_that_takes_the_decoder_down_fails_alone(faulty, fault, code, limits, monkeypatch):
    monkeypatch.setattr(process, "PATIENCE", struct.pack("ll", 1, 0))
    (faulty / "bad").write_text(f"FAULT:{fault}")
    frames, endings = run(tasks(faulty), limits=limits)
    assert len(frames) == 12
    assert {name for name, found in codes(endings).items() if found} == {"bad"}
    failure = endings["bad"].failure
    assert (failure.code, failure.message) == (code, FAILURE_CODES[code])


def test_what_dies_once_is_tried_again_and_taken(faulty, tmp_path, monkeypatch):
    monkeypatch.setenv("GLIMPSE_TEST_STARTS", str(tmp_path / "starts"))
    (faulty / "flaky").write_text("FAULT:once")
    frames, endings = run(tasks(faulty), workers=1)
    assert codes(endings)["flaky"] == ""
    assert len(frames["flaky"]) == 1


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_many_faults_hit_nobody_else(faulty, workers):
    for place in range(9):
        (faulty / f"bad{place}").write_text("FAULT:segfault")
    frames, endings = run(tasks(faulty), workers=workers)
    assert len(frames) == 12
    assert len(endings) == 21
    assert list(codes(endings).values()).count("crashed") == 9


def test_one_worker_that_is_stuck_does_not_hold_up_the_others(faulty):
    (faulty / "a stuck one").write_text("FAULT:sleep")
    began = time.monotonic()
    with Pool(Recipe(32, RULES, limits=Limits(wall=2)), workers=2) as workers:
        events = (event for event in workers.run(tasks(faulty)) if isinstance(event, Frame))
        good = [time.monotonic() - began for _ in events]
    behind = process.AHEAD  # those that the stuck worker had been given wait for its end
    assert len(good) == 12
    assert sorted(good)[12 - behind - 1] < 2


def test_items_are_taken_only_as_fast_as_they_are_decoded(tmp_path):
    noise(1).save(tmp_path / "x.png")
    taken = []

    def endless():
        for number in range(10_000):
            taken.append(number)
            yield Task(Item(str(number), 1, 1, ("folder", str(tmp_path / "x.png"))))

    ended = 0
    with Pool(Recipe(32, RULES), workers=2) as workers:
        for event in workers.run(endless()):
            ended += isinstance(event, Ending)
            assert len(taken) - ended <= 2 * (process.AHEAD + 1) + 4
            if ended == 100:
                break


def test_a_pool_that_is_closed_leaves_no_process(album):
    with Pool(Recipe(32, RULES), workers=2) as workers:
        list(workers.run(tasks(album)))
        processes = [worker.process for worker in workers._workers]
        assert processes
    assert all(one.poll() is not None for one in processes)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere they end when they next say something")
def test_workers_end_when_the_program_is_killed(faulty):
    (faulty / "a stuck one").write_text("FAULT:sleep")
    code = (
        "import sys; sys.path.insert(0, sys.argv[2]); from test_workers import *; pool = Pool(Recipe(32, RULES), workers=1)\n"
        "for event in pool.run(tasks(sys.argv[1])): print(*[w.process.pid for w in pool._workers], flush=True)"
    )
    program = subprocess.Popen(
        [sys.executable, "-c", code, str(faulty), str(Path(__file__).parent)],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    worker = int(program.stdout.readline().split()[0])
    program.kill()
    program.wait()
    program.stdout.close()
    for _ in range(100):
        if not Path(f"/proc/{worker}/cmdline").exists() or not Path(f"/proc/{worker}/cmdline").read_bytes():
            break
        time.sleep(0.1)
    else:
        pytest.fail("the worker is still there")


def test_where_no_worker_can_be_started_that_is_said(album, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(WorkerError, match="cannot be started"):
        run(tasks(album))


def test_bytes_that_only_the_program_can_read(tmp_path):
    """A table's cells have no file of their own."""
    noise(3).save(tmp_path / "x.png")
    data = base64.b64encode((tmp_path / "x.png").read_bytes()).decode()
    lines = [{"bytes": data, "id": n} for n in range(30)] + [{"bytes": "", "id": 30}]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, lines)))
    found = list(sources.of_place(str(tmp_path / "t.jsonl")).items(str(tmp_path / "t.jsonl"), Selection()))
    items = [Task(one) for one in found if isinstance(one, Item)]
    frames, _ = run(items)
    assert len(frames) == 30
    assert [one.code for one in found if isinstance(one, Failure)] == ["empty"]
    (frame,) = frames["t.jsonl#3"]
    assert np.array_equal(frame.pixels, pixels.prepare(Image.open(tmp_path / "x.png"), RULES))


def test_thumbnails_keep_their_shape(tmp_path):
    noise(1, (300, 100)).save(tmp_path / "x.png")
    with Pool(Recipe(60, None), workers=1) as workers:
        frame = next(event for event in workers.run(tasks(tmp_path)) if event)
    assert frame.pixels.shape == (20, 60, 3)


def test_a_recipe_survives_the_way_to_a_worker():
    recipe = Recipe(32, RULES, parity=True, min_side=3, limits=Limits(cpu=1.5))
    assert Recipe.from_json(recipe.as_json()).limits == recipe.limits
    assert Recipe.from_json(Recipe(32, None).as_json()) == Recipe(32, None)


def test_limits_have_a_memory_of_their_own():
    assert GIGABYTE <= Limits().address_space <= 4 * GIGABYTE
    assert Limits(memory=5).address_space == 5


CONFINED = """
import ctypes, os, resource, signal, socket, subprocess, sys, threading
import numpy
from glimpse.workers.limits import Limits, confine
path, parent = sys.argv[1], os.getppid()
confine(Limits(memory=600_000_000))
libc = ctypes.CDLL(None, use_errno=True)
def call(function, *arguments):
    if getattr(libc, function)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), function)
def tried(what):
    try:
        what()
    except BaseException as error:
        return type(error).__name__
    return "done"
attempts = {
    "a network": lambda: socket.socket(),
    "a connection": lambda: socket.create_connection(("127.0.0.1", 9)),
    "a program": lambda: subprocess.run(["true"]),
    "a process": os.fork,
    "unlink": lambda: os.unlink(path),
    "rename": lambda: os.rename(path, path + "2"),
    "chmod": lambda: os.chmod(path, 0o777),
    "time": lambda: os.utime(path),
    "empty": lambda: os.open(path, os.O_RDONLY | os.O_TRUNC),
    "truncate": lambda: os.truncate(path, 0),
    "write": lambda: open(path, "w"),
    "append": lambda: open(path, "a"),
    "make": lambda: open(path + "3", "x"),
    "memory of the program": lambda: open(f"/proc/{parent}/mem", "r+b"),
    "signal": lambda: os.kill(parent, 0),
    "signal to a thread": lambda: call("tgkill", parent, parent, 0),
    "limits of the program": lambda: resource.prlimit(parent, resource.RLIMIT_NOFILE, (1, 1)),
    "attach": lambda: call("ptrace", 16, parent, 0, 0),
    "a new way to open": lambda: call("syscall", 437, -100, path.encode(), b"\\0" * 24, 24),
    "too much memory": lambda: bytearray(10**9),
    "read": lambda: open("/proc/self/status").read(),
    "threads": lambda: threading.Thread(target=int).start(),
    "own limits": lambda: resource.getrlimit(resource.RLIMIT_CPU),
}
print({name: tried(attempt) for name, attempt in attempts.items()})
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the system call filter is Linux's")
def test_what_a_worker_may_not_do(tmp_path):
    (tmp_path / "x").write_text("as it was")
    told = subprocess.run(
        [sys.executable, "-c", CONFINED, str(tmp_path / "x")], capture_output=True, text=True, check=True
    ).stdout
    found = ast.literal_eval(told)
    allowed = {"read": "done", "threads": "done", "own limits": "done"}
    others = {"too much memory": "MemoryError", "a new way to open": "OSError"}
    assert found == dict.fromkeys(found, "PermissionError") | others | allowed
    assert (tmp_path / "x").read_text() == "as it was"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@pytest.mark.skipif(sys.platform != "linux", reason="the limit on processor time is checked where CI runs")
def test_processor_time_ends_a_process():
    code = "from glimpse.workers.limits import allow_cpu\nallow_cpu(0.1)\nwhile True: pass"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGXCPU


def test_a_window_is_a_file(tmp_path):
    (tmp_path / "x").write_bytes(bytes(range(100)))
    with Window((tmp_path / "x").open("rb"), 10, 50) as window:
        assert window.read(3) == b"\x0a\x0b\x0c"
        assert window.seek(-2, os.SEEK_END) == 48
        assert window.read() == bytes([58, 59])
        assert window.read() == b""
        window.seek(1)
        window.seek(1, os.SEEK_CUR)
        assert window.read(1) == b"\x0c"
        assert window.readable()
        assert window.seekable()
        assert window.seek(70) == 70
        assert window.read(1) == b""


@pytest.mark.parametrize("fidelity", ["fast", "exact"])
def test_large_jpegs_are_made_as_the_encoder_makes_them(fidelity, tmp_path, golden):
    noise(1, (700, 501)).save(tmp_path / "a.jpg")
    encoder = glimpse.load(golden("hf-clip-gelu").folder, fidelity=fidelity)
    rules = encoder.card.pixels
    with Pool(Recipe(rules.size, rules, fidelity=fidelity), workers=1) as pool:
        (frame,) = [event for event in pool.run(tasks(tmp_path)) if isinstance(event, Frame)]
    assert np.array_equal(frame.pixels, encoder.prepare(tmp_path / "a.jpg"))


def test_a_large_jpeg_is_not_too_small_once_it_is_decoded_smaller(tmp_path):
    noise(1, (700, 500)).save(tmp_path / "a.jpg")
    _, endings = run(tasks(tmp_path), fidelity="fast", min_side=500)
    assert codes(endings) == {"a.jpg": ""}


def test_thumbnails_of_large_jpegs(tmp_path):
    noise(1, (1400, 1001)).save(tmp_path / "a.jpg", quality=95)
    with Pool(Recipe(64, None), workers=1) as pool:
        (frame,) = [event for event in pool.run(tasks(tmp_path)) if isinstance(event, Frame)]
    in_full = pixels.thumbnail(Image.open(tmp_path / "a.jpg"), 64)
    assert frame.pixels.shape == in_full.shape == (46, 64, 3)
    assert np.abs(frame.pixels.astype(int) - in_full).mean() < 6
