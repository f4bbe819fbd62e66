"""From items to rows: workers decode, a thread of its own runs the tower, whoever asks stores; all at the same time.

    tasks ──► Pool ──► batches of pixels ──► Encoder.embed ──► Batch

Knows no collection. At any time there are a few pictures in each worker, and a few batches here: memory does not depend on how much
there is to embed.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from glimpse.encoder import Encoder
from glimpse.values import STAGES, Rows
from glimpse.workers.events import Ending, Event, Frame

FIRST_BATCH, LARGEST_BATCH, SMALLEST_BATCH = 16, 32, 4  # pictures that are embedded together
QUICK, SLOW = 0.5, 2.0  # seconds that a batch may take before the next is larger or smaller: Ctrl-C waits for one
QUEUE = 2  # batches that wait for the tower, or are in it
IDLE = 0.2  # of the time; a stage that works less is nothing that others wait for
LINGER = 0.5  # seconds that a batch which is not full waits for more


@dataclass(slots=True)
class Batch:
    """Frames with their rows, and items that have ended: all of their frames are in this batch or in one before."""

    frames: list[Frame] = field(default_factory=list)
    endings: list[Ending] = field(default_factory=list)
    rows: Rows = field(default_factory=lambda: np.empty((0, 0), np.float32))
    began: float = field(default_factory=time.monotonic)

    def is_due(self, size: int) -> bool:
        """Whether it is time to embed it."""
        is_full = len(self.frames) >= size or len(self.endings) >= max(size, LARGEST_BATCH)
        return is_full or time.monotonic() - self.began > LINGER


class Profile:
    """Seconds that each stage was at work, and how many hands it has."""

    def __init__(self, workers: int) -> None:
        """Begin with nothing done by so many workers."""
        self.seconds = dict.fromkeys(STAGES, 0.0)
        self.workers = workers
        self._before, self._asked = dict(self.seconds), time.monotonic()

    def bottleneck(self, since: dict[str, float] | None = None, least: float = 0.0) -> str:
        """The stage whose hands were busiest: the others wait for it. Empty where none was for more than `least` seconds."""
        spent = {stage: seconds - (since or {}).get(stage, 0.0) for stage, seconds in self.seconds.items()}
        in_workers = spent["reading"] + spent["decoding"]
        shares = {"encoding": spent["encoding"], "storing": spent["storing"]}
        slower = max(("reading", "decoding"), key=lambda stage: spent[stage])
        shares[slower] = in_workers / self.workers
        busiest = max(shares, key=lambda stage: shares[stage])
        return busiest if shares[busiest] > least else ""

    def bottleneck_now(self) -> str:
        """The same, since this was asked last; empty where all were idle most of the time, as when a server is waited for."""
        now = time.monotonic()
        found = self.bottleneck(self._before, IDLE * (now - self._asked))
        self._before, self._asked = dict(self.seconds), now
        return found


def embedded(encoder: Encoder, events: Iterable[Event], profile: Profile) -> Iterator[Batch]:
    """Embed what a pool decodes.

    Yields:
        Batches in the order in which they were decoded; empty ones now and then, while nothing happens.
    """
    tower = _Tower(encoder, profile)
    waiting: deque[tuple[Batch, Future[Rows]]] = deque()
    with ThreadPoolExecutor(1, "glimpse-tower") as thread:
        for batch in _batches(events, profile, lambda: tower.size):
            waiting.append((batch, thread.submit(tower.embed, batch)))
            while waiting and (len(waiting) > QUEUE or waiting[0][1].done()):
                yield _with_rows(*waiting.popleft())
        while waiting:
            yield _with_rows(*waiting.popleft())


def _batches(events: Iterable[Event], profile: Profile, size: Callable[[], int]) -> Iterator[Batch]:
    batch = Batch()
    for event in events:
        if isinstance(event, Frame):
            batch.frames.append(event)
        elif isinstance(event, Ending):
            batch.endings.append(event)
            profile.seconds["reading"] += event.reading
            profile.seconds["decoding"] += event.decoding
        is_picture = isinstance(event, Frame) and event.time is None  # its ending comes next, and they stay together
        if not is_picture and batch.is_due(size()):
            yield batch
            batch = Batch()
    yield batch


class _Tower:
    """The image tower, and how many pictures it should be given at once."""

    def __init__(self, encoder: Encoder, profile: Profile) -> None:
        self.size = FIRST_BATCH
        self._largest = LARGEST_BATCH if encoder.devices == ("cpu",) else encoder.batch
        self._encoder, self._profile = encoder, profile

    def embed(self, batch: Batch) -> Rows:
        """Run the tower."""
        if not batch.frames:
            return np.empty((0, self._encoder.dim), np.float32)
        began = time.monotonic()
        rows = self._encoder.embed(np.stack([frame.pixels for frame in batch.frames]))
        seconds = time.monotonic() - began
        self._profile.seconds["encoding"] += seconds
        self.size = next_size(self.size, seconds, self._largest)
        return rows


def next_size(size: int, seconds: float, largest: int = LARGEST_BATCH) -> int:
    """How many pictures the next batch should have, for nobody to wait long for its end."""
    if seconds < QUICK:
        return min(2 * size, largest)
    return max(size // 2, SMALLEST_BATCH) if seconds > SLOW else size


def _with_rows(batch: Batch, rows: Future[Rows]) -> Batch:
    batch.rows = rows.result()
    return batch
