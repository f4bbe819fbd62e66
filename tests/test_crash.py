import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("av", reason="films for the crash tests need PyAV: pip install 'glimpse-search[video]'")

from crash import checks, disk, full, kill, power, reading, stop, trace
from crash.bench import Bench, Manner, Victim
from crash.disk import FOLDER, Cut, Name, Said, Sync, Write
from crash.state import read
from crash.tally import Skipped, Tally
from crash.witness import Statement, together
from glimpse.collection import Collection
from glimpse.errors import StorageError

TOOL = Path(__file__).parents[1] / "tools" / "crash.py"
CHANCE = random.Random(0)


def strace(folder, *command):
    """What a command did in a folder, as events."""
    output = folder.parent / "strace"
    try:
        under = trace.under(output)
    except Skipped as reason:
        pytest.skip(str(reason))
    subprocess.run([*under, *command], check=True)
    with output.open() as lines:
        return trace.events(lines, folder, folder.parent / "log", ())


def unpacked(files, folder):
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


# The witness ----------------------------------------------------------------------------------------------------------

LOG = """{"opening": true}
{"embedding": 16}
{"stored": ["a", "b"], "finished": ["film"], "failed": []}
{"embedding": 4}
{"stored": ["c"], "finished": [], "failed": ["bad"]}
{"returned": true}
{"stor"""


def test_a_log_is_read_up_to_its_last_whole_line():
    said = Statement.of(LOG)
    assert said.stored == {"a", "b", "c"}
    assert (said.embedded, said.commits, said.interrupted) == (20, (("a", "b"), ("c",)), True)
    assert (said.finished, said.failed) == ({"film"}, {"bad"})
    assert said.words == {"opening", "embedding", "stored", "finished", "failed", "returned"}


def test_statements_of_several_runs_add_up():
    said = together([Statement.of(LOG), Statement.of('{"stored": ["d"], "finished": [], "failed": []}\n')])
    assert (len(said.commits), said.embedded, said.interrupted) == (3, 20, None)
    assert said.stored == {"a", "b", "c", "d"}
    assert together([]) == Statement()


# The checks -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def indexed(photos, album):
    photos.index(album)
    photos.close()
    return photos.path


def said_of(path):
    state = read(path)
    return Statement(commits=(tuple(state.vectors),), finished=state.whole, failed=state.failed)


def sentences(path, reference, *commands):
    """What is found after somebody has changed the file."""
    said = said_of(path)
    with closing(sqlite3.connect(path)) as db:
        for command in commands:
            db.execute(*command)
        db.commit()
    return checks.survived(path, reference, said)[1]


def test_nothing_is_wrong_with_what_nobody_changed(indexed):
    assert sentences(indexed, read(indexed)) == []


def test_a_digest_does_not_depend_on_the_order_of_rows(indexed):
    before = read(indexed).digest
    with closing(sqlite3.connect(indexed)) as db:
        db.execute("UPDATE frames SET id = id + 100")
        db.commit()
        assert read(indexed).digest == before
        db.execute("UPDATE items SET mtime_ns = mtime_ns + 1 WHERE id = 1")
        db.commit()
    assert read(indexed).digest != before


def test_what_is_lost_is_named(indexed):
    found = sentences(indexed, read(indexed), ("DELETE FROM frames WHERE id = 1",), ("DELETE FROM failures",))
    assert [sentence.rpartition("/")[0].partition(" /")[0] for sentence in found] == [
        "lost, though acknowledged: the frame",
        "lost, though acknowledged: the failure",
    ]


def test_a_film_that_is_not_whole_any_more_is_named(indexed):
    found = sentences(indexed, read(indexed), ("UPDATE items SET whole = 0 WHERE id = 1",))
    assert "lost, though acknowledged: the film that was finished" in found[0]


@pytest.mark.filterwarnings("ignore:invalid value")  # numpy warns when they are searched
@pytest.mark.parametrize("spoiled", [np.nan, np.inf, 0.0, 1.0])
def test_spoiled_vectors_are_named(indexed, spoiled):
    blob = np.full(32, spoiled, np.float16).tobytes()
    found = sentences(indexed, read(indexed), ("UPDATE frames SET vector = ? WHERE id = 1", (blob,)))
    assert [sentence.partition(":")[0] for sentence in found] == ["another vector", "no unit vector"]


def test_what_should_not_be_there_and_what_belongs_to_nothing_is_named(indexed):
    reference = read(indexed)
    found = sentences(
        indexed,
        reference,
        ("UPDATE items SET key = '/elsewhere' WHERE id = 1",),
        ("INSERT INTO frames SELECT 99, 99, time, generation, vector FROM frames WHERE id = 1",),
    )
    assert "frames 99 belongs to nothing" in found
    assert "not in the undisturbed run: /elsewhere" in found


def test_a_file_that_does_not_open_is_named(indexed):
    reference, said = read(indexed), said_of(indexed)
    indexed.write_bytes(b"no collection at all" * 1000)
    state, found = checks.survived(indexed, reference, said)
    assert state is None
    assert found[0].startswith("it does not open: ")


def test_the_bound_on_what_is_embedded_in_vain():
    assert checks.BOUND == 256
    assert checks.in_vain(0) == checks.in_vain(checks.BOUND) == []
    assert checks.in_vain(checks.BOUND + 1)
    assert checks.in_vain(-1)  # more was stored than embedded


def ended(code, **others):
    """A run that has ended so."""
    facts = {"said": Statement(), "out": "", "err": "", "ended_well": code == 1} | others
    return SimpleNamespace(wait=lambda: code, **facts)


def test_a_run_to_the_end_that_ends_otherwise_is_named(indexed):
    reference = read(indexed)
    rows = len(reference.vectors)
    assert checks.finished(ended(1, said=Statement(embedded=rows)), reference, reference, 0) == []
    assert checks.finished(ended(1, said=Statement(embedded=rows)), reference, reference, 3) == [
        f"{rows - 3} rows were missing, {rows} were embedded"
    ]
    assert checks.finished(ended(70, err="a defect"), None, reference, rows) == [
        "it ended with 70: a defect",
        "it ends in another digest than an undisturbed run",
    ]


def test_runs_that_do_not_stop_as_they_should_are_named():
    assert stop.complaints(ended(130, out='{"interrupted": true}')) == []
    assert len(stop.complaints(ended(-15, err="Traceback"))) == 3
    assert len(stop.complaints(ended(130, out='{"interrupted": false}'))) == 1
    assert full.complaints(ended(2, err="the disk is full: make room")) == []
    assert len(full.complaints(ended(1, err="Traceback: the disk is full"))) == 2


def test_a_tally_is_one_line():
    tally = Tally("kill", points=3, most=17)
    tally.note("of the program alone")
    tally.blame("1-0", ["it does not open"])
    assert str(tally) == (
        "kill: 3 points, 0 taken to the end, 1 of the program alone; at most 17 rows embedded again; 1 violations"
    )
    assert tally.violations == ["kill 1-0: it does not open"]


# The disk -------------------------------------------------------------------------------------------------------------

SYNCED = [Name("a", 1), Write(1, 0, b"old"), Sync(1), Sync(FOLDER)]


@pytest.mark.parametrize("fate", disk.FATES)
def test_what_was_synchronised_survives_everything(fate):
    assert disk.surviving(SYNCED, fate, CHANCE) == {"a": b"old"}
    assert disk.surviving(disk.held({"a": b"1", "b": b""}), fate, CHANCE) == {"a": b"1", "b": b""}


def test_what_was_not_is_gone_or_there():
    history = [*SYNCED, Write(1, 2, b"new"), Name("b", 2), Write(2, 3, b"x"), Name("a", None)]
    assert disk.surviving(history, "nothing", CHANCE) == {"a": b"old"}
    assert disk.surviving(history, "everything", CHANCE) == {"b": b"\0\0\0x"}


def test_a_file_whose_name_was_not_synchronised_is_gone():
    assert disk.surviving([Name("a", 1), Write(1, 0, b"old"), Sync(1)], "nothing", CHANCE) == {}


def test_cuts_make_files_shorter_and_longer():
    assert disk.surviving([*SYNCED, Cut(1, 1)], "everything", CHANCE) == {"a": b"o"}
    assert disk.surviving([*SYNCED, Cut(1, 1), Cut(1, 3)], "everything", CHANCE) == {"a": b"o\0\0"}


def found_often(history, fate):
    return {disk.surviving(history, fate, random.Random(seed))["a"] for seed in range(200)}


def test_some_keeps_whole_writes_and_torn_keeps_sectors():
    history = [*SYNCED, Write(1, 0, b"x" * 700), Write(1, 700, b"y" * 300)]
    assert {len(content) for content in found_often(history, "some")} == {3, 700, 1000}
    torn = found_often(history, "torn")
    assert any(content[:3] == b"old" and content[512:513] == b"x" for content in torn)
    assert any(content[:512] == b"x" * 512 and content[512:] == b"" for content in torn)
    assert {len(content) for content in torn} == {3, 512, 700, 1000}


def test_what_is_done_to_a_folder_survives_in_order():
    history = [*SYNCED, Name("b", 2), Name("a", None), Name("c", 3)]
    found = {tuple(sorted(disk.surviving(history, "some", random.Random(seed)))) for seed in range(100)}
    assert found == {("a",), ("a", "b"), ("b",), ("b", "c")}


# What strace saw ------------------------------------------------------------------------------------------------------


def hexed(text):
    return "".join(f"\\x{byte:02x}" for byte in text.encode())


def understood(*lines, known=()):
    return trace.events(lines, Path("/d"), Path("/log"), known)


A, LOGGED, ELSEWHERE = (f"3<{hexed(path)}>" for path in ("/d/a, b", "/log", "/d/sub/a"))


def test_calls_become_events():
    assert understood(
        f'7 openat(AT_FDCWD<{hexed("/x")}>, "{hexed("/d/a, b")}", O_RDWR|O_CREAT, 0644) = {A}\n',
        f'7 pwrite64({A}, "{hexed("hi, you")}", 7, 4096) = 7\n',
        f'8 pwrite64({ELSEWHERE}, "{hexed("hi")}", 2, 0) = 2\n',
        f"7 ftruncate({A}, 8) = 0\n",
        f"7 fdatasync({A}) = 0\n",
        f"7 fdatasync(5<{hexed('/d')}>) = 0\n",
        f'7 write({LOGGED}, "{hexed("said")}", 4) = 4\n',
        f'7 unlink("{hexed("/d/a, b")}") = 0\n',
        f'7 unlink("{hexed("/d/none")}") = -1 ENOENT (No such file or directory)\n',
        "7 +++ exited with 0 +++\n",
    ) == [
        Name("a, b", 1),
        Write(1, 4096, b"hi, you"),
        Cut(1, 8),
        Sync(1),
        Sync(FOLDER),
        Said("said"),
        Name("a, b", None),
    ]


def test_calls_that_another_thread_interrupted_are_put_together():
    lines = (
        f'7 pwrite64({A}, "{hexed("hi")}", 2,  <unfinished ...>\n',
        f'8 write({ELSEWHERE}, "{hexed("x")}", 1) = 1\n',
    )
    assert understood(*lines, "7 <... pwrite64 resumed>0) = 2\n", known=["a, b"]) == [Write(1, 0, b"hi")]


def test_calls_that_the_model_does_not_know_are_errors():
    with pytest.raises(ValueError, match="does not know what rename does to /d/a"):
        understood(f'7 rename("{hexed("/d/a")}", "{hexed("/d/b")}") = 0\n', known=["a"])
    with pytest.raises(ValueError, match="mmap"):
        understood(f"7 mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, {A}, 0) = 0x7efef95a6000\n", known=["a, b"])


STORING = """
import os, sqlite3, sys
log = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT)
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA journal_mode = WAL")
db.execute(f"PRAGMA synchronous = {sys.argv[3]}")
db.execute("CREATE TABLE t (n)")
for number in range(20):
    db.execute("INSERT INTO t VALUES (?)", (number,))
    os.write(log, b"x")
"""


def lost_rows(tmp_path, synchronous):
    """At how many points a row is lost that a plain SQLite program was told is stored."""
    folder = unpacked({}, tmp_path / "store")
    events = strace(folder, sys.executable, "-c", STORING, str(folder / "t.db"), str(tmp_path / "log"), synchronous)
    points = [place + 1 for place, event in enumerate(events) if isinstance(event, Said)]
    return sum(_rows(events[:place], tmp_path / str(place)) < number for number, place in enumerate(points, 1))


def _rows(history, folder):
    unpacked(disk.surviving(history, "nothing", CHANCE), folder)
    with closing(sqlite3.connect(folder / "t.db")) as db:
        try:
            return db.execute("SELECT count(*) FROM t").fetchone()[0]
        except sqlite3.OperationalError:  # not even the table
            return 0


def test_a_program_that_does_not_synchronise_is_found_out_and_one_that_does_is_not(tmp_path):
    assert lost_rows(tmp_path, "FULL") == 0
    for path in tmp_path.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert lost_rows(tmp_path, "OFF") >= 15


# Processes ------------------------------------------------------------------------------------------------------------


def test_processes_that_stay_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr("crash.bench.GRACE", 0.1)
    stays = "import subprocess; subprocess.Popen(['sleep', '60']); print(flush=True)"
    process = subprocess.Popen([sys.executable, "-c", stays], start_new_session=True, stdout=subprocess.DEVNULL)
    victim = Victim(process, tmp_path)
    assert victim.wait() == 0
    assert len(victim.left_over()) == 1
    assert len(victim.kill()) == 0  # the group is gone with it
    assert (victim.said, victim.left_over()) == (Statement(), [])


def test_the_command_line():
    told = subprocess.run([sys.executable, TOOL, "--help"], capture_output=True, text=True, check=True)
    assert "a disk that fills up" in told.stdout
    assert subprocess.run([sys.executable, TOOL, "flood"], capture_output=True, check=False).returncode == 2


def test_a_disk_without_room_for_what_processes_share_is_called_full(tmp_path):
    try:
        with (
            full.mounted(unpacked({}, tmp_path / "disk"), 20480) as place,
            pytest.raises(StorageError, match="is full"),
        ):
            Collection(place / "photos.db")
    except Skipped as reason:
        pytest.skip(str(reason))


# A short run of each kind ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    return Bench(tmp_path_factory.mktemp("crash") / "bench", pictures=120, seconds=8)


def sound(tally, points):
    assert tally.violations == []
    assert tally.points >= points
    return tally


@pytest.mark.slow
def test_killed_runs(bench):
    assert sound(kill.run(bench, 3, seed=1), 3).finished >= 1


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_runs(bench, number):
    sound(stop.run(bench, 2, seed=2, number=number), 2)


@pytest.mark.slow
def test_full_disks(bench):
    try:
        sound(full.run(bench, 3, seed=3), 3)
    except Skipped as reason:
        pytest.skip(str(reason))


@pytest.mark.slow
def test_cuts_of_power(bench):
    try:
        assert sound(power.run(bench, 30, seed=4), 30).finished >= 3
    except Skipped as reason:
        pytest.skip(str(reason))


@pytest.mark.slow
def test_a_collection_that_does_not_synchronise_is_found_out(bench):
    try:
        careless = power.record(bench, "careless", Manner(commit_every=0.05, synchronous="OFF"))
    except Skipped as reason:
        pytest.skip(str(reason))
    tally = Tally("careless")
    for seed in range(20):
        power.point(bench, tally, careless, random.Random(seed), finish=False)
    assert any("lost, though acknowledged" in sentence for sentence in tally.violations)


@pytest.mark.slow
def test_a_reader_never_sees_half_a_transaction(bench):
    assert sound(reading.run(bench, 10, seed=5), 10).notes["different looks"] > 1
