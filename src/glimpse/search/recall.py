"""How many candidates it takes to find what an exact search finds: asked, not believed.

Queries that the codes' coordinates were not fitted to are searched exactly, and the places of what was found are looked up in what the
codes offer. What is asked are texts: for those, codes and graphs that were tuned with pictures find much less than they say (VIBE,
arXiv 2505.17810).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from glimpse.search import products
from glimpse.search.codes import Codes
from glimpse.search.halves import Halves, cosines
from glimpse.values import Rows

DEPTHS = (10, 100)  # hits that are asked for
WANTED = 0.999
SAME = 1e-6  # of cosines
WIDEST = 8192  # candidates of a shard; where more were needed, comparing all rows takes no longer
PROBED = (
    1 / 32,
    1 / 16,
    1 / 8,
    1 / 4,
)  # shares of lists that are scanned; where more were needed, flat codes take no longer
_LADDER = [round(64 * 2 ** (step / 2)) for step in range(15)]  # to WIDEST


@dataclass(frozen=True, slots=True)
class Reach:
    """What so many candidates find.

    Attributes:
        depth: hits asked for.
        candidates: of each shard.
        recall: share of the best `depth` rows that are among them.
        probes: lists of each shard that are scanned, where there are lists.
    """

    depth: int
    candidates: int
    recall: float
    probes: int = 0


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
    exact = [scores for _, scores in products.nearest(rows, queries, max(depths, default=1))]
    ranks = {probes: _ranks(codes, rows, queries, exact, probes) for probes in _probes(codes)}
    return [reach for depth in depths if (reach := _least(ranks, depth))]


def _probes(codes: Codes) -> list[int]:
    """How many lists may be scanned."""
    return [max(1, round(share * len(codes.centroids))) for share in PROBED] if len(codes.centroids) else [0]


def _ranks(
    codes: Codes, rows: Halves, queries: Rows, exact: Sequence[Rows], probes: int
) -> dict[int, NDArray[np.intp]]:
    """For each depth and query, where among the candidates of its shard each row stands that is as good as what an exact search finds.

    WIDEST where there is none. Rows are as good if their scores are: of equal ones, any will do.
    """
    turned = codes.turn.queries(queries)
    offered = [codes.candidates(number, turned, WIDEST, probes) for number in range(len(codes.shards))]
    ranks = {depth: np.full((len(queries), depth), WIDEST) for depth in DEPTHS}
    for query, best in enumerate(exact):
        places = np.concatenate([one[query] for one in offered])
        standing = np.concatenate([np.arange(len(one[query])) for one in offered])[places >= 0]
        scores = cosines(rows[places[places >= 0]], queries[query])
        for depth, of_depth in ranks.items():
            good = np.sort(standing[scores >= best[min(depth, len(best)) - 1] - SAME])[:depth]
            of_depth[query, : len(good)] = good
    return ranks


def _least(ranks: Mapping[int, Mapping[int, NDArray[np.intp]]], depth: int) -> Reach | None:
    """The fewest probes that find enough with any number of candidates, and the fewest candidates with them."""
    for probes, of_queries in ranks.items():
        own = of_queries[depth]
        for enough, candidates in pairwise(
            [*_LADDER, WIDEST]
        ):  # a step more: the next queries are not those that were asked
            if (own < enough).mean() >= WANTED:
                return Reach(depth, candidates, float((own < candidates).mean()), probes)
    return None
