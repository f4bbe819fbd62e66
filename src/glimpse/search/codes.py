"""Rows → one-bit codes that are scanned for candidates: RaBitQ (Gao and Long 2024) in FAISS's fast-scan layout.

A code has a 14th of the bytes of its row in half precision, and a scan finds nearly all of the best rows among a few hundred or thousand
candidates, which somebody else compares again. Rows are dealt to as many shards as there are cores, so that one query keeps
all of them busy. A shard is `flat`, or for very many rows in `lists`.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from types import ModuleType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from glimpse.search import cores
from glimpse.search.halves import Halves, unit
from glimpse.search.turned import Turn, fitted
from glimpse.values import Rows

SAMPLE = 50_000  # rows that coordinates are fitted to
FOR_EACH_LIST = 64  # rows of a sample that centroids are made of
BLOCK = 50_000  # rows coded at a time
LEAST_IN_SHARD = 20_000  # rows: fewer are scanned in less time than a thread is woken
MOST_SHARDS = 16

Arrays = Mapping[str, NDArray[Any]]


class Codes:
    """Codes of the first rows of a matrix: row i is in shard i % shards, at place i // shards.

    Attributes:
        turn: the coordinates.
        shards: of FAISS.
        centroids: float32 (lists, dim), none where codes are flat.
    """

    def __init__(self, turn: Turn, shards: Sequence[Any], centroids: Rows) -> None:
        """Take over what was made; see `made` and `from_arrays`."""
        self.turn, self.shards, self.centroids = turn, shards, centroids
        self._kind = _kind(centroids)

    def __len__(self) -> int:
        """How many rows are coded."""
        return sum(shard.ntotal for shard in self.shards)

    @classmethod
    def made(cls, rows: Halves, queries: Rows, count: int = 0) -> Self:
        """Code rows.

        Args:
            rows: float16 (n, dim).
            queries: float32 (q, dim): what will be asked is like these.
            count: of lists; 0: none, flat.
        """
        sample = unit(rows[:: max(1, len(rows) // max(SAMPLE, FOR_EACH_LIST * count))])
        turn = fitted(sample, queries)
        turned = turn.rows(sample)
        centroids = _clustered(turned, count) if count else turned[:0]
        shards = max(1, min(cores(), MOST_SHARDS, len(rows) // LEAST_IN_SHARD))
        made = cls(turn, [_kind(centroids).made(turned, centroids) for _ in range(shards)], centroids)
        made.add(rows)
        return made

    def add(self, rows: Halves) -> None:
        """Code the rows that follow: float16 (n, dim)."""
        for start in range(0, len(rows), BLOCK):
            turned = self.turn.rows(unit(rows[start : start + BLOCK]))
            before = len(self)
            for number, shard in enumerate(self.shards):
                own = turned[(number - before) % len(self.shards) :: len(self.shards)]
                if len(own):  # FAISS divides by how many there are
                    shard.add(np.ascontiguousarray(own))

    def candidates(self, number: int, queries: Rows, count: int, probes: int = 0) -> NDArray[np.int64]:
        """Places of the rows of a shard that seem best.

        Args:
            number: of the shard.
            queries: float32 (q, dim), turned.
            count: how many are wanted.
            probes: lists that are scanned, where there are lists.

        Returns:
            int64 (q, count), the best first; -1 where there are no more.
        """
        found = self._kind.searched(self.shards[number], queries, count, probes)
        return np.where(found < 0, -1, found * len(self.shards) + number)

    # As arrays --------------------------------------------------------------------------------------------------------

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All there is to keep; FAISS's own files are not used, for they are believed when they are read."""
        kept: dict[str, NDArray[Any]] = {
            "centre": self.turn.centre,
            "for_rows": self.turn.for_rows,
            "for_queries": self.turn.for_queries,
            "centroids": self.centroids,
            "shards": np.asarray(len(self.shards)),
        }
        for number, shard in enumerate(self.shards):
            kept |= {f"{name}-{number}": part for name, part in self._kind.parts(shard).items()}
        return kept

    @classmethod
    def from_arrays(cls, kept: Arrays) -> Self:
        """What `arrays` gave.

        Raises:
            ValueError: it does not fit together.
            KeyError: something is missing.
        """
        turn = Turn(kept["centre"], kept["for_rows"], kept["for_queries"])
        centroids = kept["centroids"]
        (dim,) = turn.centre.shape
        squares = [turn.for_rows.shape, turn.for_queries.shape]
        if squares != [(dim, dim)] * 2 or centroids.shape[1:] != (dim,):
            raise ValueError(dim)
        if any(one.dtype != np.float32 for one in (turn.centre, turn.for_rows, turn.for_queries, centroids)):
            raise ValueError(dim)
        shards = [
            _kind(centroids).restored(
                {name.rpartition("-")[0]: kept[name] for name in kept if name.endswith(f"-{number}")}, centroids
            )
            for number in range(int(kept["shards"]))
        ]
        if not shards or any(a.ntotal - b.ntotal not in (0, 1) for a, b in pairwise(shards)):
            raise ValueError(len(shards))
        return cls(turn, shards, centroids)


def _kind(centroids: Rows) -> ModuleType:
    from glimpse.search import flat, lists  # noqa: PLC0415  (they import FAISS: 0.2 s, and only for many rows)

    return lists if len(centroids) else flat


def _clustered(rows: Rows, count: int) -> Rows:
    from glimpse.search import lists  # noqa: PLC0415

    return lists.centroids(rows, count)
