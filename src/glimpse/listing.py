"""What a run has to look at: every item of some places once, in order, on disk rather than in memory.

Ten million items would take gigabytes as objects; here they are rows of a temporary SQLite file, which is gone when the program is.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator

from glimpse.values import Failure, Item

_TOLD_EVERY = 10_000  # items
_PAGE = 1_000


class Listing:
    """Items and failures by key; of what is named twice, the first counts.

    Attributes:
        failures: by key, what could not even be listed, and is not there under the same name after all.
    """

    def __init__(self, found: Iterable[Item | Failure], told: Callable[[int], object] = lambda _: None) -> None:
        """Go through what sources find; `told` hears now and then how much that is."""
        self._db = sqlite3.connect("", isolation_level=None)  # a temporary file, in memory while it is small
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute(
            "CREATE TABLE items (id INTEGER PRIMARY KEY, key TEXT UNIQUE, size INTEGER, mtime_ns INTEGER, origin TEXT, metadata TEXT)"
        )
        failures: dict[str, Failure] = {}
        self._db.execute("BEGIN")
        for place, one in enumerate(found):
            if isinstance(one, Failure):
                failures.setdefault(one.key, one)
            else:
                self._add(one)
            if place % _TOLD_EVERY == _TOLD_EVERY - 1:
                told(place + 1)
        self._db.execute("COMMIT")
        self._count = int(self._db.execute("SELECT count(*) FROM items").fetchone()[0])
        self.failures = {key: one for key, one in failures.items() if not self._has(key)}

    def _add(self, one: Item) -> None:
        self._db.execute(
            "INSERT OR IGNORE INTO items (key, size, mtime_ns, origin, metadata) VALUES (?, ?, ?, ?, ?)",
            (one.key, one.size, one.mtime_ns, json.dumps(one.origin), json.dumps(dict(one.metadata))),
        )

    def _has(self, key: object) -> bool:
        return self._db.execute("SELECT 1 FROM items WHERE key = ?", (key,)).fetchone() is not None

    def __len__(self) -> int:
        """How many there are."""
        return self._count + len(self.failures)

    def __contains__(self, key: object) -> bool:
        """Whether a key is among them."""
        return key in self.failures or self._has(key)

    def __iter__(self) -> Iterator[Item]:
        """Items, in the order in which they were found."""
        last = 0
        while rows := self._db.execute(
            f"SELECT * FROM items WHERE id > ? ORDER BY id LIMIT {_PAGE}",  # noqa: S608  (a number of ours)
            (last,),
        ).fetchall():
            for _, key, size, mtime_ns, origin, metadata in rows:
                yield Item(key, size, mtime_ns, tuple(json.loads(origin)), json.loads(metadata))
            last = rows[-1][0]

    def remove(self, unwanted: Callable[[str], bool], prefix: str) -> None:
        """Leave out those of the items that begin so which are unwanted."""
        found = self._db.execute("SELECT key FROM items WHERE key >= ? AND key < ? || char(0x10FFFF)", (prefix, prefix))
        for key in [key for (key,) in found.fetchall() if unwanted(key)]:
            self._count -= self._db.execute("DELETE FROM items WHERE key = ?", (key,)).rowcount

    def close(self) -> None:
        """Give the file back."""
        self._db.close()
