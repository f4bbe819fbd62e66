"""Rows → one-bit codes that are scanned for candidates: RaBitQ (Gao and Long 2024) in FAISS's fast-scan layout.

A code has a 32nd of its row's bytes, and a scan finds nearly all of the best rows among a few hundred or thousand candidates, which
somebody else compares again. Rows are dealt to as many shards as there are cores, so that one query keeps all of them busy.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from glimpse.search.halves import Halves, unit
from glimpse.search.turned import Turn, fitted
from glimpse.values import Rows

SAMPLE = 50_000  # rows that coordinates are fitted to
BLOCK = 50_000  # rows coded at a time
LEAST_IN_SHARD = 20_000  # rows: fewer are scanned in less time than a thread is woken
MOST_SHARDS = 16
_PADDED = 32  # rows in a block of the layout

Arrays = Mapping[str, NDArray[Any]]


class Codes:
    """Codes of the first rows of a matrix: row i is in shard i % shards, at place i // shards.

    Attributes:
        turn: the coordinates.
        shards: of FAISS.
    """

    def __init__(self, turn: Turn, shards: Sequence[Any]) -> None:
        """Take over what was made; see `made` and `from_arrays`."""
        self.turn, self.shards = turn, shards

    def __len__(self) -> int:
        """How many rows are coded."""
        return sum(shard.ntotal for shard in self.shards)

    @classmethod
    def made(cls, rows: Halves, queries: Rows) -> Self:
        """Code rows.

        Args:
            rows: float16 (n, dim).
            queries: float32 (q, dim): what will be asked is like these.
        """
        sample = unit(rows[:: max(1, len(rows) // SAMPLE)])
        turn = fitted(sample, queries)
        count = max(1, min(os.cpu_count() or 1, MOST_SHARDS, len(rows) // LEAST_IN_SHARD))
        shards = [_empty(rows.shape[1]) for _ in range(count)]
        for shard in shards:
            shard.train(turn.rows(sample))
        made = cls(turn, shards)
        made.add(rows)
        return made

    def add(self, rows: Halves) -> None:
        """Code the rows that follow: float16 (n, dim)."""
        for start in range(0, len(rows), BLOCK):
            turned = self.turn.rows(unit(rows[start : start + BLOCK]))
            before = len(self)
            for number, shard in enumerate(self.shards):
                shard.add(np.ascontiguousarray(turned[(number - before) % len(self.shards) :: len(self.shards)]))

    def candidates(self, number: int, queries: Rows, count: int) -> NDArray[np.int64]:
        """Places of the rows of a shard that seem best.

        Args:
            number: of the shard.
            queries: float32 (q, dim), turned.
            count: how many are wanted.

        Returns:
            int64 (q, count), the best first; -1 where there are no more.
        """
        _, found = self.shards[number].search(queries, count)
        return np.where(found < 0, -1, found * len(self.shards) + number)

    # As arrays --------------------------------------------------------------------------------------------------------

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All there is to keep; FAISS's own files are not used, for they are believed when they are read."""
        import faiss  # noqa: PLC0415

        kept: dict[str, NDArray[Any]] = {
            "centre": self.turn.centre,
            "for_rows": self.turn.for_rows,
            "for_queries": self.turn.for_queries,
        }
        for number, shard in enumerate(self.shards):
            kept[f"middle{number}"] = faiss.vector_to_array(shard.center)
            kept[f"codes{number}"] = _bytes_of(shard)
        return kept | {"counts": np.asarray([shard.ntotal for shard in self.shards])}

    @classmethod
    def from_arrays(cls, kept: Arrays) -> Self:
        """What `arrays` gave.

        Raises:
            ValueError: it does not fit together.
            KeyError: something is missing.
        """
        import faiss  # noqa: PLC0415

        turn = Turn(kept["centre"], kept["for_rows"], kept["for_queries"])
        (dim,) = turn.centre.shape
        if any(one.dtype != np.float32 or one.shape != (dim, dim) for one in (turn.for_rows, turn.for_queries)):
            raise ValueError(dim)
        shards = []
        for number, count in enumerate(kept["counts"].tolist()):
            shard = _empty(dim)
            faiss.copy_array_to_vector(_checked(kept[f"middle{number}"], np.float32, dim), shard.center)
            shard.is_trained = True
            shard.ntotal = count
            shard.ntotal2 = -(-count // _PADDED) * _PADDED
            codes = _checked(kept[f"codes{number}"], np.uint8, shard.ntotal2 * shard.code_size)
            shard.codes.resize(len(codes))
            _bytes_of(shard)[:] = codes
            shards.append(shard)
        return cls(turn, shards)


def _empty(dim: int) -> Any:
    import faiss  # noqa: PLC0415  (0.2 s, and only for many rows)

    return faiss.IndexRaBitQFastScan(dim, faiss.METRIC_INNER_PRODUCT)


def _bytes_of(shard: Any) -> NDArray[np.uint8]:
    """The memory of a shard's codes, as it is."""
    import faiss  # noqa: PLC0415

    return np.asarray(faiss.rev_swig_ptr(shard.codes.get(), shard.codes.size()))


def _checked(array: NDArray[Any], dtype: Any, size: int) -> NDArray[Any]:
    if array.dtype != dtype or array.shape != (size,):
        raise ValueError(size)
    return array
