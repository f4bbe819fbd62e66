"""What a collection is searched with, kept up to date: all rows in memory while they are few, files beside the collection when many.

`following.py` has files hold the rows of a moment, `search/fitting.py` their codes; here is where the files are, who may change them when, and
what is done where they cannot be written. Knows no models: what is asked for, to measure with, comes from the caller.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from stat import S_ISDIR

import numpy as np

from glimpse import places
from glimpse.errors import StorageError
from glimpse.following import begun, followed, holds, model_of
from glimpse.search import Index
from glimpse.search.codes import Codes
from glimpse.search.files import Files, Manifest
from glimpse.search.fitting import Probes, coded, grown, without_codes
from glimpse.search.large import Large
from glimpse.store import Commit, Store
from glimpse.values import Rows, SearchFacts

MANY = 20_000  # rows; fewer are read from the collection and compared in as little time as it takes to open files and load FAISS
IN_MEMORY = 4_000_000_000  # bytes that reading all rows may take, where files cannot be written
COPIES = 10  # bytes that this takes for each number of a row: as blobs, together, as float16 and as float32
_OTHERS_WRITE = 0o022


def folder_beside(collection: Path) -> Path:
    """Where the files of a collection are; hidden, so that nobody takes them for pictures."""
    path = Path(os.path.realpath(collection))
    return path.with_name(f".{path.name}-search")


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
        self._codes: tuple[str, Codes] | None = None  # as they were read last

    @contextmanager
    def seen(self) -> Iterator[Index]:
        """See one moment of the collection, with what it is searched with."""
        with ExitStack() as seen:
            seen.enter_context(self._store.snapshot())
            if not self._is_current():
                if len(self._store) < MANY:
                    self._now = (self._store.commit(), self._store.exact())
                else:
                    seen.close()  # who waits for another process sees what that one saw, or more
                    self._make(seen)
            assert self._now  # noqa: S101  (made above)
            yield self._now[1]

    def fit(self) -> None:
        """Get the files ready; fit codes anew where what was asked since says more than captions did, or rows are many more.

        Where they cannot be written, or vectors are damaged, a search says so.
        """
        if len(self._store) >= MANY:
            self._now = None
            with suppress(OSError, ValueError), ExitStack() as seen:
                self._make_files(seen, refit=True)

    def remember(self, queries: Rows) -> None:
        """Note what texts were asked of a large collection, as rows: what it is fitted to later."""
        if self._now and isinstance(self._now[1], Large):
            self._files.remember(model_of(self._store)[0], queries)

    def distrust(self) -> None:
        """Throw the files away: they do not say what the collection says."""
        self._now = self._codes = None
        for files in (self._beside, self._in_cache):
            kept = files.manifest()
            if kept:
                files.forget(kept)

    def facts(self) -> SearchFacts | None:
        """What was measured of the files, if there are to be any; reads all of them, to be sure of them, and forgets damaged ones."""
        with self._store.snapshot():
            commit, count = self._store.commit(), len(self._store)
        if count < MANY:
            return None
        files = self._files
        kept = files.manifest()
        is_whole = bool(kept and holds(kept, commit) and files.is_whole(kept))
        if kept is None or not is_whole:
            if kept and holds(kept, commit):
                self._now = self._codes = None
                files.forget(kept)
            return SearchFacts(count, 0, {}, "", 0, "", whole=False)
        reaches = grown(kept)
        found = {reach.depth: reach.recall for reach in reaches}
        candidates = reaches[0].candidates * kept.shards if reaches else 0
        return SearchFacts(count, candidates, found, kept.asked, kept.probes, kept.measured)

    # Where files are --------------------------------------------------------------------------------------------------

    @property
    def _files(self) -> Files:
        """Those that this process may write."""
        beside = self._beside
        is_ours = _is_ours(beside.folder, self._store.path)
        return beside if is_ours and os.access(_first_that_is(beside.folder), os.W_OK) else self._in_cache

    @property
    def _beside(self) -> Files:
        return Files(folder_beside(self._store.path), _folder_mode(self._store.path))

    @property
    def _in_cache(self) -> Files:
        named = sha256(os.fsencode(os.path.realpath(self._store.path))).hexdigest()[:24]
        return Files(places.cache_folder() / "search" / named)

    # Making what is searched ------------------------------------------------------------------------------------------

    def _is_current(self) -> bool:
        """Whether there is an index of this moment, in memory or as files that only need to be opened."""
        commit = self._store.commit()
        if self._now and self._now[0] == commit:
            return True
        for files in (self._beside, self._in_cache):
            kept = files.manifest() if _is_ours(files.folder, self._store.path) else None
            if kept and holds(kept, commit):
                with suppress(OSError, ValueError):
                    self._now = (commit, self._opened(files, kept))
                    return True
        return False

    def _make(self, seen: ExitStack) -> None:
        """Have an index of a new moment, which is seen from here on; in memory where files cannot be written."""
        with suppress(OSError):
            self._make_files(seen, refit=False)
            return
        seen.enter_context(self._store.snapshot())
        count, (_, dim) = len(self._store), model_of(self._store)
        if count * dim * COPIES > IN_MEMORY:
            raise StorageError(
                f"{self._files.folder}: what a search of {count} vectors needs cannot be written there: make room, and check the folder"
            )
        self._now = (self._store.commit(), self._store.exact())

    def _make_files(self, seen: ExitStack, *, refit: bool) -> None:
        files = self._files
        with files.changing():
            seen.enter_context(self._store.snapshot())
            commit = self._store.commit()
            self._now = (commit, self._made(files, commit, refit=refit))

    def _made(self, files: Files, commit: Commit, *, refit: bool) -> Large:
        """Files of a commit, brought up to date; what of them is damaged is made anew, codes first."""
        try:
            kept = followed(self._store, files, commit)
            try:
                return self._opened(files, coded(files, kept, self._captions, refit=refit))
            except ValueError:
                self._codes = None
                return self._opened(files, coded(files, without_codes(kept), self._captions, refit=refit))
        except ValueError:
            self._codes = None
            kept = begun(self._store, files, commit)
            return self._opened(files, coded(files, kept, self._captions, refit=refit))

    def _opened(self, files: Files, kept: Manifest) -> Large:
        if self._codes is None or self._codes[0] != kept.codes:
            self._codes = (kept.codes, files.codes(kept))
        dead = np.asarray(kept.dead, np.int64)
        return Large(files.rows(kept), files.facts(kept), dead, self._codes[1], grown(kept))


def _is_ours(folder: Path, collection: Path) -> bool:
    """Whether a folder, if there is one, belongs to this person or the collection's, and nobody else may write to it."""
    try:
        found, owner = folder.lstat(), collection.stat().st_uid
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return S_ISDIR(found.st_mode) and found.st_uid in (os.geteuid(), owner) and not found.st_mode & _OTHERS_WRITE


def _first_that_is(folder: Path) -> Path:
    return folder if folder.exists() else folder.parent


def _folder_mode(collection: Path) -> int:
    """Who may read the collection may read what is derived of it."""
    with suppress(OSError):
        readers = collection.stat().st_mode & 0o044
        return 0o700 | readers | readers >> 2
    return 0o700
