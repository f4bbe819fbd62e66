"""How quickly the closest of many vectors are found: glimpse by its public API beside NumPy, FAISS, usearch and LanceDB.

Every contestant is a process of its own that waits while another has its turn, and searches the same vectors (vectors.py) with the
same queries. Recall is counted against the exact answer. The graphs (HNSW) look at as much as it takes for a recall of 0.99.
"""

import argparse
import itertools
import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import checkpoint
import collections_of_vectors
import glimpse
import measure
import searchers
import vectors
from glimpse.search.codes import Codes
from measure import Comparison, Figure, Limit, Recall, Result
from searchers import Contestant
from vectors import Vectors

SIZES = (10_000, 100_000, 1_000_000)
LARGE = SIZES[-1]  # the size that targets are for
K = 10
GRAPHS = ("FAISS HNSW", "usearch HNSW")
TRIED = 200  # queries that graphs are tuned by
GRAPHS_UP_TO = 100_000  # rows; a million take hours
GRAPH_RECALL, RECALL = 0.99, 0.999
SEARCH_LIMIT, TEXT_LIMIT, ADDING_LIMIT, MEMORY_LIMIT = 8.0, 20.0, 1.0, 300.0  # ms, ms, s, MB
GLIMPSE, TEXTS, NUMPY, FLAT, LANCE = "glimpse", "glimpse, a text", "NumPy float32", "FAISS flat", "LanceDB flat"
TARGETS = {NUMPY: 5.0, LANCE: 3.0}
TOGETHER_TARGET = 2.0
ABLE = (GLIMPSE, NUMPY, "FAISS")  # to take many queries at once
ADDED = 1000
FITTED, CANDIDATES = 100, 400  # texts and candidates, where codes are looked at by themselves
WORDS = (
    "a carriage",
    "two dogs on a beach",
    "a red bicycle against a wall",
    "snow on the roofs of a village",
    "my breakfast",
)

Rounds = Mapping[str, Sequence[Any]]


def main() -> None:
    asked = _arguments()
    measure.prepare()
    folder = checkpoint.make(asked.model)
    for source in _sources(asked, glimpse.load(folder).dim):
        measure.say(f"{len(source)} vectors")
        measure.finish(_result(source, folder, asked), keep=asked.keep)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=checkpoint.DEFAULT, choices=checkpoint.SIZES)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="how many vectors; a result for each")
    parser.add_argument("--vectors", type=Path, help="your own: a .npy file (n, dim), as wide as the model's")
    parser.add_argument("--queries", type=Path, help="for them: a .npy file (q, dim), best of texts")
    parser.add_argument("--without", nargs="+", default=[], help="contestants to leave out, by name")
    parser.add_argument("--graphs", type=int, default=GRAPHS_UP_TO, help="build HNSW for up to so many vectors")
    parser.add_argument("--calls", type=int, default=20, help="queries of every contestant in every round")
    parser.add_argument("--together", type=int, default=1000, help="how many queries at once; 0: none")
    parser.add_argument("--recall", type=int, default=vectors.QUERIES, help="how many queries recall is counted by")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-keep", dest="keep", action="store_false", help="print only, write no results")
    asked = parser.parse_args()
    if bool(asked.vectors) != bool(asked.queries):
        parser.error("--vectors and --queries go together")
    return asked


def _sources(asked: argparse.Namespace, dim: int) -> list[Vectors]:
    """What is searched in; files that stay on the disk."""
    if asked.vectors:
        return [vectors.own(asked.vectors, asked.queries, dim)]
    return [vectors.make(size, dim) for size in asked.sizes]


def _result(source: Vectors, folder: Path, asked: argparse.Namespace) -> Result:
    truth = vectors.exact(source, source.queries, K)
    path = collections_of_vectors.make(source, glimpse.load(folder))
    large = len(source) >= LARGE
    with ExitStack() as stack:
        contestants = _contestants(source, path, folder, asked, stack)
        contestants = {_tuned(name, one, source, truth): one for name, one in contestants.items()}
        alone = _one_by_one(contestants, source, asked)
        memory = {name: one.ask(searchers.memory) for name, one in contestants.items()}
        at_once = _together(contestants, source, asked)
        built = {name: one.ask(searchers.built) for name, one in contestants.items() if name not in (GLIMPSE, NUMPY)}
        built[GLIMPSE] = built.pop(TEXTS)
        added = measure.in_turn(
            {GLIMPSE: partial(contestants[TEXTS].ask, searchers.adding, ADDED)}, asked.rounds, _call
        )
        return Result(
            question=f"search-{len(source)}" if not asked.vectors else f"search-{asked.vectors.stem}",
            setup=_setup(source, asked),
            figures=_figures(alone, at_once, built, memory),
            comparisons=[*_alone(alone, large=large), *_at_once(at_once, large=large)],
            limits=_limits(alone, added[GLIMPSE], memory, large=large),
            recalls=[*_recalls(contestants, source, truth, asked), *_of_codes(source, truth)],
            peer="the other",
        )


def _call(work: Callable[[], Any]) -> Any:
    return work()


def _setup(source: Vectors, asked: argparse.Namespace) -> dict[str, Any]:
    return {
        "vectors": f"{len(source):,} × {source.queries.shape[1]}, {'own' if asked.vectors else 'synthetic'}",
        "neighbours": K,
        "queries of each in a round": asked.calls,
        "at once": asked.together,
        "queries for recall": min(asked.recall, len(source.queries)),
        "rounds": asked.rounds,
        "text tower": asked.model,
    }


# Contestants ----------------------------------------------------------------------------------------------------------


def _contestants(
    source: Vectors, path: Path, folder: Path, asked: argparse.Namespace, stack: ExitStack
) -> dict[str, Contestant]:
    """All that are installed: started one after the other, each having built its index before the next begins."""
    kinds: dict[str, tuple[str, Callable[..., Any]]] = {
        NUMPY: ("numpy", searchers.NumPy),
        FLAT: ("faiss", searchers.FaissFlat),
        "usearch exact": ("usearch", searchers.Usearch),
        LANCE: ("lancedb", searchers.LanceDB),
    }
    if len(source) <= asked.graphs:
        kinds |= {GRAPHS[0]: ("faiss", searchers.FaissHNSW), GRAPHS[1]: ("usearch", searchers.UsearchHNSW)}
    makers = {  # what makes anew what both of ours search with comes first
        TEXTS: partial(searchers.Glimpse, path, folder, source.texts),
        GLIMPSE: partial(searchers.Glimpse, path, None, source.texts),
    }
    makers |= {
        name: partial(make, source)
        for name, (library, make) in kinds.items()
        if name not in asked.without and measure.installed(library)
    }
    found = {}
    for name, make in makers.items():
        measure.say(f"building: {name}")
        found[name] = stack.enter_context(closing(Contestant(make)))
        found[name].ask(searchers.built)
        stack.callback(found[name].ask, searchers.close)
    return found


def _tuned(name: str, one: Contestant, source: Vectors, truth: searchers.Places) -> str:
    """Its name; a graph is made to look at enough first, and its name says at how many."""
    if name not in GRAPHS:
        return name
    width = one.ask(searchers.tune, source.queries[:TRIED], truth[:TRIED], GRAPH_RECALL)
    return f"{name}, efSearch {width}"


# One by one -----------------------------------------------------------------------------------------------------------


def _one_by_one(contestants: Mapping[str, Contestant], source: Vectors, asked: argparse.Namespace) -> Rounds:
    """Milliseconds of every query, in rounds; the same queries for all, others in every round."""
    work, size = {}, searchers.UNCOUNTED + asked.calls
    for name, one in contestants.items():
        queries = itertools.cycle(_texts(size) if name == TEXTS else _parts(source.queries, size))
        work[name] = partial(_ask_next, one, queries)
    return measure.in_turn(work, asked.rounds, _call)


def _ask_next(one: Contestant, queries: Any) -> Any:
    return one.ask(searchers.latencies, next(queries), K)


def _parts(queries: vectors.Rows, size: int) -> list[vectors.Rows]:
    return np.array_split(queries, max(len(queries) // size, 1))


def _texts(count: int) -> list[list[str]]:
    """Texts no two of which are the same."""
    return [
        [f"{word}, {part * count + i}" for i, word in zip(range(count), itertools.cycle(WORDS))] for part in range(50)
    ]


def _alone(alone: Rounds, *, large: bool) -> list[Comparison]:
    targets = TARGETS if large else {}
    medians = _medians(alone)
    others = [name for name in alone if name not in (GLIMPSE, TEXTS)]
    return [_faster("one query", "ms", medians, name, targets.get(name)) for name in others]


def _medians(rounds: Rounds) -> dict[str, list[float]]:
    return {name: [statistics.median(taken) for taken in of_rounds] for name, of_rounds in rounds.items()}


def _faster(what: str, unit: str, times: Rounds, name: str, target: float | None) -> Comparison:
    ratios = measure.speedups(times[GLIMPSE], times[name])
    middles = statistics.median(times[GLIMPSE]), statistics.median(times[name])
    return Comparison(what, unit, *middles, name, statistics.median(ratios), ratios, target)


# All at once ----------------------------------------------------------------------------------------------------------


def _together(contestants: Mapping[str, Contestant], source: Vectors, asked: argparse.Namespace) -> Rounds:
    """Seconds of many queries at once."""
    queries = source.queries[: asked.together]
    able = [name for name in contestants if name.startswith(ABLE) and name != TEXTS] if asked.together else []
    work = {name: partial(contestants[name].ask, searchers.together, queries, K) for name in able}
    return measure.in_turn(work, asked.rounds, _call) if work else {}


def _at_once(at_once: Rounds, *, large: bool) -> list[Comparison]:
    targets = {FLAT: TOGETHER_TARGET} if large else {}
    return [_faster("many at once", "s", at_once, name, targets.get(name)) for name in at_once if name != GLIMPSE]


# What was found -------------------------------------------------------------------------------------------------------


def _figures(alone: Rounds, at_once: Rounds, built: Mapping[str, float], memory: Mapping[str, float]) -> list[Figure]:
    medians = _medians(alone)
    return [
        *[
            Figure(f"{name}, one query", "ms", statistics.median(medians[name]), medians[name], _p90(of_rounds))
            for name, of_rounds in alone.items()
        ],
        *[
            Figure(f"{name}, many at once", "s", statistics.median(taken), list(taken))
            for name, taken in at_once.items()
        ],
        *[Figure(f"{name}, to build", "s", taken, [taken]) for name, taken in built.items()],
        *[Figure(f"{name}, memory of its own", "MB", used, [used]) for name, used in memory.items()],
    ]


def _p90(rounds: Sequence[Sequence[float]]) -> float:
    return float(np.percentile([one for taken in rounds for one in taken], 90))


def _limits(alone: Rounds, added: Sequence[float], memory: Mapping[str, float], *, large: bool) -> list[Limit]:
    medians = _medians(alone)
    found = [
        ("a vector to hits", "ms", medians[GLIMPSE], SEARCH_LIMIT),
        ("a text to hits", "ms", medians[TEXTS], TEXT_LIMIT),
        (f"{ADDED} rows added, until they are found", "s", list(added), ADDING_LIMIT),
        ("memory of its own, searching by vectors", "MB", [memory[GLIMPSE]], MEMORY_LIMIT),
        ("memory of its own, with the text tower", "MB", [memory[TEXTS]], None),
    ]
    return [Limit(what, unit, statistics.median(of), of, limit if large else None) for what, unit, of, limit in found]


def _recalls(
    contestants: Mapping[str, Contestant], source: Vectors, truth: searchers.Places, asked: argparse.Namespace
) -> list[Recall]:
    """Shares of the exact answer, of those that may miss some of it."""
    queries, target = source.queries[: asked.recall], RECALL if len(source) >= LARGE else None
    truth = truth[: asked.recall]
    alone = contestants[GLIMPSE].ask(searchers.found, queries, K)
    found = [Recall("glimpse, one query", searchers.recall(alone, truth), target)]
    if asked.together:
        at_once = contestants[GLIMPSE].ask(searchers.found_together, queries, K)
        found.append(Recall("glimpse, many at once", searchers.recall(at_once, truth), target))
    others = [name for name in contestants if name not in (GLIMPSE, TEXTS, NUMPY)]
    amounts = {name: len(queries) if name.startswith(GRAPHS) else asked.calls for name in others}
    return found + [
        Recall(name, searchers.recall(contestants[name].ask(searchers.found, queries[:amount], K), truth[:amount]))
        for name, amount in amounts.items()
    ]


def _of_codes(source: Vectors, truth: searchers.Places) -> list[Recall]:
    """What codes find with few candidates, in coordinates that were fitted to texts and in such as RaBitQ's own."""
    rows = np.load(source.rows, mmap_mode="r")
    kinds = {"fitted to texts": source.texts[:FITTED], "turned at random": source.texts[:0]}
    return [
        Recall(f"codes {name}, {CANDIDATES} candidates", _share_named(Codes.made(rows, texts), source, truth))
        for name, texts in kinds.items()
    ]


def _share_named(codes: Codes, source: Vectors, truth: searchers.Places) -> float:
    """The share of the exact answer that is among the candidates."""
    turned = codes.turn.queries(source.queries)
    count = CANDIDATES // len(codes.shards)
    named = np.concatenate([codes.candidates(number, turned, count) for number in range(len(codes.shards))], 1)
    return float(np.mean([np.isin(right, found).mean() for right, found in zip(truth, named, strict=True)]))


if __name__ == "__main__":
    main()
