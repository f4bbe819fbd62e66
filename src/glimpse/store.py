"""The tables of a collection: items, their frames, failures, and the generation that made it all; see `database` for the schema.

Knows neither models nor decoders, and what is searched only as rows. A picture is one frame at a time before all times.
"""

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from glimpse.database import connect, explained, snapshot, transaction
from glimpse.search.exact import Exact
from glimpse.search.files import FACTS
from glimpse.search.halves import Halves, unit
from glimpse.values import Embedding, Failure, Filter, Item, Origin, Rows, frame_key, item_and_time


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


class Commit(NamedTuple):
    """Names a state of the collection."""

    id: int
    stamp: bytes


_PICTURE = -math.inf  # the time of a picture, which has none; films may begin before 0
_LAST_LETTER = 0x10FFFF
_PAGE = 10_000  # keys or rows
_KEPT_COMMITS = 10_000


class Store:
    """The tables in one file. Not for several threads at once."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it; see `database.connect`."""
        self.path = path
        self._db = connect(path)

    # What it holds ----------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        """How many vectors there are: one for a picture, one for each frame of a film."""
        return int(self.one("SELECT count(*) FROM frames")[0])

    def keys(self) -> list[str]:
        """Keys of pictures and of frames, in order."""
        with explained(self.path):
            found = self._db.execute(
                "SELECT key, time FROM frames JOIN items ON items.id = item ORDER BY key, time"
            ).fetchall()
        return [_key(key, time) for key, time in found]

    def counts(self) -> dict[str, int]:
        """How many pictures and films there are, how many frames films have, and how many items failed."""
        row = self.one(
            "SELECT (SELECT count(*) FROM items WHERE sampling = ''), (SELECT count(*) FROM items WHERE sampling <> ''), "
            "(SELECT count(*) FROM frames WHERE time > -9e999), (SELECT count(*) FROM failures)"
        )
        return dict(zip(("pictures", "films", "frames", "failed"), row, strict=True))

    def failures(self) -> list[Failure]:
        """What could not be used and why, in the order of keys."""
        with explained(self.path):
            return [Failure(*row) for row in self._db.execute("SELECT key, code, message FROM failures ORDER BY key")]

    @property
    def generation(self) -> Generation | None:
        """Which model made the vectors; None before the first of them."""
        row = self.one(
            "SELECT model, fingerprint, dim, precision, parity FROM generations WHERE EXISTS (SELECT 1 FROM frames)"
        )
        return Generation(row[0], row[1], row[2], row[3], bool(row[4])) if row else None

    def known(self, key: str) -> Entry | None:
        """What is recorded of an item, embedded or failed."""
        item = self.one(
            "SELECT size, mtime_ns, digest, '', '', whole, sampling, origin, metadata FROM items WHERE key = ?", key
        )
        failed = self.one("SELECT size, mtime_ns, code, message FROM failures WHERE key = ?", key)
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

    def with_digest(self, digest: bytes) -> list[tuple[str, Origin, str]]:
        """Keys, origins and samplings of the items that have this content, all of it embedded and none of it broken."""
        with explained(self.path):
            rows = self._db.execute(
                "SELECT key, origin, sampling FROM items WHERE digest = ? AND whole "
                "AND key NOT IN (SELECT key FROM failures) ORDER BY key",
                (digest,),
            ).fetchall()
        return [(key, tuple(json.loads(origin)), sampling) for key, origin, sampling in rows]

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

    def item(self, key: str) -> Item | None:
        """An item that has frames, as it was indexed."""
        row = self.one("SELECT size, mtime_ns, origin, metadata FROM items WHERE key = ?", key)
        return Item(key, row[0], row[1], tuple(json.loads(row[2])), json.loads(row[3])) if row else None

    def shown_by(self, key: str) -> tuple[str, float | None]:
        """The item of a key, and the time of the frame that shows it; a key that is not here is its own item."""
        place = next(iter(self.places(key)), None)
        row = place and self.one(
            "SELECT key, time FROM frames JOIN items ON items.id = item WHERE frames.id = ?", place
        )
        return (row[0], None if row[1] == _PICTURE else row[1]) if row else (key, None)

    def number_of(self, key: str) -> int | None:
        """The number of the item of a key."""
        row = self.one("SELECT id FROM items WHERE key = ?", self.shown_by(key)[0])
        return int(row[0]) if row else None

    def places(self, key: str) -> list[int]:
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

    def rows(self, places: Sequence[int]) -> Rows:
        """The vectors at places."""
        return _rows([self.one("SELECT vector FROM frames WHERE id = ?", place)[0] for place in places])

    def everything(self) -> tuple[list[str], Rows]:
        """Keys of pictures and frames in order, and their vectors; all of one moment, for another process may be storing."""
        with explained(self.path):
            found = self._db.execute(
                "SELECT key, time, vector FROM items JOIN frames ON item = items.id ORDER BY key, time"
            ).fetchall()
        return [_key(key, time) for key, time, _ in found], _rows([vector for _, _, vector in found])

    # For searching ----------------------------------------------------------------------------------------------------

    def commit(self) -> Commit:
        """The last change there was."""
        return Commit(*self.one("SELECT id, stamp FROM commits ORDER BY id DESC LIMIT 1"))

    def knows(self, commit: Commit) -> bool:
        """Whether what is here now came of what was there at a commit."""
        return bool(self.one("SELECT 1 FROM commits WHERE id = ? AND stamp = ?", *commit))

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """See one moment; nothing may be changed within."""
        with snapshot(self._db):
            yield

    def exact(self) -> Exact:
        """All vectors in memory, in the order of keys and times."""
        with explained(self.path):
            found = self._db.execute(
                "SELECT frames.id, items.id, time, vector FROM items JOIN frames ON item = items.id ORDER BY key, time"
            ).fetchall()
        frames, items, times, vectors = zip(*found, strict=True) if found else ((), (), (), ())
        return Exact(
            _rows(vectors), np.asarray(frames, np.int64), np.asarray(items, np.int64), np.asarray(times, np.float64)
        )

    def after(self, frame: int) -> Iterator[tuple[NDArray[np.void], Halves]]:
        """The frames with higher numbers, in their order, some at a time: their facts (FACTS) and vectors."""
        with explained(self.path):
            cursor = self._db.execute("SELECT id, item, time, vector FROM frames WHERE id > ? ORDER BY id", (frame,))
            while found := cursor.fetchmany(_PAGE):
                facts = np.fromiter((row[:3] for row in found), FACTS, len(found))
                yield facts, np.frombuffer(b"".join(row[3] for row in found), np.float16).reshape(len(found), -1)

    def frames(self) -> NDArray[np.int64]:
        """The numbers of all frames, rising."""
        with explained(self.path):
            found = self._db.execute("SELECT id FROM frames INDEXED BY sqlite_autoindex_frames_1")
            return np.sort(np.fromiter((frame for (frame,) in found), np.int64))

    def matching(self, wanted: Filter) -> NDArray[np.int64]:
        """The numbers of items that a filter lets through, rising."""
        where, values = _condition(wanted)
        with explained(self.path):
            found = self._db.execute(f"SELECT id FROM items WHERE {where} ORDER BY id", values)  # noqa: S608  (ours)
            return np.fromiter((item for (item,) in found), np.int64)

    def named(self, items: Sequence[int]) -> dict[int, tuple[str, dict[str, Any]]]:
        """Keys and metadata of items by their numbers; those that are gone are left out."""
        named: dict[int, tuple[str, dict[str, Any]]] = {}
        for start in range(0, len(items), _PAGE):
            some = json.dumps([int(item) for item in items[start : start + _PAGE]])
            with explained(self.path):
                found = self._db.execute(
                    "SELECT id, key, metadata FROM items WHERE id IN (SELECT value FROM json_each(?))", (some,)
                ).fetchall()
            named |= {item: (key, json.loads(metadata)) for item, key, metadata in found}
        return named

    def halves(self, frames: Sequence[int]) -> dict[int, bytes]:
        """Vectors of frames by their numbers; those that are gone are left out."""
        asked = json.dumps([int(frame) for frame in frames])
        with explained(self.path):
            return dict(
                self._db.execute("SELECT id, vector FROM frames WHERE id IN (SELECT value FROM json_each(?))", (asked,))
            )

    def film(self, item: int) -> tuple[float, NDArray[np.float64], Rows]:
        """The duration of a film (-1 where nobody knows), the times of its frames, and their vectors, in the order of time."""
        with explained(self.path):
            found = self._db.execute("SELECT time, vector FROM frames WHERE item = ? ORDER BY time", (item,)).fetchall()
        (duration,) = self.one("SELECT coalesce(duration, -1) FROM items WHERE id = ?", item)
        return duration, np.asarray([time for time, _ in found], np.float64), _rows([vector for _, vector in found])

    # Changing it: within a transaction --------------------------------------------------------------------------------

    def put(self, what: Embedding, generation: int, vector: bytes) -> None:
        """Add a frame, and its item if it is new; frames of what the item was before go."""
        item = what.item
        stored = self.one("SELECT id, digest, sampling FROM items WHERE key = ?", item.key)
        if stored and stored[1:] != (what.digest, what.sampling):
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

    def finish(self, item: Item, duration: float | None) -> None:
        """Note that a film has all its frames now."""
        self._db.execute(
            "UPDATE items SET whole = 1, duration = ?, size = ?, mtime_ns = ?, origin = ?, metadata = ? WHERE key = ?",
            (duration, item.size, item.mtime_ns, *_as_json(item), item.key),
        )
        self._db.execute("DELETE FROM failures WHERE key = ?", (item.key,))

    def fail(self, item: Item, digest: bytes, failure: Failure) -> None:
        """Put an item into the ledger; only frames of a film with that very content stay."""
        self._db.execute("DELETE FROM items WHERE key = ? AND NOT (digest = ? AND sampling <> '')", (item.key, digest))
        self._db.execute("UPDATE items SET whole = 1 WHERE key = ?", (item.key,))
        self._db.execute(
            "INSERT OR REPLACE INTO failures VALUES (?, ?, ?, ?, ?, ?)",
            (item.key, item.size, item.mtime_ns, failure.code, failure.message, _as_json(item)[0]),
        )

    def rename(self, old: str, item: Item) -> None:
        """Give an item its new key and facts; its vectors stay. Another process may have done so already."""
        if not self.places(old):
            return
        if old != item.key:
            self._db.execute("DELETE FROM items WHERE key = ?", (item.key,))
        self._db.execute("DELETE FROM failures WHERE key = ?", (item.key,))
        self._db.execute(
            "UPDATE items SET key = ?, size = ?, mtime_ns = ?, origin = ?, metadata = ? WHERE key = ?",
            (item.key, item.size, item.mtime_ns, *_as_json(item), old),
        )

    def remove(self, key: str) -> bool:
        """Take an item, and what is recorded of its failure, out; says whether there was something."""
        items = self._db.execute("DELETE FROM items WHERE key = ?", (key,)).rowcount
        return bool(items + self._db.execute("DELETE FROM failures WHERE key = ?", (key,)).rowcount)

    def generation_id(self, now: Generation) -> int:
        """The number of a generation, which is the only one; made if there are no vectors of another."""
        if self.generation is None:
            self._db.execute("DELETE FROM generations")  # of vectors that are all gone
        row = self.one("SELECT id, model FROM generations")
        if row and row[1] != now.model:  # the same model by another name, or in another place now
            self._db.execute("UPDATE generations SET model = ?", (now.model,))
        if row:
            return int(row[0])
        cursor = self._db.execute(
            "INSERT INTO generations (model, fingerprint, dim, precision, parity) VALUES (?, ?, ?, ?, ?)",
            (now.model, now.fingerprint, now.dim, now.precision, now.parity),
        )
        return int(cursor.lastrowid or 0)

    def one(self, query: str, *values: Any) -> Any:
        """The first row that a query finds."""
        with explained(self.path):
            return self._db.execute(query, values).fetchone()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is changed within is on the disk afterwards, or nothing is."""
        with explained(self.path), transaction(self._db):
            before = self._db.total_changes
            yield
            if self._db.total_changes > before:
                number = self._db.execute("INSERT INTO commits (stamp) VALUES (randomblob(8))").lastrowid or 0
                self._db.execute("DELETE FROM commits WHERE id <= ?", (number - _KEPT_COMMITS,))

    def close(self) -> None:
        """Close the file; SQLite folds the write-ahead log into it."""
        self._db.close()


def _key(item: str, time: float) -> str:
    return frame_key(item, None if time == _PICTURE else time)


def _as_json(item: Item) -> tuple[str, str]:
    return json.dumps(item.origin), json.dumps({name: _plain(value) for name, value in item.metadata.items()})


def _plain(value: Any) -> Any:
    """What JSON has no word for, NaN and the infinities, is nothing."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _condition(wanted: Filter) -> tuple[str, list[Any]]:
    """A filter as SQL, and its values."""
    parts: list[str] = []
    values: list[Any] = []
    if wanted.prefix:
        parts.append("key >= ? AND key < ? || char(?)")
        values += [wanted.prefix, wanted.prefix, _LAST_LETTER]
    if wanted.kind:
        parts.append("sampling = ''" if wanted.kind == "picture" else "sampling <> ''")
    for limit, sign in ((wanted.after, ">="), (wanted.before, "<")):
        if limit is not None:
            parts.append(f"mtime_ns > 0 AND mtime_ns {sign} ?")
            values.append(round(limit * 1e9))
    for name, value in wanted.metadata.items():
        parts.append(
            "CASE WHEN json_valid(metadata) THEN EXISTS (SELECT 1 FROM json_each(metadata) AS fact "
            "WHERE fact.key = ? AND fact.atom IN (?, ?)) ELSE 0 END"
        )
        values += [name, *_readings(value)]
    return " AND ".join(parts) or "1", values


def _readings(value: str | float) -> tuple[Any, Any]:
    """What a value may stand as: a number that is written, or a truth, is what it says, and a number may be written."""
    if not isinstance(value, str):
        return value, str(value)
    if value in ("true", "false"):
        return value, value == "true"
    try:
        return value, float(value)
    except ValueError:
        return value, value


def _rows(vectors: Sequence[bytes]) -> Rows:
    """float16 blobs → float32 (n, dim), scaled back to the unit length that rounding took away."""
    if not vectors:
        return np.empty((0, 0), np.float32)
    return unit(np.frombuffer(b"".join(vectors), np.float16).reshape(len(vectors), -1))
