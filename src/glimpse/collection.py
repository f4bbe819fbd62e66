"""A collection: one SQLite file with items, their vectors, what failed and why, and which model made it all.

The file is the truth: in WAL mode, a batch is one transaction, what has been acknowledged is on the disk, and when the last
user closes it, it is a single file that can be copied. Knows neither folders nor pictures; `pipeline` brings those.
"""

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
from glimpse.errors import ModelMismatch, ModelNotFound, UsageError
from glimpse.values import FAILURE_CODES, Failure, Hit, Item, Progress, Report, Rows

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
    """What is known of an item that was embedded, or has failed: `digest` is empty and `code` set where it has."""

    size: int
    mtime_ns: int
    digest: bytes
    code: str = ""


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
        self._matrix: tuple[tuple[int, int], list[str], Rows] | None = None
        self._changes = 0
        if not create and not os.path.exists(self.path):  # noqa: PTH110  (Path's raises)
            raise UsageError(f"there is no collection {self.path} yet: `glimpse index FOLDER` makes one")
        self._db = connect(self.path)
        if model is not None and not isinstance(model, str | os.PathLike):
            self.use(model)

    # What it holds ----------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        """How many items have a vector."""
        return int(self._one("SELECT count(*) FROM vectors")[0])

    def __contains__(self, key: object) -> bool:
        """Whether there is a vector under this key."""
        return isinstance(key, str | os.PathLike) and self._id(os.fspath(key)) is not None

    def __iter__(self) -> Iterator[str]:
        """Keys, in order."""
        with explained(self.path):
            return iter([key for (key,) in self._db.execute("SELECT key FROM items ORDER BY key")])

    def vectors(self) -> tuple[list[str], Rows]:
        """All vectors: keys in order, and float32 (n, dim) rows of unit length, each at its key's place."""
        found = self._all_rows()
        return found[0], found[1].copy()

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
            "SELECT model, fingerprint, dim, precision, parity FROM generations WHERE EXISTS (SELECT 1 FROM vectors)"
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
        progress: Callable[[Progress], object] | None = None,
        stop: Callable[[], bool] = lambda: False,
        retry_failed: bool = False,
    ) -> Report:
        """Bring the collection up to date with files and folders; what has not changed is not read again.

        Args:
            places: files and folders; formats are told by content.
            progress: called after every batch.
            stop: asked after every batch; when it says True, what is done is kept and the report says "stopped".
            retry_failed: try again what failed before, though the files have not changed.

        Raises:
            UsageError: a place is not there, or holds no file.
            ModelError, CollectionError: the model cannot be loaded, or the file cannot be written.
        """
        from glimpse import pipeline  # noqa: PLC0415  (it builds on this module)

        return pipeline.index(self, places, progress=progress, stop=stop, retry_failed=retry_failed)

    def known(self, key: str) -> Entry | None:
        """What is recorded of a key, embedded or failed."""
        row = self._one("SELECT size, mtime_ns, digest, '' FROM items WHERE key = ?", key)
        row = row or self._one("SELECT size, mtime_ns, x'', code FROM failures WHERE key = ?", key)
        return Entry(*row) if row else None

    def keys_with_digest(self, digest: bytes) -> list[str]:
        """The keys of items that have this content."""
        with explained(self.path):
            return [
                key for (key,) in self._db.execute("SELECT key FROM items WHERE digest = ? ORDER BY key", (digest,))
            ]

    def add(
        self,
        embedded: Sequence[tuple[Item, bytes]],
        rows: Rows,
        *,
        failed: Sequence[tuple[Item, Failure]] = (),
        renamed: Sequence[tuple[str, Item]] = (),
    ) -> None:
        """Store a batch in one transaction: on the disk when this returns, or not at all.

        Args:
            embedded: items, each with the digest of its content.
            rows: float32 (n, dim), finite, of unit length, one for each item.
            failed: items that could not be used.
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
            for (item, digest), vector in zip(embedded, rows.astype(np.float16), strict=True):
                self._put(item, digest, generation, vector.tobytes())
            for item, failure in failed:
                self._fail(item, failure)

    def _put(self, item: Item, digest: bytes, generation: int, vector: bytes) -> None:
        self._db.execute(
            "INSERT INTO items (key, size, mtime_ns, digest) VALUES (?, ?, ?, ?) ON CONFLICT (key) DO UPDATE "
            "SET size = excluded.size, mtime_ns = excluded.mtime_ns, digest = excluded.digest",
            (item.key, item.size, item.mtime_ns, digest),
        )
        self._db.execute(
            "INSERT OR REPLACE INTO vectors SELECT id, ?, ? FROM items WHERE key = ?",
            (generation, vector, item.key),
        )
        self._db.execute("DELETE FROM failures WHERE key = ?", (item.key,))

    def _fail(self, item: Item, failure: Failure) -> None:
        self._db.execute("DELETE FROM items WHERE key = ?", (item.key,))
        self._db.execute(
            "INSERT OR REPLACE INTO failures VALUES (?, ?, ?, ?, ?)",
            (item.key, item.size, item.mtime_ns, failure.code, failure.message),
        )

    def _rename(self, old: str, item: Item) -> None:
        """Give an item its new key, size and time; its vector stays. Another process may have done so already."""
        if old not in self:
            return
        if old != item.key:
            self._db.execute("DELETE FROM items WHERE key = ?", (item.key,))
        self._db.execute("DELETE FROM failures WHERE key = ?", (item.key,))
        self._db.execute(
            "UPDATE items SET key = ?, size = ?, mtime_ns = ? WHERE key = ?", (item.key, item.size, item.mtime_ns, old)
        )

    def remove(self, keys: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> int:
        """Take items, and what is recorded of failures, out by key; returns how many there were."""
        several = [keys] if isinstance(keys, str | os.PathLike) else list(keys)
        with self._transaction():
            return sum(
                self._db.execute(f"DELETE FROM {table} WHERE key = ?", (os.fspath(key),)).rowcount  # noqa: S608
                for key in several
                for table in ("items", "failures")
            )

    def keys_below(self, folder: str) -> list[str]:
        """Keys, failed ones included, of a file or of everything below a folder."""
        inside = folder.rstrip(os.sep) + os.sep
        with explained(self.path):
            rows = self._db.execute(
                "SELECT key FROM (SELECT key FROM items UNION SELECT key FROM failures) "
                "WHERE key = ? OR substr(key, 1, ?) = ? ORDER BY key",
                (folder, len(inside), inside),
            )
            return [key for (key,) in rows]

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
    ) -> list[Hit]:
        """Find the items closest to a query, best first; equal scores are ordered by key.

        Args:
            query: what kind it is, its type says: a `str` is a text; a `Path`, bytes, a Pillow picture or a uint8
                array is a picture; a float array (dim,) is a vector.
            key: instead of a query, an item of the collection; it is not among its own hits.
            k: how many at most.

        Raises:
            UsageError: no such key, no query or an empty text, or a vector that does not fit.
            BadItem: the picture cannot be decoded.
        """
        if (query is None) == (key is None):
            raise UsageError("give a query or a key: search('a carriage') or search(key='/photos/1.jpg')")
        if key is not None:
            return self._like(key, k)
        if not len(self):
            return []
        embed = self._embedder(query)
        with ThreadPoolExecutor(1) as pool:  # rows are read while a cold model gets ready
            row = pool.submit(embed)
            keys, rows = self._all_rows()
            return search.nearest(row.result(), keys, rows, k)

    def _like(self, key: str, k: int) -> list[Hit]:
        """The neighbours of an item, without itself."""
        if key not in self:
            raise UsageError(f"there is no item {key} in {self.path}")
        keys, rows = self._all_rows()
        hits = search.nearest(rows[keys.index(key)], keys, rows, k + 1)
        return [hit for hit in hits if hit.key != key][:k]

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

    def _all_rows(self) -> tuple[list[str], Rows]:
        """Keys and rows, kept in memory until this or another process changes the file."""
        with explained(self.path):
            stamp = (int(self._db.execute("PRAGMA data_version").fetchone()[0]), self._changes)
            if self._matrix is None or self._matrix[0] != stamp:
                found = self._db.execute(
                    "SELECT key, vector FROM items JOIN vectors ON item = items.id ORDER BY key"
                ).fetchall()
                self._matrix = (stamp, [key for key, _ in found], _rows([vector for _, vector in found]))
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

    def _id(self, key: str) -> int | None:
        row = self._one("SELECT id FROM items WHERE key = ?", key)
        return int(row[0]) if row else None

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


def _rows(vectors: Sequence[bytes]) -> Rows:
    """float16 blobs → float32 (n, dim), scaled back to the unit length that rounding took away."""
    if not vectors:
        return np.empty((0, 0), np.float32)
    rows = np.frombuffer(b"".join(vectors), np.float16).reshape(len(vectors), -1).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows
