"""What a collection is searched with, kept up to date: all rows in memory while they are few, files beside the collection when many.

The collection is the truth. The files name the commit that they were brought up to; if the collection still knows it, they are brought up
to date by what came and went since, and made anew if not. Knows no models: what is asked for, to measure with, comes from the caller.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256

import numpy as np

from glimpse import places
from glimpse.errors import StorageError
from glimpse.search import Index, recall
from glimpse.search.codes import Codes
from glimpse.search.files import Files, Manifest
from glimpse.search.halves import Halves
from glimpse.search.large import Large
from glimpse.search.recall import Reach
from glimpse.store import Commit, Store
from glimpse.values import Rows, SearchFacts

MANY = 20_000  # rows; fewer are read from the collection and compared in as little time as it takes to open files and load FAISS
VERY_MANY = 4_000_000  # rows; their codes are put into lists, of which a query scans some, if that finds enough
TAIL = 5_000  # rows without codes, which are compared one by one
DEAD = 0.05  # of the rows; with more of them gone, the files are made anew
GROWN = 2.0  # times as many rows as codes were fitted to: they are fitted anew
ENOUGH = 200  # queries that say more than captions do
FOLDER = "-search"  # what the name of the files' folder ends in, after the collection's
IN_MEMORY = 4_000_000_000  # bytes of rows that are held where files cannot be written

Probes = Callable[[], Rows]


class Upkeep:
    """Keeps the index of one collection. Not for several threads at once."""

    def __init__(self, store: Store, captions: Probes) -> None:
        """Remember whose index it is.

        Args:
            store: the collection's.
            captions: gives texts like those that are asked, embedded: float32 (q, dim), none where there is no model. Asked once
                in a long while.
        """
        self._store, self._captions = store, captions
        self._now: tuple[Commit, Index] | None = None
        self._codes: tuple[str, int, Codes] | None = None  # as they were read last

    def index(self) -> Index:
        """What the collection is searched with, of this moment."""
        with self._store.snapshot():
            commit = self._store.commit()
            if self._now is None or self._now[0] != commit:
                self._now = (commit, self._made(commit))
        return self._now[1]

    def fit(self) -> None:
        """Get the files ready; fit codes anew where what was asked since says more than captions did, or rows are many more."""
        with self._store.snapshot():
            if len(self._store) >= MANY:
                self._now = None
                with suppress(OSError, ValueError), self._files.changing():
                    self._completed(self._brought_up(self._store.commit()), anew=True)

    def remember(self, queries: Rows) -> None:
        """Note what texts were asked of a large collection, as rows: what it is fitted to later."""
        if self._now and isinstance(self._now[1], Large):
            self._files.remember(queries)

    def distrust(self) -> None:
        """Throw the files away: they do not say what the collection says."""
        self._now = None
        self._files.forget()

    def facts(self) -> SearchFacts | None:
        """What was measured of the files, if there are to be any; reads all of them, to be sure of them."""
        with self._store.snapshot():
            commit, count = self._store.commit(), len(self._store)
            if count < MANY:
                return None
            kept = self._files.manifest()
            if (
                kept is None
                or (kept.commit, kept.stamp) != (commit.id, commit.stamp.hex())
                or not self._files.is_whole(kept)
            ):
                return SearchFacts(count, 0, {}, "", 0, "", whole=False)
        found = {reach.depth: reach.recall for reach in kept.reaches}
        candidates = kept.reaches[0].candidates * kept.shards if kept.reaches else 0
        return SearchFacts(count, candidates, found, kept.asked, kept.probes, kept.measured)

    # Making it --------------------------------------------------------------------------------------------------------

    @property
    def _files(self) -> Files:
        path = self._store.path
        if os.access(path.parent, os.W_OK):
            return Files(path.with_name(f"{path.name}{FOLDER}"))
        return Files(places.cache_folder() / "search" / sha256(os.fsencode(path)).hexdigest()[:24])

    def _made(self, commit: Commit) -> Index:
        kept = self._files.manifest()
        if kept and _is_of(kept, commit):
            with suppress(OSError, ValueError):
                return self._opened(kept)
            self._files.forget()
        count = len(self._store)
        if count < MANY:
            return self._store.exact()
        with suppress(OSError, ValueError), self._files.changing():
            return self._opened(self._completed(self._brought_up(commit), anew=False))
        generation = self._store.generation
        if generation and count * generation.dim * 4 > IN_MEMORY:
            raise StorageError(
                f"{self._files.folder}: what a search of {count} vectors needs cannot be written there: make room, and check the folder"
            )
        return self._store.exact()

    def _opened(self, kept: Manifest) -> Large:
        if self._codes is None or self._codes[:2] != (kept.name, kept.coded):
            found = self._files.codes(kept)
            self._codes = (kept.name, kept.coded, found) if found else None
        codes = self._codes[2] if self._codes else None
        dead = np.asarray(kept.dead, np.int64)
        return Large(self._files.rows(kept), self._files.facts(kept), dead, codes, kept.reaches)

    def _brought_up(self, commit: Commit) -> Manifest:
        """Have the files hold the rows of a commit, by what came and went since, or from the beginning."""
        kept = self._files.manifest()
        if kept and _is_of(kept, commit):
            return kept
        if kept and self._store.knows(Commit(kept.commit, bytes.fromhex(kept.stamp))):
            with suppress(OSError, ValueError):
                return self._caught_up(kept, commit)
        return self._begun(commit)

    def _caught_up(self, kept: Manifest, commit: Commit) -> Manifest:
        frames = self._files.facts(kept)["frame"]
        now = self._appended(kept, int(frames[-1]))
        if now.live != len(self._store):
            frames = self._files.facts(now)["frame"]
            now = replace(now, dead=tuple(np.flatnonzero(~np.isin(frames, self._store.frames())).tolist()))
        if len(now.dead) > DEAD * now.rows or now.live != len(self._store):
            return self._begun(commit)
        return self._kept(now, commit)

    def _begun(self, commit: Commit) -> Manifest:
        generation = self._store.generation
        if generation is None:
            raise ValueError(commit)
        return self._kept(self._appended(self._files.begun(generation.dim), 0), commit)

    def _appended(self, to: Manifest, last: int) -> Manifest:
        for facts, halves in self._store.after(last):
            to = self._files.appended(to, halves, facts)
        return to

    def _kept(self, manifest: Manifest, commit: Commit) -> Manifest:
        now = replace(manifest, commit=commit.id, stamp=commit.stamp.hex())
        self._files.keep(now)
        return now

    # Codes ------------------------------------------------------------------------------------------------------------

    def _completed(self, kept: Manifest, *, anew: bool) -> Manifest:
        """Have codes for all rows but the last few, fitted anew where that is worth it."""
        if not kept.fitted or (anew and self._is_outdated(kept)):
            return self._fitted(kept)
        if kept.rows - kept.coded <= TAIL:
            return kept
        codes = self._files.codes(kept)
        if codes is None:
            raise ValueError(kept.name)
        codes.add(self._files.rows(kept)[kept.coded :])
        return self._put(kept, codes)

    def _is_outdated(self, kept: Manifest) -> bool:
        is_better = kept.asked != "queries" and len(self._files.queries(kept.dim)) >= ENOUGH
        return is_better or not kept.probes or kept.rows > GROWN * kept.fitted

    def _fitted(self, kept: Manifest) -> Manifest:
        """Make codes of all rows, and measure what they find, with what was asked lately or else with captions."""
        asked = self._files.queries(kept.dim)
        enough = len(asked) >= ENOUGH
        probes = asked if enough else self._captions()
        rows = self._files.rows(kept)
        codes, reaches = _made(rows, probes)
        now = replace(
            kept,
            fitted=kept.rows,
            asked="queries" if enough else "captions",
            probes=len(probes[1::2]),
            shards=len(codes.shards),
            reaches=tuple(reaches),
            measured=datetime.now(UTC).date().isoformat(),
        )
        return self._put(now, codes)

    def _put(self, kept: Manifest, codes: Codes) -> Manifest:
        now = self._files.put_codes(kept, codes)
        self._files.keep(now)
        self._codes = (now.name, now.coded, codes)
        return now


def _made(rows: Halves, probes: Rows) -> tuple[Codes, list[Reach]]:
    """Codes, shaped by one half of what is asked and measured with the other: in lists if they are worth it, else flat."""
    fit, held = probes[::2], probes[1::2]
    if len(rows) >= VERY_MANY and len(held):
        codes = Codes.made(rows, fit, round(len(rows) ** 0.5))
        if reaches := recall.reaches(codes, rows, held):
            return codes, reaches
    codes = Codes.made(rows, fit)
    return codes, recall.reaches(codes, rows, held)


def _is_of(kept: Manifest, commit: Commit) -> bool:
    return (kept.commit, kept.stamp) == (commit.id, commit.stamp.hex())
