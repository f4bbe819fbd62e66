"""What a collection's file holds, read with SQLite alone, so that glimpse does not vouch for itself."""

import hashlib
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from glimpse.values import frame_key

_EVERYTHING = (  # but for numbers of rows, which depend on the order in which workers are done
    "SELECT key, size, mtime_ns, digest, origin, metadata, duration, sampling, whole FROM items ORDER BY key",
    "SELECT key, time, vector FROM frames JOIN items ON items.id = item ORDER BY key, time",
    "SELECT key, size, mtime_ns, code, message, origin FROM failures ORDER BY key",
    "SELECT model, fingerprint, dim, precision, parity FROM generations",
)


@dataclass(frozen=True, slots=True)
class State:
    """A moment of a collection.

    Attributes:
        vectors: float16 bytes by key of picture or frame.
        whole: keys of items that have all their frames.
        complaints: of SQLite's own checks, and rows that are there twice.
        digest: of all that there is.
    """

    vectors: dict[str, bytes] = field(repr=False)
    whole: frozenset[str] = field(repr=False)
    failed: frozenset[str] = field(repr=False)
    complaints: tuple[str, ...]
    digest: str


def read(path: Path) -> State:
    """Read a file that exists."""
    with closing(sqlite3.connect(path, timeout=10)) as db:
        tables = [db.execute(query).fetchall() for query in _EVERYTHING]
        items, frames, failures, _ = tables
        keys = [frame_key(key, time if time >= 0 else None) for key, time, _ in frames]
        return State(
            vectors={key: vector for key, (_, _, vector) in zip(keys, frames, strict=True)},
            whole=frozenset(row[0] for row in items if row[-1]),
            failed=frozenset(row[0] for row in failures),
            complaints=(*_complaints(db), *_twice("frame", keys), *_twice("item", [row[0] for row in items])),
            digest=hashlib.sha256(repr(tables).encode()).hexdigest(),
        )


def _complaints(db: sqlite3.Connection) -> list[str]:
    integrity = [row[0] for row in db.execute("PRAGMA integrity_check") if row[0] != "ok"]
    return integrity + [f"{row[0]} {row[1]} belongs to nothing" for row in db.execute("PRAGMA foreign_key_check")]


def _twice(what: str, keys: list[str]) -> list[str]:
    return [f"the {what} {key} is there twice" for key, count in Counter(keys).items() if count > 1]
