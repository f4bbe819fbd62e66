"""How many candidates it takes to find what an exact search finds: asked, not believed.

Queries that the codes' coordinates were not fitted to are searched exactly, and the places of what was found are looked up in what the
codes offer. What is asked are texts: for those, codes and graphs that were tuned with pictures find much less than they say (VIBE,
arXiv 2505.17810).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from glimpse.search import products
from glimpse.search.codes import Codes
from glimpse.search.halves import Halves
from glimpse.values import Rows

DEPTHS = (10, 100)  # hits that are asked for
WANTED = 0.999
WIDEST = 8192  # candidates of a shard; where more were needed, comparing all rows takes no longer
_LADDER = [round(64 * 2 ** (step / 2)) for step in range(15)]  # to WIDEST


@dataclass(frozen=True, slots=True)
class Reach:
    """What so many candidates find.

    Attributes:
        depth: hits asked for.
        candidates: of each shard.
        recall: share of the best `depth` rows that are among them.
    """

    depth: int
    candidates: int
    recall: float


def captions() -> list[str]:
    """200 texts such as are asked, for collections that nobody has asked much yet."""
    return (files("glimpse.search") / "captions.txt").read_text("utf-8").splitlines()


def reaches(codes: Codes, rows: Halves, queries: Rows) -> list[Reach]:
    """The fewest candidates that find enough, for each depth; depths that no number of them serves are left out.

    Args:
        codes: of these rows.
        rows: float16 (n, dim).
        queries: float32 (q, dim), of unit length.
    """
    if not len(queries):
        return []
    depths = [depth for depth in DEPTHS if depth < len(rows)]
    exact = [places for places, _ in products.nearest(rows, queries, max(depths, default=1))]
    ranks = _ranks(codes, codes.turn.queries(queries), exact)
    return [reach for depth in depths if (reach := _fewest(np.stack([own[:depth] for own in ranks]), depth))]


def _ranks(codes: Codes, turned: Rows, exact: Sequence[NDArray[np.intp]]) -> list[NDArray[np.intp]]:
    """Where among the candidates of its shard each row stands that an exact search finds; WIDEST where it does not."""
    offered = [codes.candidates(number, turned, WIDEST) for number in range(len(codes.shards))]
    return [np.min([_places_in(places[query], own) for places in offered], axis=0) for query, own in enumerate(exact)]


def _places_in(offered: NDArray[np.int64], wanted: NDArray[np.intp]) -> NDArray[np.intp]:
    order = np.argsort(offered)
    near = np.minimum(np.searchsorted(offered, wanted, sorter=order), len(offered) - 1)
    return np.where(offered[order[near]] == wanted, order[near], WIDEST)


def _fewest(ranks: NDArray[np.intp], depth: int) -> Reach | None:
    """The step of the ladder above the first that finds enough: the next queries are not those that were asked."""
    for enough, candidates in pairwise([*_LADDER, WIDEST]):
        if (ranks < enough).mean() >= WANTED:
            return Reach(depth, candidates, float((ranks < candidates).mean()))
    return None
