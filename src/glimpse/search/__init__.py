"""Rows and queries → the best rows, exactly or as good as. Knows neither models nor SQLite.

    few rows     exact.py      float32 in memory, one matrix product
    many rows    large.py      files beside the collection (files.py), mapped: half-precision rows, and one-bit codes of them (codes.py)
                               that are scanned for candidates, which are compared again by their rows. Codes are fitted to
                               what is asked (turned.py, fitting.py), and how many candidates it takes is measured (recall.py).
                               Queries about some rows only are a scan of them (scan.py), many at once matrix products (products.py)

`ranking.py` orders scores, `moments.py` finds the parts of a film. Whatever searches is an `Index`.
"""

import os
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from glimpse.values import Rows

Found = tuple[NDArray[np.intp], NDArray[np.float32]]
"""Places of rows and their cosines, the best first; equal ones in the order of places."""

Mask = NDArray[np.bool_]


def cores() -> int:
    """How many cores this process may use: in a container not all that there are."""
    mine = getattr(os, "sched_getaffinity", None)  # Linux
    return len(mine(0)) if mine else os.cpu_count() or 1


class Untrue(ValueError):
    """What was searched is not what the collection says: it was damaged, or changed by somebody else."""


class Index(Protocol):
    """Rows that can be searched: those of one moment, they do not change."""

    @property
    def frames(self) -> NDArray[np.int64]:
        """int64 (n,): which frame of the collection the row at each place is of."""
        ...

    @property
    def items(self) -> NDArray[np.int64]:
        """int64 (n,): which item it belongs to."""
        ...

    @property
    def times(self) -> NDArray[np.float64]:
        """float64 (n,): seconds in the film, -infinity for pictures."""
        ...

    def search(self, queries: Rows, k: int, among: Mask | None = None) -> list[Found]:
        """The best rows for each query.

        Args:
            queries: float32 (q, dim), of unit length.
            k: how many; more come back where several tie with the last, fewer where there are no more.
            among: bool (n,): only these rows are looked at.

        Raises:
            Untrue: a row is damaged.
        """
        ...

    def scores(self, query: NDArray[np.float32]) -> NDArray[np.float32]:
        """The cosine of every row to a query (dim,), -infinity of those that are no more: float32 (n,)."""
        ...

    def has(self, place: int, vector: bytes) -> bool:
        """Whether the row at a place is this vector, float16."""
        ...

    def __len__(self) -> int:
        """How many rows there are."""
        ...
