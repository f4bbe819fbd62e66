"""Cuts of power: what survives one is only what was synchronised, and by chance what was not (`disk`)."""

import random
import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crash import checks, disk, trace
from crash.bench import EAGER, USUAL, Bench, Manner
from crash.disk import FATES, Event, Said
from crash.tally import Tally
from crash.witness import Statement

FINISH_EVERY = 10  # points


@dataclass(frozen=True, slots=True)
class Recording:
    """A run as the disk saw it.

    Attributes:
        start: events of how the folder was at the beginning.
        events: what happened.
        stored: rows that were there at the beginning.
    """

    name: str
    start: Sequence[Event]
    events: Sequence[Event]
    stored: int


def run(bench: Bench, times: int, seed: int) -> Tally:
    """Cut the power at so many moments of a few recorded runs.

    Raises:
        Skipped: strace is not installed.
    """
    tally = Tally("power")
    recordings = [
        record(bench, "usual", USUAL),
        record(bench, "eager", EAGER),
        record(bench, "resumed", EAGER, begun=True),
    ]
    for number in range(times):
        rng = random.Random(f"{seed}-{number}")
        point(bench, tally, recordings[number % len(recordings)], rng, finish=number % FINISH_EVERY == 0)
    return tally


def record(bench: Bench, name: str, manner: Manner, *, begun: bool = False) -> Recording:
    """Index the corpus under strace; with `begun`, into a collection that a run was killed at before."""
    folder = bench.fresh()
    path, output = folder / "photos.db", bench.fresh() / "strace"
    stored = _begin(bench, path) if begun else 0
    files = {file.name: file.read_bytes() for file in sorted(folder.iterdir()) if not file.name.endswith("-shm")}
    victim = bench.start(path, manner, under=trace.under(output))
    bench.undisturbed(victim)
    with output.open(errors="replace") as lines:
        events = trace.events(lines, folder, victim.folder / "log", files)
    _check(events, files, folder)
    return Recording(name, disk.held(files), events, stored)


def _begin(bench: Bench, path: Path) -> int:
    seconds = bench.seconds / 3
    victim = bench.start(path, EAGER)
    victim.wait_for("stored")
    victim.ends_within(seconds)
    victim.signal(signal.SIGKILL)
    victim.wait()
    copy = bench.fresh()
    for file in path.parent.iterdir():  # looking at it would fold the log into the file
        shutil.copy(file, copy)
    state, _ = checks.survived(copy / path.name, bench.reference, Statement())
    return len(state.vectors) if state else 0


def _check(events: Sequence[Event], files: dict[str, bytes], folder: Path) -> None:
    """See that the model explains what was really on the disk at the end."""
    found = disk.surviving([*disk.held(files), *events], "everything", random.Random(0))
    if found != {file.name: file.read_bytes() for file in folder.iterdir()}:
        raise RuntimeError(f"the recording does not explain what is in {folder}")


def point(bench: Bench, tally: Tally, recording: Recording, rng: random.Random, *, finish: bool) -> None:
    """Cut the power once."""
    moment, fate = rng.randint(0, len(recording.events)), rng.choice(FATES)
    history = recording.events[:moment]
    chain = bench.fresh() / "photos.db"
    for name, content in disk.surviving([*recording.start, *history], fate, rng).items():
        (chain.parent / name).write_bytes(content)
    said = Statement.of("".join(event.text for event in history if isinstance(event, Said)))
    state, violations = checks.survived(chain, bench.reference, said)
    before = len(state.vectors) if state else 0
    waste = said.embedded - (before - recording.stored)
    where = f"{recording.name}, event {moment} of {len(recording.events)}, {fate} survives"
    tally.points += 1
    tally.most = max(tally.most, waste)
    tally.blame(where, [*violations, *checks.in_vain(waste)])
    if finish:
        victim = bench.finish(chain)
        state, violations = checks.survived(chain, bench.reference, said)
        tally.blame(where, violations + checks.finished(victim, state, bench.reference, before))
        tally.finished += 1
    shutil.rmtree(chain.parent)
