"""Where runs are hurt: a corpus, an undisturbed run to compare with, and processes that can be hurt."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from crash import corpus
from crash.state import State, read
from crash.witness import Statement

GRACE = 2.0  # seconds after which no process of a run that was killed may be there any more
PATIENCE = 120.0  # seconds that a run may take
SOME_FAILED = 1  # the exit code of a run over a corpus with bad files


@dataclass(frozen=True, slots=True)
class Manner:
    """How a victim stores: seconds between transactions, pages of the log between checkpoints, SQLite's `synchronous`."""

    commit_every: float = 1.0
    checkpoint: int = 1000
    synchronous: str = "FULL"


USUAL = Manner()
EAGER = Manner(commit_every=0.05, checkpoint=40)  # so that many moments are near a transaction or a checkpoint


class Bench:
    """A scratch folder with a corpus; the undisturbed run is made when it is first asked for."""

    def __init__(self, scratch: Path, *, pictures: int = 400, seconds: int = 40) -> None:
        """Make the corpus."""
        self.scratch, self.corpus = scratch, scratch / "corpus"
        corpus.make(self.corpus, pictures, seconds)

    def fresh(self) -> Path:
        """A folder that was not there before."""
        return Path(tempfile.mkdtemp(dir=self.scratch))

    def start(self, collection: Path, manner: Manner = USUAL, *, under: Sequence[str] = ()) -> "Victim":
        """Index the corpus in a process group of its own; `under` is a command that the program is run by."""
        folder = self.fresh()
        program = [sys.executable, "-P", str(Path(__file__).with_name("victim.py")), str(folder / "log")]
        options = ["index", str(self.corpus), "-c", str(collection), "-m", "demo", "--sampling", "1", "--json"]
        command = [*under, *program, json.dumps(asdict(manner)), *options]
        cache = {"GLIMPSE_CACHE": str(self.scratch / "cache"), "HF_HUB_OFFLINE": "1"}
        with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
                env=os.environ | cache,
            )
        return Victim(process, folder)

    def finish(self, collection: Path) -> "Victim":
        """Index the corpus and let it end."""
        victim = self.start(collection)
        victim.wait()
        return victim

    def undisturbed(self, victim: "Victim") -> None:
        """Wait for the end of a run that others are compared with.

        Raises:
            RuntimeError: it does not end as it should where nobody disturbs it.
        """
        if not victim.ended_well:
            raise RuntimeError(f"an undisturbed run ended with {victim.wait()}: {victim.err}")

    @cached_property
    def _undisturbed(self) -> tuple[State, float]:
        self.finish(self.fresh() / "photos.db")  # compiles the towers
        path = self.fresh() / "photos.db"
        victim = self.start(path)
        victim.wait_for("opening")
        began = time.monotonic()
        self.undisturbed(victim)
        return read(path), time.monotonic() - began

    @property
    def reference(self) -> State:
        """What a run ends in that nobody disturbs."""
        return self._undisturbed[0]

    @property
    def seconds(self) -> float:
        """How long such a run takes from the moment at which it opens the file."""
        return self._undisturbed[1]

    def seconds_left(self, stored: int) -> float:
        """The same for a run that goes on where so many rows are stored; a part of it is getting ready."""
        return self.seconds * (0.3 + 0.7 * (1 - stored / len(self.reference.vectors)))


@dataclass(slots=True)
class Victim:
    """A run in a process group of its own, its log, and what it printed."""

    process: "subprocess.Popen[bytes]"
    folder: Path

    @property
    def said(self) -> Statement:
        """What its log says so far."""
        log = self.folder / "log"
        return Statement.of(log.read_text() if log.exists() else "")

    @property
    def out(self) -> str:
        """What it printed."""
        return (self.folder / "out").read_text()

    @property
    def err(self) -> str:
        """What it complained of."""
        return (self.folder / "err").read_text()

    @property
    def ended_well(self) -> bool:
        """Whether it goes to its end, and names the bad files."""
        return self.wait() == SOME_FAILED and self.said.interrupted is False

    def wait_for(self, word: str) -> None:
        """Wait until its log has a word, or it has ended."""
        _until(lambda: word in self.said.words or self.process.poll() is not None, PATIENCE)

    def wait(self, seconds: float = PATIENCE) -> int:
        """Wait for its end, and say its exit code."""
        return self.process.wait(seconds)

    def ends_within(self, seconds: float) -> bool:
        """Whether it ends by itself before so many seconds are over."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        return self.process.returncode is not None

    def signal(self, number: int) -> None:
        """Send a signal to all of its processes."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def kill(self, *, alone: bool = False) -> list[str]:
        """Kill it, or the program alone as the system does when memory is short; says what is left of it after a while."""
        if alone:
            self.process.kill()
        else:
            self.signal(signal.SIGKILL)
        self.process.wait()
        left = self.left_over()
        self.signal(signal.SIGKILL)
        return left

    def left_over(self) -> list[str]:
        """Processes of its group that do not go away, as sentences."""
        _until(lambda: not _alive(self.process.pid), GRACE)
        return [f"a worker is still there after {GRACE} s: {process}" for process in _alive(self.process.pid)]


def _until(done: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not done() and time.monotonic() < deadline:
        time.sleep(0.005)


def _alive(group: int) -> list[int]:
    """Processes of a group, dead ones that nobody asked for left out."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            state, _, its_group = path.read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state not in "ZX":
                found.append(int(path.parent.name))
    return found
