"""Many rows: codes of them are scanned for candidates, which are compared again by the rows themselves.

Rows that came after the codes were made, the tail, are compared all. Where codes do not serve (queries about some rows only, very many
hits, codes that find too little) the rows are scanned, and many queries at once are matrix products, whose best are compared again.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from glimpse.search import Found, Mask, cores, products, ranking, scan
from glimpse.search.codes import Codes
from glimpse.search.halves import Halves, cosines, floats, lengths, products_of
from glimpse.search.recall import Reach
from glimpse.values import Rows

MANY = 16  # queries; from here on matrix products are quicker than one scan after the other
MANY_BY_CODES = 64
MOST_DEAD = 0.1  # of candidates
BLOCK = 16_384  # rows compared at a time, where all of them are


class Large:
    """An `Index` over half-precision rows.

    Attributes:
        rows: float16 (n, dim), mapped.
        frames, items, times: see `Index`.
        codes: of the first rows; None where there are none.
        reaches: how many candidates find enough, by depth.
    """

    def __init__(
        self,
        rows: Halves,
        facts: NDArray[np.void],
        dead: NDArray[np.int64],
        codes: Codes | None = None,
        reaches: Sequence[Reach] = (),
    ) -> None:
        """Put together what is kept.

        Args:
            rows: float16 (n, dim).
            facts: (n,) with "frame", "item" and "time".
            dead: places of rows that are no more.
            codes: of the first rows.
            reaches: what was measured of the codes.
        """
        self.rows, self.codes, self.reaches = rows, codes, reaches
        self.frames, self.items, self.times = facts["frame"], facts["item"], facts["time"]
        self._dead = len(dead)
        self._alive = np.ones(len(rows), np.bool_)
        self._alive[dead] = False
        self._pool = ThreadPoolExecutor(cores(), "glimpse-search", scan.on_one_core)

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.rows) - self._dead

    def has(self, place: int, vector: bytes) -> bool:
        """Whether the row at a place is this vector, float16."""
        return bool(self.rows[place].tobytes() == vector)

    def search(self, queries: Rows, k: int, among: Mask | None = None) -> list[Found]:
        """The best rows for each query; see `Index`."""
        reach = next((one for one in self.reaches if one.depth >= k), None) if among is None else None
        if self.codes and reach and len(queries) < MANY_BY_CODES:
            turned = self.codes.turn.queries(queries)
            return [self._by_codes(*pair, k, reach) for pair in zip(queries, turned, strict=True)]
        return self._by_rows(queries, k, among)

    def scores(self, query: NDArray[np.float32]) -> NDArray[np.float32]:
        """The cosine of every row to a query, -infinity of those that are no more: float32 (n,)."""
        starts = range(0, len(self.rows), BLOCK)
        parts = self._pool.map(lambda start: cosines(self.rows[start : start + BLOCK], query), starts)
        return np.where(self._alive, np.concatenate(list(parts)), np.float32(-np.inf))

    def _by_rows(self, queries: Rows, k: int, among: Mask | None) -> list[Found]:
        """Compare all rows that are wanted."""
        chosen = among
        if self._dead:
            chosen = self._alive if among is None else among & self._alive
        if len(queries) < MANY:
            return scan.nearest(self.rows, queries, k, chosen)
        return products.nearest(self.rows, queries, k, None if chosen is None else np.flatnonzero(chosen))

    def _by_codes(self, query: NDArray[np.float32], turned: NDArray[np.float32], k: int, reach: Reach) -> Found:
        """Have every shard name candidates and compare them; a core for each."""
        assert self.codes  # noqa: S101  (see `search`)
        work = [
            self._pool.submit(self._of_shard, number, query, turned, reach) for number in range(len(self.codes.shards))
        ]
        parts = [self._of_tail(query), *(one.result() for one in work)]
        places, scores = np.concatenate([one[0] for one in parts]), np.concatenate([one[1] for one in parts])
        if self._dead:
            alive = self._alive[places]
            if alive.mean() < 1 - MOST_DEAD or alive.sum() < k:  # what is gone stands before what is wanted
                return self._by_rows(query[None], k, None)[0]
            places, scores = places[alive], scores[alive]
        order = np.argsort(places)  # equal scores are found in the order of places
        best = order[ranking.best(scores[order], k)]
        return places[best], scores[best]

    def _of_shard(self, number: int, query: NDArray[np.float32], turned: NDArray[np.float32], reach: Reach) -> Found:
        assert self.codes  # noqa: S101
        offered = self.codes.candidates(number, turned[None], reach.candidates, reach.probes)[0]
        places = np.sort(offered[offered >= 0])
        return places, cosines(self.rows[places], query)

    def _of_tail(self, query: NDArray[np.float32]) -> Found:
        rows, long = self._tail
        start = len(self.rows) - len(rows)
        return np.arange(start, len(self.rows)), products_of(rows, long, query)

    @cached_property
    def _tail(self) -> tuple[Rows, NDArray[np.float32]]:
        """The rows that have no codes yet, few enough to be held in memory, and their lengths."""
        rows = floats(self.rows[len(self.codes or ()) :])
        return rows, lengths(rows)
