"""A reader that looks all the time while a run stores: what it sees is always what a whole number of transactions left."""

from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

from crash import checks
from crash.bench import EAGER, Bench, Victim
from crash.tally import Tally
from glimpse.collection import Collection
from glimpse.errors import GlimpseError


def run(bench: Bench, times: int, seed: int) -> Tally:
    """Watch runs until so many looks have been taken; nothing is left to chance, and `seed` without a use."""
    del seed
    tally = Tally("reading")
    while tally.points < times:
        path = bench.fresh() / "photos.db"
        victim = bench.start(path, EAGER)
        victim.wait_for("indexing")
        looks, complaints = _looks(path, victim)
        tally.points += len(looks)
        tally.note("different looks", len(set(looks)))
        tally.blame("", complaints + _halves(set(looks), victim))
        state, violations = checks.survived(path, bench.reference, victim.said)
        tally.blame("", violations + checks.finished(victim, state, bench.reference, 0))
        tally.finished += 1
    return tally


def _looks(path: Path, victim: Victim) -> tuple[list[frozenset[str]], list[str]]:
    """Keys that are there, again and again until the run ends, and what went wrong with reading."""
    found, wrong = [], []
    try:
        with Collection(path, create=False) as collection:
            while victim.process.poll() is None:
                keys, rows = collection.vectors()
                found.append(frozenset(keys))
                wrong += [] if len(keys) == len(rows) else [f"a reader got {len(keys)} keys with {len(rows)} rows"]
                checks.search(collection)
    except GlimpseError as error:
        wrong.append(f"a reader is refused: {error}")
    return found, wrong


def _halves(looks: set[frozenset[str]], victim: Victim) -> list[str]:
    wholes = set(_wholes(victim))
    return [f"a reader saw a part of a transaction: {len(look)} rows" for look in looks if look not in wholes]


def _wholes(victim: Victim) -> Iterator[frozenset[str]]:
    """What is there after each transaction."""
    yield frozenset()
    yield from accumulate((frozenset(commit) for commit in victim.said.commits), frozenset.union)
