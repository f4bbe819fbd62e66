"""A collection: one SQLite file with items, their vectors, what failed and why, and which model made it all.

The file is the truth: in WAL mode, a batch is one transaction, what has been acknowledged is on the disk, and when the last
user closes it, it is a single file that can be copied. A picture has one vector, a film one for each of its sampled frames. Knows
neither folders nor decoders; `pipeline` brings those.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from glimpse import search
from glimpse.database import connect, explained, transaction
from glimpse.errors import BadItem, ModelMismatch, ModelNotFound, UsageError
from glimpse.search import Matrix
from glimpse.values import (
    FAILURE_CODES,
    Embedding,
    Failure,
    Hit,
    Item,
    Moment,
    Origin,
    Progress,
    Report,
    Rows,
    Sampling,
    Selection,
    frame_key,
    item_and_time,
)

if TYPE_CHECKING:  # imported when a model is first needed: a search by key or vector needs none
    from glimpse.encoder import Encoder, PictureLike

DEFAULT_MODEL = "ViT-B-32-256/datacomp_s34b_b86k"


@dataclass(frozen=True, slots=True)
class Generation:
    """Which model made the vectors: `precision` is what the first of them were computed in."""

    model: str
    fingerprint: str
    dim: int
    precision: str
    parity: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of an item that was embedded, or has failed.

    Attributes:
        digest: of the content; empty where nothing was embedded.
        code: why it failed; empty where it did not.
        whole: whether all of its frames are there.
        sampling: how a film's frames were chosen; empty for pictures.
        origin, metadata: as JSON.
    """

    size: int
    mtime_ns: int
    digest: bytes = b""
    code: str = ""
    message: str = ""
    whole: bool = True
    sampling: str = ""
    origin: str = ""
    metadata: str = ""


_PICTURE = -1.0  # the time of a picture, which has none


class Collection:
    """Pictures by their vectors, in one file. Use it as a context manager, or call `close`.

    Not for several threads at once; several processes may read while one writes.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        model: "Encoder | str | os.PathLike[str] | None" = None,
        *,
        create: bool = True,
    ) -> None:
        """Open a collection, or make it.

        Args:
            path: the file.
            model: an encoder, or the name of one (see `glimpse.load`). None: the one that made the collection, and
                for a new one ViT-B-32-256/datacomp_s34b_b86k. Named models are loaded when they are first needed.
            create: make the file where there is none.

        Raises:
            NotACollection: the file is damaged or something else.
            ModelMismatch: another model made it.
            StorageError: it cannot be opened or made there.
            UsageError: there is no such file, and `create` is False.
        """
        self.path = Path(os.path.abspath(os.path.expanduser(path)))  # noqa: PTH100, PTH111  (Path's raise)
        self._asked = model
        self._encoder: Encoder | None = None
        self._matrix: tuple[tuple[int, int], list[str], Matrix] | None = None
        self._changes = 0
        if not create and not os.path.exists(self.path):  # noqa: PTH110  (Path's raises)
            raise UsageError(f"there is no collection {self.path} yet: `glimpse index FOLDER` makes one")
        self._db = connect(self.path)
        if model is not None and not isinstance(model, str | os.PathLike):
            self.use(model)

    # What it holds ----------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        """How many vectors there are: one for a picture, one for each frame of a film."""
        return int(self._one("SELECT count(*) FROM frames")[0])

    def __contains__(self, key: object) -> bool:
        """Whether there is a vector under this key: a picture's, a film's, or that of a film's frame."""
        return isinstance(key, str | os.PathLike) and bool(self._places(os.fspath(key)))

    def __iter__(self) -> Iterator[str]:
        """Keys of pictures and of frames, in order."""
        with explained(self.path):
            found = self._db.execute(
                "SELECT key, time FROM frames JOIN items ON items.id = item ORDER BY key, time"
            ).fetchall()
        return iter([_key(key, time) for key, time in found])

    def vectors(self) -> tuple[list[str], Rows]:
        """All vectors: keys in order, and float32 (n, dim) rows of unit length, each at its key's place."""
        items, matrix = self._all_rows()
        owners = np.repeat(np.arange(len(items)), np.diff(matrix.starts))
        keys = [_key(items[owner], time) for owner, time in zip(owners, matrix.times, strict=True)]
        return keys, matrix.rows.copy()

    def counts(self) -> dict[str, int]:
        """How many pictures and films there are, how many frames films have, and how many items failed."""
        row = self._one(
            "SELECT (SELECT count(*) FROM items WHERE sampling = ''), (SELECT count(*) FROM items WHERE sampling <> ''), "
            "(SELECT count(*) FROM frames WHERE time >= 0), (SELECT count(*) FROM failures)"
        )
        return dict(zip(("pictures", "films", "frames", "failed"), row, strict=True))

    def failures(self, *codes: str) -> list[Failure]:
        """What could not be used and why, in the order of keys; with codes, only what failed for these reasons.

        Raises:
            UsageError: there is no such code.
        """
        strange = [code for code in codes if code not in FAILURE_CODES]
        if strange:
            raise UsageError(f"nothing fails with {strange[0]!r}: choose from {', '.join(FAILURE_CODES)}")
        with explained(self.path):
            every = [Failure(*row) for row in self._db.execute("SELECT key, code, message FROM failures ORDER BY key")]
        return [failure for failure in every if not codes or failure.code in codes]

    @property
    def generation(self) -> Generation | None:
        """Which model made the vectors; None before the first of them."""
        row = self._one(
            "SELECT model, fingerprint, dim, precision, parity FROM generations WHERE EXISTS (SELECT 1 FROM frames)"
        )
        return Generation(row[0], row[1], row[2], row[3], bool(row[4])) if row else None

    @property
    def encoder(self) -> "Encoder":
        """The model of this collection, loaded when first asked for.

        Raises:
            ModelMismatch: the model asked for is not the one that made the vectors.
            ModelError: it cannot be loaded.
        """
        if self._encoder is None:
            from glimpse.encoder import load  # noqa: PLC0415  (see TYPE_CHECKING above)

            made_by = self.generation
            name = self._asked or (made_by.model if made_by else DEFAULT_MODEL)
            try:
                loaded = load(name, parity=bool(made_by and made_by.parity))  # type: ignore[arg-type]
            except ModelNotFound as error:
                raise ModelNotFound(
                    f"{error} ({self.path} was made with {name}; if it moved, name it as the model)"
                ) from error
            self._encoder = self._checked(loaded)
        return self._encoder

    def use(self, encoder: "Encoder") -> None:
        """Take a loaded model for this collection.

        Raises:
            ModelMismatch: it is not the one that made the vectors.
        """
        self._encoder = self._checked(encoder)

    def _checked(self, encoder: "Encoder") -> "Encoder":
        made_by = self.generation
        if made_by and made_by.fingerprint != encoder.fingerprint:
            raise ModelMismatch(
                f"{self.path} was made with {made_by.model}{_difference(made_by, encoder)}: vectors of two models cannot be "
                "compared. Use that model, or another collection file"
            )
        return encoder

    # Indexing ---------------------------------------------------------------------------------------------------------

    def index(
        self,
        *places: str | os.PathLike[str],
        selection: Selection = Selection(),  # noqa: B008  (frozen)
        sampling: Sampling | None = None,
        min_side: int = 1,
        progress: Callable[[Progress], object] | None = None,
        stop: Callable[[], bool] = lambda: False,
        retry_failed: bool = False,
    ) -> Report:
        """Bring the collection up to date with places; what has not changed is not read again.

        Args:
            places: files, folders, globs, tar archives, tables, URLs (docs/sources.md); formats are told by content.
            selection: which of the things in these places are meant.
            sampling: which frames of films are looked at. None: as they were before; shots where they are new.
            min_side: pictures with a shorter side, in pixels, are failures ("too-small").
            progress: called now and then.
            stop: asked after every batch; when it says True, what is done is kept and the report says "stopped".
            retry_failed: try again what failed before, though the files have not changed.

        Raises:
            UsageError: a place is not there, or holds nothing.
            StorageError: another process is indexing into this collection.
            ModelError, CollectionError: the model cannot be loaded, or the file cannot be written.
        """
        from glimpse import pipeline  # noqa: PLC0415  (it builds on this module)

        return pipeline.index(
            self,
            [os.fspath(place) for place in places],
            pipeline.Wishes(selection, sampling, min_side, retry_failed=retry_failed),
            progress=progress,
            stop=stop,
        )

    def watch(
        self,
        *places: str | os.PathLike[str],
        selection: Selection = Selection(),  # noqa: B008  (frozen)
        sampling: Sampling | None = None,
        min_side: int = 1,
        stop: Callable[[], bool] = lambda: False,
        retry_failed: bool = False,
    ) -> Iterator[Report]:
        """Follow changes of files and folders, and keep the collection current with them; see `index` for the arguments.

        Yields:
            A report for every round in which something changed, until `stop` says True. The first round looks at everything.

        Raises:
            UsageError: a place is no file or folder of this machine.
            MissingExtra: watchfiles is not installed (the extra `watch`).
        """
        from glimpse import pipeline, watching  # noqa: PLC0415  (they build on this module)

        wishes = pipeline.Wishes(selection, sampling, min_side, retry_failed=retry_failed)
        return watching.watch(self, [os.fspath(place) for place in places], wishes, stop)

    def known(self, key: str) -> Entry | None:
        """What is recorded of an item, embedded or failed."""
        item = self._one(
            "SELECT size, mtime_ns, digest, '', '', whole, sampling, origin, metadata FROM items WHERE key = ?", key
        )
        failed = self._one("SELECT size, mtime_ns, code, message FROM failures WHERE key = ?", key)
        if failed:
            size, mtime_ns, code, message = failed
            kept = item or ("", "", b"", "", "", True, "", "", "")
            return Entry(size, mtime_ns, kept[2], code, message, *kept[5:])
        return Entry(*item) if item else None

    def times(self, key: str) -> set[float]:
        """The times of the frames that a film has so far, in seconds."""
        with explained(self.path):
            rows = self._db.execute("SELECT time FROM frames JOIN items ON items.id = item WHERE key = ?", (key,))
            return {time for (time,) in rows}

    def with_digest(self, digest: bytes) -> list[tuple[str, Origin]]:
        """Keys and origins of the items that have this content, all of it embedded."""
        with explained(self.path):
            rows = self._db.execute(
                "SELECT key, origin FROM items WHERE digest = ? AND whole ORDER BY key", (digest,)
            ).fetchall()
        return [(key, tuple(json.loads(origin))) for key, origin in rows]

    def add(
        self,
        embedded: Sequence[Embedding],
        rows: Rows,
        *,
        finished: Sequence[tuple[Item, float | None]] = (),
        failed: Sequence[tuple[Item, bytes, Failure]] = (),
        renamed: Sequence[tuple[str, Item]] = (),
    ) -> None:
        """Store a batch in one transaction: on the disk when this returns, or not at all.

        Args:
            embedded: what each row is of.
            rows: float32 (n, dim), finite, of unit length.
            finished: films that have all their frames now, each with its duration in seconds.
            failed: items that could not be used, with the digest of their content if it was read. Of a film that broke, the frames
                that were added from the same content stay.
            renamed: old keys with the items that have their content now, under the same key or another.
        """
        if len(embedded) != len(rows) or not np.isfinite(rows).all():
            raise UsageError(f"{len(embedded)} items need as many finite rows, not {len(rows)}")
        encoder = self.encoder
        with self._transaction():
            self._checked(encoder)  # another process may have been quicker with another model
            for old, item in renamed:
                self._rename(old, item)
            generation = self._generation_id() if embedded else 0
            for what, vector in zip(embedded, rows.astype(np.float16), strict=True):
                self._put(what, generation, vector.tobytes())
            for item, duration in finished:
                self._finish(item, duration)
            for item, digest, failure in failed:
                self._fail(item, digest, failure)

    def _put(self, what: Embedding, generation: int, vector: bytes) -> None:
        item = what.item
        stored = self._one("SELECT id, digest, sampling FROM items WHERE key = ?", item.key)
        if stored and stored[1:] != (what.digest, what.sampling):  # frames of what the item was before
            self._db.execute("DELETE FROM frames WHERE item = ?", (stored[0],))
        self._db.execute(
            "INSERT INTO items (key, size, mtime_ns, digest, origin, metadata, sampling, whole) VALUES (?, ?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (key) DO UPDATE SET size = excluded.size, mtime_ns = excluded.mtime_ns, digest = excluded.digest, "
            "origin = excluded.origin, metadata = excluded.metadata, sampling = excluded.sampling, whole = excluded.whole, "
            "duration = NULL",
            (item.key, item.size, item.mtime_ns, what.digest, *_as_json(item), what.sampling, not what.sampling),
        )
        self._db.execute(
            "INSERT OR REPLACE INTO frames (item, time, generation, vector) SELECT id, ?, ?, ? FROM items WHERE key = ?",
            (_PICTURE if what.time is None else what.time, generation, vector, item.key),
        )
        self._db.execute("DELETE FROM failures WHERE key = ?", (item.key,))

    def _finish(self, item: Item, duration: float | None) -> None:
        self._db.execute(
            "UPDATE items SET whole = 1, duration = ?, size = ?, mtime_ns = ?, origin = ?, metadata = ? WHERE key = ?",
            (duration, item.size, item.mtime_ns, *_as_json(item), item.key),
        )
        self._db.execute("DELETE FROM failures WHERE key = ?", (item.key,))

    def _fail(self, item: Item, digest: bytes, failure: Failure) -> None:
        self._db.execute("DELETE FROM items WHERE key = ? AND NOT (digest = ? AND sampling <> '')", (item.key, digest))
        self._db.execute("UPDATE items SET whole = 1 WHERE key = ?", (item.key,))
        self._db.execute(
            "INSERT OR REPLACE INTO failures VALUES (?, ?, ?, ?, ?, ?)",
            (item.key, item.size, item.mtime_ns, failure.code, failure.message, _as_json(item)[0]),
        )

    def _rename(self, old: str, item: Item) -> None:
        """Give an item its new key and facts; its vectors stay. Another process may have done so already."""
        if old not in self:
            return
        if old != item.key:
            self._db.execute("DELETE FROM items WHERE key = ?", (item.key,))
        self._db.execute("DELETE FROM failures WHERE key = ?", (item.key,))
        self._db.execute(
            "UPDATE items SET key = ?, size = ?, mtime_ns = ?, origin = ?, metadata = ? WHERE key = ?",
            (item.key, item.size, item.mtime_ns, *_as_json(item), old),
        )

    def remove(self, keys: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> int:
        """Take items, and what is recorded of failures, out by key; returns how many items or failures there were."""
        several = [keys] if isinstance(keys, str | os.PathLike) else list(keys)
        with self._transaction():
            return sum(self._remove(os.fspath(key)) for key in several)

    def _remove(self, key: str) -> bool:
        items = self._db.execute("DELETE FROM items WHERE key = ?", (key,)).rowcount
        return bool(items + self._db.execute("DELETE FROM failures WHERE key = ?", (key,)).rowcount)

    def origins(self, prefix: str = "") -> Iterator[tuple[str, Origin, bool]]:
        """Keys that begin so, in order, with their origins and whether they failed; not all of them at once in memory."""
        last = ""
        while rows := self._page(prefix, last):
            for key, origin, failed in rows:
                yield key, tuple(json.loads(origin)), bool(failed)
            last = rows[-1][0]

    def _page(self, prefix: str, last: str) -> list[tuple[str, str, int]]:
        ours = f"key >= ?1 AND key < ?1 || char({_LAST_LETTER}) AND key > ?2"
        with explained(self.path):
            return self._db.execute(
                f"SELECT key, origin, 1 FROM failures WHERE {ours} UNION ALL SELECT key, origin, 0 FROM items WHERE {ours} "  # noqa: S608
                f"AND key NOT IN (SELECT key FROM failures) ORDER BY key LIMIT {_PAGE}",
                (prefix, last),
            ).fetchall()

    def _generation_id(self) -> int:
        encoder = self.encoder
        if self.generation is None:
            self._db.execute("DELETE FROM generations")  # of vectors that are all gone
        row = self._one("SELECT id, model FROM generations")
        if row and row[1] != encoder.card.name:  # the same model by another name, or in another place now
            self._db.execute("UPDATE generations SET model = ?", (encoder.card.name,))
        if row:
            return int(row[0])
        cursor = self._db.execute(
            "INSERT INTO generations (model, fingerprint, dim, precision, parity) VALUES (?, ?, ?, ?, ?)",
            (encoder.card.name, encoder.fingerprint, encoder.dim, encoder.precision, encoder.parity),
        )
        return int(cursor.lastrowid or 0)

    # Searching --------------------------------------------------------------------------------------------------------

    def search(
        self,
        query: "str | PictureLike | NDArray[np.floating[Any]] | None" = None,
        *,
        key: str | None = None,
        k: int = 10,
        frames: bool = False,
        moments: bool = False,
    ) -> list[Hit]:
        """Find the items closest to a query, best first; equal scores are ordered by key. A film is found by its best frame.

        Args:
            query: what kind it is, its type says: a `str` is a text; a `Path`, bytes, a Pillow picture or a uint8
                array is a picture; a float array (dim,) is a vector.
            key: instead of a query, an item or a frame of the collection; its item is not among its own hits.
            k: how many at most.
            frames: find frames rather than films: several of one film may be among the hits.
            moments: say of films which parts answer the query.

        Raises:
            UsageError: no such key, no query or an empty text, or a vector that does not fit.
            BadItem: the picture cannot be decoded.
        """
        if (query is None) == (key is None):
            raise UsageError("give a query or a key: search('a carriage') or search(key='/photos/1.jpg')")
        if key is None and not len(self):
            return []
        ask = self._embedder(query) if key is None else self._row_of(key)
        with ThreadPoolExecutor(1) as pool:  # rows are read while a cold model gets ready
            row = pool.submit(ask)
            items, matrix = self._all_rows()
            scores = matrix.rows @ row.result()
        own = None if key is None else self._item_and_time(key)[0]
        found = self._hits(items, matrix, scores, k + (own is not None), frames=frames, moments=moments)
        return [hit for hit in found if hit.item != own][:k]

    def _hits(
        self, items: list[str], matrix: Matrix, scores: NDArray[np.float32], k: int, *, frames: bool, moments: bool
    ) -> list[Hit]:
        owners = np.repeat(np.arange(len(items)), np.diff(matrix.starts))
        starts = np.arange(len(scores) + 1) if frames else matrix.starts
        _, places = search.nearest(scores, starts, k)
        found = []
        for place in places:
            key, time = items[owners[place]], matrix.times[place]
            parts = _moments(key, int(owners[place]), matrix, scores) if moments and time >= 0 else ()
            seconds = float(time) if time >= 0 else None
            found.append(Hit(frame_key(key, seconds), float(scores[place]), key, seconds, self._metadata(key), parts))
        return found

    def _metadata(self, key: str) -> dict[str, Any]:
        row = self._one("SELECT metadata FROM items WHERE key = ?", key)
        return dict(json.loads(row[0])) if row else {}

    def _row_of(self, key: str) -> Callable[[], NDArray[np.float32]]:
        """The vector stored under a key; of a film, the mean of its frames'."""
        places = self._places(key)
        if not places:
            raise UsageError(f"there is no item {key} in {self.path}")
        with explained(self.path):
            blobs = [self._one("SELECT vector FROM frames WHERE id = ?", place)[0] for place in places]
        row = _rows(blobs).mean(0)
        return lambda: np.asarray(row / np.linalg.norm(row), np.float32)

    def thumbnail(self, key: str, size: int = 320) -> Image.Image:
        """A small picture of an item, or of a film's frame, decoded anew from where it came from.

        Args:
            key: of a picture, a frame (`film.mp4#t=12.480`), or a film, which is shown by its first frame.
            size: its longer side in pixels, at most.

        Raises:
            UsageError: there is no such key.
            BadItem: the file is gone, or cannot be decoded any more.
        """
        from glimpse import pipeline  # noqa: PLC0415  (it builds on this module)

        item, time = self._item_and_time(key)
        row = self._one("SELECT size, mtime_ns, origin FROM items WHERE key = ?", item)
        if row is None:
            raise UsageError(f"there is no item {key} in {self.path}")
        try:
            return pipeline.thumbnail(Item(item, row[0], row[1], tuple(json.loads(row[2]))), time, size)
        except BadItem as error:
            raise BadItem(error.code, error.message, key) from error

    def _item_and_time(self, key: str) -> tuple[str, float | None]:
        """The item of a key, and the time of the frame that shows it."""
        place = next(iter(self._places(key)), None)
        row = place and self._one(
            "SELECT key, time FROM frames JOIN items ON items.id = item WHERE frames.id = ?", place
        )
        return (row[0], row[1] if row[1] >= 0 else None) if row else (key, None)

    def _places(self, key: str) -> list[int]:
        """Where the rows of a key are: one of a picture or a frame, all of a film, in the order of time."""
        with explained(self.path):
            rows = self._db.execute(
                "SELECT frames.id FROM frames JOIN items ON items.id = item WHERE key = ? ORDER BY time", (key,)
            ).fetchall()
            item, time = item_and_time(key)
            if not rows and time is not None:
                rows = self._db.execute(
                    "SELECT frames.id FROM frames JOIN items ON items.id = item WHERE key = ? AND abs(time - ?) <= 0.0005 "
                    "ORDER BY abs(time - ?) LIMIT 1",
                    (item, time, time),
                ).fetchall()
        return [place for (place,) in rows]

    def _embedder(self, query: Any) -> Callable[[], NDArray[np.float32]]:
        """What makes a query's row, in any thread: the file is not touched by it."""
        if isinstance(query, np.ndarray) and np.issubdtype(query.dtype, np.floating):
            row = self._unit(query)
            return lambda: row
        if isinstance(query, str):
            if not query.strip():
                raise UsageError("the search text is empty: say what to look for")
            encoder = self.encoder
            return lambda: encoder.texts([query])[0]
        if isinstance(query, os.PathLike | bytes | Image.Image | np.ndarray):
            encoder = self.encoder
            return lambda: encoder.images([query])[0]
        raise UsageError(f"a {type(query).__name__} is no query: give a text, a Path, a picture or a float vector")

    def _unit(self, vector: NDArray[Any]) -> NDArray[np.float32]:
        made_by = self.generation
        length = float(np.linalg.norm(vector.astype(np.float64)))
        if made_by is None or vector.shape != (made_by.dim,) or not np.isfinite(length) or length == 0:
            dim = made_by.dim if made_by else "?"
            raise UsageError(
                f"a query vector has shape ({dim},), is finite and not all zero; this one is {vector.shape}"
            )
        return np.asarray(vector / length, np.float32)

    def _all_rows(self) -> tuple[list[str], Matrix]:
        """Keys of items and their rows, kept in memory until this or another process changes the file."""
        with explained(self.path):
            stamp = (int(self._db.execute("PRAGMA data_version").fetchone()[0]), self._changes)
            if self._matrix is None or self._matrix[0] != stamp:
                found = self._db.execute(
                    "SELECT key, time, coalesce(duration, -1), vector FROM items JOIN frames ON item = items.id "
                    "ORDER BY key, time"
                ).fetchall()
                self._matrix = (stamp, *_matrix(found))
        return self._matrix[1], self._matrix[2]

    # SQLite -----------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the file; SQLite folds the write-ahead log into it."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Collection {self.path}: {len(self)} items>"

    def _one(self, query: str, *values: Any) -> Any:
        with explained(self.path):
            return self._db.execute(query, values).fetchone()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            with explained(self.path), transaction(self._db):
                yield
        finally:
            self._changes += 1


def _difference(made_by: Generation, encoder: "Encoder") -> str:
    if made_by.model != encoder.card.name:
        return f", not {encoder.card.name}"
    if made_by.parity != encoder.parity:
        return f" and parity={made_by.parity}"
    return ", whose files or preprocessing have changed since"


_LAST_LETTER = 0x10FFFF
_PAGE = 10_000  # keys


def _key(item: str, time: float) -> str:
    return frame_key(item, time if time >= 0 else None)


def _as_json(item: Item) -> tuple[str, str]:
    return json.dumps(item.origin), json.dumps(dict(item.metadata))


def _moments(key: str, owner: int, matrix: Matrix, scores: NDArray[np.float32]) -> tuple[Moment, ...]:
    part = slice(int(matrix.starts[owner]), int(matrix.starts[owner + 1]))
    found = search.moments(scores[part], matrix.times[part], float(matrix.durations[owner]))
    return tuple(
        Moment(start, end, frame_key(key, float(matrix.times[part][best])), float(scores[part][best]))
        for start, end, best in found
    )


def _matrix(found: Sequence[tuple[str, float, float, bytes]]) -> tuple[list[str], Matrix]:
    """Rows of SQLite, those of an item together → keys of items, and the matrix."""
    firsts = [place for place, row in enumerate(found) if not place or row[0] != found[place - 1][0]]
    matrix = Matrix(
        rows=_rows([row[3] for row in found]),
        starts=np.asarray([*firsts, len(found)], np.int64),
        times=np.asarray([row[1] for row in found], np.float64),
        durations=np.asarray([found[place][2] for place in firsts], np.float64),
    )
    return [found[place][0] for place in firsts], matrix


def _rows(vectors: Sequence[bytes]) -> Rows:
    """float16 blobs → float32 (n, dim), scaled back to the unit length that rounding took away."""
    if not vectors:
        return np.empty((0, 0), np.float32)
    rows = np.frombuffer(b"".join(vectors), np.float16).reshape(len(vectors), -1).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows
