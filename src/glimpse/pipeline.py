"""START HERE: the loop from a folder of pictures to stored vectors, on one page.

    source ──► decode ──► pixels ──► encode ──► store
    items      Encoder.prepare       .embed     Collection.add

Threads read and decode the next batch while the towers embed this one; a batch is stored in one transaction, and lasts about
a second, whatever the model. Every item ends in exactly one of indexed, unchanged and failed.
"""

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from glimpse.ahead import ahead
from glimpse.collection import Collection
from glimpse.encoder import Encoder, picture_bytes
from glimpse.errors import BadItem, UsageError
from glimpse.sources import folder
from glimpse.values import Failure, Item, Pixels, Progress, Report

PASSING = ("unreadable", "vanished", "memory")  # codes that say nothing of the file itself: tried again every time
FIRST_BATCH, LARGEST_BATCH, SMALLEST_BATCH = 16, 256, 4  # items
QUICK, SLOW = 0.5, 2.0  # seconds


def index(
    collection: Collection,
    places: Sequence[str | os.PathLike[str]],
    *,
    progress: Callable[[Progress], object] | None,
    stop: Callable[[], bool],
    retry_failed: bool,
) -> Report:
    """Bring a collection up to date with files and folders; see `Collection.index`."""
    roots = [folder.root(place) for place in places]
    items = {item.key: item for root in roots for item in _some_items(root)}
    if not items:
        raise UsageError("there is nothing to index: name a folder with pictures")
    for suffix in ("", "-wal", "-shm"):  # the collection itself may be in the folder
        items.pop(f"{collection.path}{suffix}", None)
    run = _Run(collection, items, retry_failed)
    report_to = progress or (lambda _: None)
    report_to(run.progress())
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for batch in ahead(pool, _Worker(collection.encoder), run.changed(), lambda: run.pace):
            run.store(batch)
            report_to(run.progress())
            if stop():
                return run.report(interrupted=True)
    run.forget_missing(roots)
    return run.report()


def _some_items(root: Path) -> list[Item]:
    """The files of one place; none at all is taken for a disk that is not mounted."""
    found = list(folder.items(root))
    if not found:
        raise UsageError(f"there are no files in {root}: name a folder with pictures")
    return found


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What a worker made of an item; `pixels` is None where the content is what is stored already."""

    item: Item
    digest: bytes = b""
    pixels: Pixels | None = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class _Worker:
    """Reads, hashes and decodes one item, in any thread."""

    encoder: Encoder

    def __call__(self, task: tuple[Item, bytes]) -> _Prepared:
        item, known_digest = task
        try:
            data = picture_bytes(item)
            digest = hashlib.sha256(data).digest()
            return _Prepared(item, digest, None if digest == known_digest else self.encoder.prepare(data))
        except BadItem as error:
            return _Prepared(item, failure=Failure(item.key, error.code, error.message))


@dataclass(slots=True)
class _Run:
    """One run over one list of items: what was seen, and what became of it."""

    collection: Collection
    items: dict[str, Item]
    retry_failed: bool
    indexed: int = 0
    unchanged: int = 0
    moved: int = 0
    removed: int = 0
    failures: list[Failure] = field(default_factory=list)
    left: set[str] = field(default_factory=set)  # keys that items of this run moved away from
    pace: int = FIRST_BATCH
    began: float = field(default_factory=time.monotonic)

    def changed(self) -> Iterator[tuple[Item, bytes]]:
        """Items to be read, each with the digest stored for it; counts the others, told by size and time."""
        failed = {failure.key: failure for failure in self.collection.failures()}
        for item in self.items.values():
            entry = self.collection.known(item.key)
            if entry is None or (entry.size, entry.mtime_ns) != (item.size, item.mtime_ns):
                yield item, entry.digest if entry else b""
            elif entry.code in PASSING or (entry.code and self.retry_failed):
                yield item, b""
            elif entry.code:
                self.failures.append(failed[item.key])
            else:
                self.unchanged += 1

    def store(self, batch: Iterable[_Prepared]) -> None:
        """Embed what is new; store it in one transaction with what failed and what moved."""
        began = time.monotonic()
        new: list[_Prepared] = []
        failed: list[tuple[Item, Failure]] = []
        kept: list[tuple[str, Item]] = []  # (old key, item)
        for prepared in batch:
            if prepared.failure:
                failed.append((prepared.item, prepared.failure))
            elif old := self._old_key(prepared):
                kept.append((old, prepared.item))
            else:
                new.append(prepared)
        pixels = [prepared.pixels for prepared in new if prepared.pixels is not None]
        rows = self.collection.encoder.embed(np.stack(pixels)) if pixels else np.empty((0, 0), np.float32)
        self.collection.add([(prepared.item, prepared.digest) for prepared in new], rows, failed=failed, renamed=kept)
        self.indexed += len(new)
        self.unchanged += len(kept)
        self.moved += sum(old != item.key for old, item in kept)
        self.failures += [failure for _, failure in failed]
        self.pace = _next_size(self.pace, time.monotonic() - began)

    def _old_key(self, prepared: _Prepared) -> str | None:
        """Where the same content is stored: under the same key, or under one whose file is gone (it moved)."""
        if prepared.pixels is None:
            return prepared.item.key
        for key in self.collection.keys_with_digest(prepared.digest):
            if key not in self.items and key not in self.left and folder.is_gone(key):
                self.left.add(key)
                return key
        return None

    def forget_missing(self, roots: Sequence[Path]) -> None:
        """Take out what was below the roots and is there no more; what is in a folder that cannot be listed stays."""
        closed = tuple(f"{failure.key}{os.sep}" for failure in self.failures if failure.code == "unreadable")
        below = {key for root in roots for key in self.collection.keys_below(folder.key_of(root))}
        unseen = sorted(key for key in below if key not in self.items and not key.startswith(closed))
        gone = [key for key in unseen if folder.is_gone(key)]
        self.removed = self.collection.remove(gone) if gone else 0
        failed = [failure.key for failure in self.collection.failures() if failure.key not in self.items]
        stale = [key for key in failed if key in below or folder.is_gone(key)]
        if stale:
            self.collection.remove(stale)

    def progress(self) -> Progress:
        """How far it has come."""
        done = self.indexed + self.unchanged + len(self.failures)
        return Progress(done, len(self.items), self.indexed, len(self.failures), time.monotonic() - self.began)

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
        )


def _next_size(size: int, seconds: float) -> int:
    """How many items the next batch should have, for one to be neither a flood of transactions nor a long wait."""
    if seconds < QUICK:
        return min(2 * size, LARGEST_BATCH)
    return max(size // 2, SMALLEST_BATCH) if seconds > SLOW else size
