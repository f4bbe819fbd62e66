"""A change of coordinates after which one-bit codes lose least of what texts ask.

A one-bit code (RaBitQ, Gao and Long 2024) estimates the product of a row and a query with an error that grows with the length of the
row, from the centre of all rows, times that of the query. Texts lie elsewhere than pictures: most of a query's length is in directions
in which pictures hardly differ, and adds error without saying anything. Products are the same when rows are multiplied by a matrix
and queries by its inverse transpose; we choose the one that makes the product of the lengths least. With the covariance C of the rows
and the second moments M of queries, the queries' matrix A has A'A = the geometric mean of C and the inverse of M (by Cauchy and
Schwarz; where both have the same axes, each axis is scaled by the fourth root of C over M). It is the idea of LeanVec for queries out of
distribution (Tepper et al. 2023) taken to one-bit codes. A random turn follows, which RaBitQ's error bounds ask for.

M is estimated from a few dozen queries, so it is mixed with one that is the same in all directions; how much is decided by queries that
were held out.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glimpse.values import Rows

EVEN = (1.0, 0.6, 0.3, 0.1, 0.03)  # shares of a second moment that is the same in all directions
LEAST = 1e-6  # of the mean variance, that every direction is taken to have
TINY = 1e-12  # or this, where no row differs from another

Square = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Turn:
    """Coordinates for codes.

    Attributes:
        centre: float32 (dim,): the mean of rows.
        for_rows, for_queries: float32 (dim, dim): what both are multiplied by, from the right.
    """

    centre: NDArray[np.float32]
    for_rows: NDArray[np.float32]
    for_queries: NDArray[np.float32]

    def rows(self, rows: Rows) -> Rows:
        """float32 (n, dim) → float32 (n, dim)."""
        return np.asarray((rows - self.centre) @ self.for_rows, np.float32)

    def queries(self, queries: Rows) -> Rows:
        """float32 (q, dim) → float32 (q, dim): products with `rows` are those of before, but for a constant of each query."""
        return np.asarray(np.einsum("qi,ij->qj", queries, self.for_queries))  # not BLAS, as in `halves.cosines`


def fitted(rows: Rows, queries: Rows) -> Turn:
    """The coordinates for rows like these and queries like these.

    Args:
        rows: float32 (n, dim): a sample.
        queries: float32 (q, dim); without any, coordinates are only turned.
    """
    dim = rows.shape[1]
    centre = rows.mean(0)
    around = (rows - centre).astype(np.float64)
    spread = _thick(around.T @ around / max(1, len(rows)))
    to, back = _scaling(spread, queries.astype(np.float64))
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((dim, dim)))[0]
    return Turn(centre, (back @ turn).astype(np.float32), (to @ turn).astype(np.float32))


def _scaling(spread: Square, queries: NDArray[np.float64]) -> tuple[Square, Square]:
    """What queries, and what rows are multiplied by: each the inverse of the other."""
    if len(queries) < 2:  # noqa: PLR2004  (one to learn from and one to hold out)
        return np.eye(len(spread)), np.eye(len(spread))
    seen, held = queries[::2], queries[1::2]
    even = min(EVEN, key=lambda share: _error(spread, held, *_of_moments(spread, _moments(seen, share))))
    return _of_moments(spread, _moments(queries, even))


def _error(spread: Square, held: NDArray[np.float64], to: Square, back: Square) -> float:
    """The squared length of rows times that of queries."""
    return float(np.trace(back.T @ spread @ back) * np.square(held @ to).sum())


def _moments(queries: NDArray[np.float64], even: float) -> Square:
    seen = queries.T @ queries / len(queries)
    dim = len(seen)
    return _thick((1 - even) * seen + even * np.trace(seen) / dim * np.eye(dim))


def _of_moments(spread: Square, moments: Square) -> tuple[Square, Square]:
    """The symmetric square root of the geometric mean of `spread` and the inverse of `moments`, and its inverse."""
    root, inverse = _powers(moments, 0.5, -0.5)
    (middle,) = _powers(root @ spread @ root, 0.5)
    to, back = _powers(inverse @ middle @ inverse, 0.5, -0.5)
    return to, back


def _powers(symmetric: Square, *powers: float) -> tuple[Square, ...]:
    values, vectors = np.linalg.eigh(symmetric)
    values = np.maximum(values, np.finfo(np.float64).tiny)
    return tuple((vectors * values**power) @ vectors.T for power in powers)


def _thick(moments: Square) -> Square:
    """Give every direction a little variance, so that nothing is divided by none."""
    least = max(LEAST * np.trace(moments) / len(moments), TINY)
    return np.asarray(moments + least * np.eye(len(moments)))
