"""One run over one listing: what has to be done for each item, what became of it, and what is stored of that when.

Every item ends in exactly one of indexed, unchanged and failed. Knows neither processes nor threads: `pipeline` puts them together.
"""

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from glimpse import sources
from glimpse.collection import Collection
from glimpse.embedding import Batch, Profile
from glimpse.listing import Listing
from glimpse.store import Entry
from glimpse.values import Embedding, Failure, Item, Origin, Progress, Report, Rows, Sampling, Selection
from glimpse.workers.events import Ending, Event, Frame, Task
from glimpse.workers.limits import Limits

COMMIT_EVERY = 1.0  # seconds
COMMIT_AT = 160  # rows; with what is on its way then, a run that is killed has embedded at most 256 in vain
TELL_EVERY = 0.5  # seconds


Area = tuple[str, Callable[[str], bool]]
"""Where a run has looked: what all keys of a place begin with, and whether a key with that beginning is of the place."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a run is asked to do; see `Collection.index`."""

    selection: Selection = Selection()  # noqa: RUF009  (frozen)
    sampling: Sampling | None = None
    min_side: int = 1
    limits: Limits = Limits()  # noqa: RUF009  (frozen)
    retry_failed: bool = False


@dataclass(slots=True)
class Run:
    """One run over one listing: what was seen, what became of it, and what is not stored yet."""

    collection: Collection
    listing: Listing
    wishes: Wishes
    profile: Profile
    began: float
    indexed: int = 0
    frames: int = 0
    unchanged: int = 0
    moved: int = 0
    removed: int = 0
    failures: list[Failure] = field(default_factory=list)
    left: set[str] = field(default_factory=set)  # keys that items of this run moved away from
    copied: set[bytes] = field(
        default_factory=set
    )  # digests of stored items, none of which has gone: not looked for again
    films: dict[str, "_Film"] = field(default_factory=dict)  # those that are being decoded
    moves: dict[str, str] = field(default_factory=dict)  # key → where its content is stored, until the item has ended
    waiting: list[Batch] = field(default_factory=list)
    kept: list[tuple[str, Item]] = field(default_factory=list)
    committed: float = field(default_factory=time.monotonic)
    told: float = 0.0

    # What there is to do ----------------------------------------------------------------------------------------------

    def changed(self) -> Iterator[Task]:
        """What has to be read; counts the rest, which is told by size and time."""
        unlisted = list(self.listing.failures.values())
        if unlisted:
            self.failures += unlisted
            self.collection.add([], _NO_ROWS, failed=[(_unlisted(failure), b"", failure) for failure in unlisted])
        for item in self.listing:
            entry = self.collection.store.known(item.key)
            if entry is None:
                yield Task(item, sampling=self._sampling(None))
            elif _has_changed(item, entry) or not entry.whole or self._is_sampled_otherwise(entry.sampling):
                self._resume(item, entry)
                known = b"" if entry.code or not self._is_done(entry) else entry.digest
                yield Task(item, known, sampling=self._sampling(entry))
            elif entry.code and self.wishes.retry_failed:
                self._resume(item, entry)
                yield Task(item, sampling=self._sampling(entry))
            elif entry.code:
                self.failures.append(Failure(item.key, entry.code, entry.message))
            else:
                self._keep(item, entry)

    def _sampling(self, entry: Entry | None) -> Sampling:
        """Which frames of a film are wanted: as asked for now, as before, or the usual ones."""
        before = Sampling.from_name(entry.sampling) if entry and entry.sampling else Sampling()
        return self.wishes.sampling or before

    def _is_sampled_otherwise(self, name: str) -> bool:
        """Whether frames that were chosen in some way are not those that are asked for now; pictures have no such name."""
        wanted = self.wishes.sampling
        return bool(wanted and name and name != wanted.name)

    def _is_done(self, entry: Entry) -> bool:
        return entry.whole and not self._is_sampled_otherwise(entry.sampling)

    def _resume(self, item: Item, entry: Entry) -> None:
        """Remember which frames of a film there are already: they need not be embedded again if its content is the same."""
        if entry.sampling:
            sampling = self._sampling(entry)
            times = self.collection.store.times(item.key) if sampling.name == entry.sampling else set()
            self.films[item.key] = _Film(entry.digest, sampling, times)

    def _keep(self, item: Item, entry: Entry) -> None:
        self.unchanged += 1
        if json.loads(entry.metadata) != dict(item.metadata) or json.loads(entry.origin) != list(item.origin):
            self.kept.append((item.key, item))

    def is_wanted(self, item: Item, digest: bytes) -> bool:
        """Whether a film has to be decoded: not if its content is stored under a name that is gone."""
        return self._old_key(item, digest) is None

    def fresh(self, events: Iterable[Event]) -> Iterator[Event]:
        """Leave out frames that there are already: of films that were begun before, and of what has moved."""
        for event in events:
            if not isinstance(event, Frame) or self._is_new(event):
                yield event

    def _is_new(self, frame: Frame) -> bool:
        if frame.time is None:
            return self._old_key(frame.item, frame.digest) is None
        film = self.films.setdefault(frame.item.key, _Film(frame.digest, self._sampling(None)))
        if film.digest != frame.digest:  # it changed since
            film = self.films[frame.item.key] = _Film(frame.digest, film.sampling)
        if frame.time in film.times:
            return False
        film.times.add(frame.time)
        return True

    def _old_key(self, item: Item, digest: bytes) -> str | None:
        """The name under which the same content is stored, if what it named is gone: it has moved from there."""
        if item.key in self.moves:
            return self.moves[item.key]
        if digest in self.copied:
            return None
        stored = self.collection.store.with_digest(digest)
        for key, origin, sampling in stored:
            is_free = key not in self.left and key not in self.listing and not self._is_sampled_otherwise(sampling)
            if is_free and _is_gone(origin):
                self.left.add(key)
                self.moves[item.key] = key
                return key
        if stored:
            self.copied.add(digest)
        return None

    # What becomes of it -----------------------------------------------------------------------------------------------

    def take(self, batch: Batch) -> None:
        """Have a batch stored with the next commit."""
        if batch.frames or batch.endings:
            self.waiting.append(batch)

    def is_due(self) -> bool:
        """Whether it is time to store."""
        rows = sum(len(batch.frames) for batch in self.waiting)
        return rows >= COMMIT_AT or time.monotonic() - self.committed > COMMIT_EVERY

    def commit(self) -> None:
        """Store what there is, in one transaction."""
        began = time.monotonic()
        endings = [ending for batch in self.waiting for ending in batch.endings]
        rows = [batch.rows for batch in self.waiting if len(batch.frames)]
        finished = [(ending.item, ending.duration) for ending in endings if self._is_finished(ending)]
        failed = [(_in_ledger(ending), ending.digest, ending.failure) for ending in endings if ending.failure]
        self._sort(endings)
        if endings or rows or self.kept:
            self.collection.add(
                [self._named(frame) for batch in self.waiting for frame in batch.frames],
                np.concatenate(rows) if rows else _NO_ROWS,
                finished=finished,
                failed=failed,
                renamed=self.kept,
            )
        self.frames += sum(map(len, rows))
        self.failures += [failure for _, _, failure in failed]
        for ending in endings:
            self.films.pop(ending.item.key, None)
        self.waiting, self.kept, self.committed = [], [], time.monotonic()
        self.profile.seconds["storing"] += self.committed - began

    def _sort(self, endings: Iterable[Ending]) -> None:
        """Count items that ended well, and note which only have to be renamed."""
        for ending in endings:
            old = self.moves.pop(ending.item.key, None) or (ending.item.key if ending.same else None)
            if ending.failure:
                continue
            if old is None:
                self.indexed += 1
            else:
                self.unchanged += 1
                self.moved += old != ending.item.key
                self.kept.append((old, ending.item))

    def _is_finished(self, ending: Ending) -> bool:
        key = ending.item.key
        return not ending.failure and not ending.same and key in self.films and key not in self.moves

    def _named(self, frame: Frame) -> Embedding:
        sampling = "" if frame.time is None else self.films[frame.item.key].sampling.name
        return Embedding(frame.item, frame.digest, frame.time, sampling)

    def forget_missing(self, areas: Sequence[Area]) -> None:
        """Take out what was in the places and is there no more; what is in a folder that cannot be listed stays."""
        closed = tuple(f"{key}{os.sep}" for key in self.listing.failures)
        gone = {key for area in areas for key in self._missing(area) if not key.startswith(closed)}
        self.removed = self.collection.remove(gone) if gone else 0
        stale = [
            key
            for key, origin, failed in self.collection.store.origins()
            if failed and self._is_stale(key, origin, areas)
        ]
        if stale:
            self.collection.remove(stale)

    def _missing(self, area: Area) -> Iterator[str]:
        prefix, covers = area
        for key, origin, _ in self.collection.store.origins(prefix):
            if key not in self.listing and covers(key) and _is_gone(origin):
                yield key

    def _is_stale(self, key: str, origin: Origin, areas: Sequence[Area]) -> bool:
        """Whether a failure says nothing any more: it was looked for and not found, or its file is gone, wherever it was."""
        if key in self.listing:
            return False
        is_gone = origin[0] == "folder" and _is_gone(origin)
        return is_gone or any(covers(key) for _, covers in areas)

    # How it goes ------------------------------------------------------------------------------------------------------

    def tell(self, report_to: Callable[[Progress], object]) -> None:
        """Report now and then."""
        if time.monotonic() - self.told > TELL_EVERY:
            self.told = time.monotonic()
            report_to(self.progress())

    def progress(self) -> Progress:
        """How far it has come."""
        done = self.indexed + self.unchanged + len(self.failures)
        return Progress(
            done,
            len(self.listing),
            self.indexed,
            len(self.failures),
            time.monotonic() - self.began,
            self.frames,
            self.profile.bottleneck_now(),
        )

    def report(self, *, interrupted: bool = False) -> Report:
        """How it ended."""
        return Report(
            indexed=self.indexed,
            unchanged=self.unchanged,
            moved=self.moved,
            removed=self.removed,
            failures=tuple(sorted(self.failures, key=lambda failure: failure.key)),
            seconds=time.monotonic() - self.began,
            interrupted=interrupted,
            frames=self.frames,
            stages=dict(self.profile.seconds),
            bottleneck=self.profile.bottleneck() if self.frames else "",
        )


@dataclass(slots=True)
class _Film:
    """A film that is being decoded: its content, how frames are chosen, and the times of those that there are."""

    digest: bytes
    sampling: Sampling
    times: set[float] = field(default_factory=set)


_NO_ROWS: Rows = np.empty((0, 0), np.float32)


def _has_changed(item: Item, entry: Entry) -> bool:
    return (entry.size, entry.mtime_ns) != (item.size, item.mtime_ns)


def _is_gone(origin: Origin) -> bool:
    return bool(sources.of_origin(origin).is_gone(*origin[1:]))


def _in_ledger(ending: Ending) -> Item:
    """The item as it failed; when a file that was not there is there again, that is a change whatever its time says."""
    is_gone = ending.failure and ending.failure.code == "vanished"
    return replace(ending.item, size=-1, mtime_ns=0) if is_gone else ending.item


def _unlisted(failure: Failure) -> Item:
    """What stands in the ledger for something that could not even be listed."""
    return Item(failure.key, -1, 0, ("folder", failure.key))
