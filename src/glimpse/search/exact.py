"""Few rows: all of them in memory, in float32, compared in one matrix product."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glimpse.search import Found, Mask, ranking
from glimpse.values import Rows

SCORES = 1 << 24  # that are held at once


@dataclass(frozen=True, slots=True)
class Exact:
    """An `Index`; rows float32 (n, dim) of unit length."""

    rows: Rows
    frames: NDArray[np.int64]
    items: NDArray[np.int64]
    times: NDArray[np.float64]

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.rows)

    def has(self, place: int, vector: bytes) -> bool:  # noqa: ARG002
        """See `Index`; what was read from the collection is what it says."""
        return True

    def scores(self, query: NDArray[np.float32]) -> NDArray[np.float32]:
        """The cosine of every row to a query: float32 (n,)."""
        return np.asarray(self.rows @ query, np.float32)

    def search(self, queries: Rows, k: int, among: Mask | None = None) -> list[Found]:
        """The best rows for each query; see `Index`."""
        rows = self.rows if among is None else self.rows[among]
        places = np.arange(len(rows)) if among is None else np.flatnonzero(among)
        return [
            (places[found], scores[found]) for scores in _scores(rows, queries) for found in [ranking.best(scores, k)]
        ]


def _scores(rows: Rows, queries: Rows) -> Iterator[NDArray[np.float32]]:
    """The scores of each query, (n,); alone or among others, they are the same to the last bit only as far as BLAS keeps them so."""
    together = max(1, SCORES // max(1, len(rows)))
    for start in range(0, len(queries), together):
        yield from (rows @ queries[start : start + together].T).T if len(queries) > 1 else (rows @ queries[0])[None]
