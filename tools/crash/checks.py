"""What must hold whatever happened to a run: each function returns what does not, as sentences."""

from pathlib import Path

import numpy as np

from crash.bench import Victim
from crash.state import State, read
from crash.witness import Statement
from glimpse import run
from glimpse.collection import Collection
from glimpse.embedding import LARGEST_BATCH, QUEUE
from glimpse.errors import GlimpseError

BOUND = run.COMMIT_AT + (QUEUE + 1) * LARGEST_BATCH
"""Rows that may be embedded in vain: those that wait for their transaction, and the batches on their way there."""

Found = tuple[State | None, list[str]]


def survived(path: Path, reference: State, said: Statement) -> Found:
    """Open what is left of a collection; its state, and how it breaks the promises that were made."""
    try:
        _use(path)
        state = read(path)
    except (GlimpseError, OSError) as error:
        return None, [f"it does not open: {error}"]
    return state, [*state.complaints, *_lost(state, said), *_wrong(state, reference)]


def _use(path: Path) -> None:
    """Open and search it as a user does."""
    with Collection(path) as collection:
        search(collection)
        collection.failures()


def search(collection: Collection) -> int:
    """Ask for something by a vector, which needs no model; how many hits there are."""
    made_by = collection.generation
    return len(collection.search(np.ones(made_by.dim), k=5)) if made_by else 0


def _lost(state: State, said: Statement) -> list[str]:
    """What was acknowledged and is not there."""
    lost = {
        "frame": said.stored - state.vectors.keys(),
        "film that was finished": said.finished - state.whole,
        "failure": said.failed - state.failed,
    }
    return [f"lost, though acknowledged: the {what} {key}" for what, keys in lost.items() for key in sorted(keys)]


def _wrong(state: State, reference: State) -> list[str]:
    """Vectors that an undisturbed run does not have so, or that are no unit vectors."""
    strange = [f"not in the undisturbed run: {key}" for key in state.vectors.keys() - reference.vectors.keys()]
    common = state.vectors.keys() & reference.vectors.keys()
    other = [f"another vector: {key}" for key in common if state.vectors[key] != reference.vectors[key]]
    return strange + other + [f"no unit vector: {key}" for key, blob in state.vectors.items() if not is_unit(blob)]


def is_unit(blob: bytes) -> bool:
    """Whether float16 bytes are a finite vector of length 1, as far as float16 goes."""
    vector = np.frombuffer(blob, np.float16).astype(np.float64)
    return bool(np.isfinite(vector).all() and abs(np.linalg.norm(vector) - 1) < 1e-3)


def in_vain(waste: int) -> list[str]:
    """Rows that were embedded and not stored, against the bound."""
    return [] if 0 <= waste <= BOUND else [f"{waste} rows were embedded and not stored, the bound is {BOUND}"]


def finished(victim: Victim, state: State | None, reference: State, before: int) -> list[str]:
    """A run to the end: the same as an undisturbed one, and nothing of what was stored before is embedded again."""
    missing, embedded = len(reference.vectors) - before, victim.said.embedded
    wrong = [] if victim.ended_well else [f"it ended with {victim.wait()}: {victim.err}"]
    wrong += [] if embedded == missing else [f"{missing} rows were missing, {embedded} were embedded"]
    same = state is not None and state.digest == reference.digest
    return wrong if same else [*wrong, "it ends in another digest than an undisturbed run"]
