"""From JPEG files to vectors, end to end: glimpse beside what else there is for it, same checkpoint, same files, in one run.

Ours index into a new collection on the disk; the peers give an array. Each peer gets its fastest batch size, found before the
rounds. The tower alone and decoding alone, each given the whole machine, say what end to end can be: both must be done with the
same cores, so no more than 1 / (1 / tower + 1 / decoding).
"""

import argparse
import os
import shutil
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import checkpoint
import glimpse
import graphs
import indexers
import measure
import pictures
from glimpse import sources
from glimpse.values import Pixels, Rows, Selection
from glimpse.workers.events import Frame, Task
from glimpse.workers.pool import Pool
from glimpse.workers.recipe import Recipe
from indexers import Index, Tower
from measure import Agreement, Comparison, Result, Work

UNIT = "images/s"
BATCHES = (8, 16, 32)
TRIED = 64  # pictures that a peer's way is chosen by
AS_IT_COMES, BEST, BEST_FLOAT32 = (
    5.0,
    1.7,
    1.3,
)  # how many times as fast as sentence-transformers, and as the best peers
SHARE = 0.9  # of what tower and decoding allow
CLOSE = 0.99  # cosine: our pictures may be decoded at a smaller scale
GLIMPSE, DECODING = "glimpse", "decoding alone"
SENTENCE, INT8 = "sentence-transformers float32", "ONNX Runtime int8"

Times = Mapping[str, Sequence[float]]


def main() -> None:
    asked = _arguments()
    measure.require_peers()
    measure.prepare()
    folder, paths = checkpoint.make(asked.model), pictures.take(asked.count, asked.pictures)
    encoders = _encoders(folder)
    peers = _peers(folder, paths[:TRIED], asked)
    with tempfile.TemporaryDirectory(dir=measure.bench_folder()) as place:
        files = _copied(paths, Path(place))
        times = measure.in_turn(_contestants(encoders, peers, files), asked.rounds)
        agreements = _agreements(encoders | _exact(folder), peers, files, own=asked.pictures is not None)
    measure.finish(
        Result(
            question=checkpoint.result_name("indexing", asked.model),
            setup=_setup(asked, len(paths)),
            figures=[measure.rate_figure(name, UNIT, taken, len(paths)) for name, taken in times.items()],
            comparisons=[*_comparisons(times, list(peers), len(paths)), *_shares(times, list(encoders), len(paths))],
            agreements=agreements,
            peer="the other",
        ),
        keep=asked.keep,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=checkpoint.DEFAULT, choices=checkpoint.SIZES)
    parser.add_argument("--pictures", type=Path, help="a folder of your own JPEGs; default: generated ones")
    parser.add_argument("--count", type=int, default=400, help="how many pictures")
    parser.add_argument(
        "--batches", type=int, nargs="+", default=BATCHES, help="batch sizes that the peers may choose from"
    )
    parser.add_argument("--no-compile", dest="compiled", action="store_false", help="leave torch.compile out")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-keep", dest="keep", action="store_false", help="print only, write no results")
    return parser.parse_args()


def _setup(asked: argparse.Namespace, count: int) -> dict[str, Any]:
    import peer

    own = "own JPEGs" if asked.pictures else "generated 640 × 480 JPEGs"
    return {"model": asked.model, "pictures": f"{count} {own}", "rounds": asked.rounds, "torch threads": peer.threads()}


def _copied(paths: Sequence[Path], folder: Path) -> list[Path]:
    """The files in a folder that has no others."""
    return [Path(shutil.copy(path, folder / f"{place:06}.jpg")) for place, path in enumerate(paths)]


def _exact(folder: Path) -> dict[str, glimpse.Encoder]:
    """Ours without short cuts, to show that the same is computed; no speed is measured of it."""
    return {"float32, exact": glimpse.load(folder, precision="float32", fidelity="exact")}


# Contestants ----------------------------------------------------------------------------------------------------------


def _encoders(folder: Path) -> dict[str, glimpse.Encoder]:
    """Ours, the default precision first."""
    default = glimpse.load(folder)
    return {default.precision: default, "float32": glimpse.load(folder, precision="float32")}


def _peers(folder: Path, some: Sequence[Path], asked: argparse.Namespace) -> dict[str, Index]:
    """All that are installed, by name and precision; in the batch size that suits them."""
    found: dict[str, Index] = {}
    if measure.installed("sentence_transformers"):
        for precision in ("float32", "bfloat16"):
            found[f"sentence-transformers {precision}"] = indexers.sentence_transformers(folder, precision)
    towers = {f"transformers {name}": partial(indexers.transformers, folder, name) for name in ("float32", "bfloat16")}
    if asked.compiled:
        towers["torch.compile bfloat16"] = partial(indexers.transformers, folder, "bfloat16", compiled=True)
    if measure.installed("onnxruntime"):
        towers["ONNX Runtime float32"] = partial(indexers.onnx_runtime, graphs.float32(folder))
        towers[INT8] = partial(indexers.onnx_runtime, graphs.int8(folder))
    for name, load in towers.items():
        found |= _best_way(name, load(), some, asked.batches)
    if measure.installed("fastembed"):
        found["fastembed float32"] = indexers.fastembed(graphs.of_transformers(folder))
    return found


def _best_way(name: str, tower: Tower, some: Sequence[Path], batches: Sequence[int]) -> dict[str, Index]:
    """A peer in the way that is its fastest, which its name says: the size of batches, and whether it decodes ahead."""
    ways = {
        f"{name}, batches of {batch}{', decoded ahead' if ahead else ''}": partial(
            indexers.in_threads, tower=tower, batch=batch, ahead=ahead
        )
        for batch in batches
        for ahead in (False, True)
    }
    chosen = measure.fastest(measure.in_turn({way: partial(index, some) for way, index in ways.items()}, 1))
    return {chosen: ways[chosen]}


def _contestants(
    encoders: Mapping[str, glimpse.Encoder], peers: Mapping[str, Index], files: Sequence[Path]
) -> dict[str, Work]:
    default = next(iter(encoders.values()))
    prepared = np.stack(_decoded(default, files))
    return {
        **{_ours(name): partial(_index, encoder, files[0].parent) for name, encoder in encoders.items()},
        **{name: partial(index, files) for name, index in peers.items()},
        **{_tower(name): partial(encoder.embed, prepared) for name, encoder in encoders.items()},
        DECODING: partial(_decoded, default, files),
    }


def _ours(precision: str) -> str:
    return f"{GLIMPSE} {precision}"


def _tower(precision: str) -> str:
    return f"{GLIMPSE} {precision}, tower alone"


def _index(encoder: glimpse.Encoder, folder: Path) -> Rows:
    """Index a folder into a new collection; rows in the order of keys."""
    with (
        tempfile.TemporaryDirectory(dir=measure.bench_folder()) as place,
        glimpse.Collection(Path(place) / "photos.db", encoder) as collection,
    ):
        report = collection.index(folder)
        if report.failures:
            raise RuntimeError(f"{report}: these pictures cannot be compared")
        return collection.vectors()[1]


def _decoded(encoder: glimpse.Encoder, files: Sequence[Path]) -> list[Pixels]:
    """What indexing does before the tower, by as many workers as there are cores, and nothing else at the same time."""
    rules = encoder.card.pixels
    folder = os.fspath(files[0].parent)
    items = sources.of_place(folder).items(folder, Selection())
    with Pool(Recipe(rules.size, rules, parity=encoder.parity, fidelity=encoder.fidelity)) as pool:
        return [event.pixels for event in pool.run(map(Task, items)) if isinstance(event, Frame)]


# What was found -------------------------------------------------------------------------------------------------------


def _comparisons(times: Times, peers: Sequence[str], count: int) -> list[Comparison]:
    """Ours in the default precision beside every peer, and in float32 beside the best in float32."""
    default = next(iter(times))
    best = measure.fastest({name: times[name] for name in peers if not name.startswith(INT8)})
    exact = measure.fastest({name: times[name] for name in peers if " float32" in name})
    found: dict[tuple[str, str], float | None] = {(default, name): None for name in peers}
    targets = {(default, best): BEST, (_ours("float32"), exact): BEST_FLOAT32}
    if SENTENCE in times:
        targets[default, SENTENCE] = AS_IT_COMES
    return [_comparison(*pair, times, count, target) for pair, target in (found | targets).items()]


def _comparison(ours: str, theirs: str, times: Times, count: int, target: float | None) -> Comparison:
    rates = {name: measure.rates(times[name], count) for name in (ours, theirs)}
    return _ratio(f"files to vectors, {ours.removeprefix(f'{GLIMPSE} ')}", rates[ours], rates[theirs], theirs, target)


def _shares(times: Times, precisions: Sequence[str], count: int) -> list[Comparison]:
    """How much of what tower and decoding allow is reached, round by round."""
    found = []
    for precision in precisions:
        pairs = zip(times[_tower(precision)], times[DECODING], strict=True)
        possible = [count / (tower + decoding) for tower, decoding in pairs]
        reached = measure.rates(times[_ours(precision)], count)
        what, other = f"end to end as a share, {precision}", "1 / (1 / tower + 1 / decoding)"
        found.append(_ratio(what, reached, possible, other, SHARE))
    return found


def _ratio(what: str, ours: Sequence[float], theirs: Sequence[float], peer_is: str, target: float | None) -> Comparison:
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    middles = statistics.median(ours), statistics.median(theirs)
    return Comparison(what, UNIT, *middles, peer_is, statistics.median(ratios), ratios, target)


def _agreements(
    encoders: Mapping[str, glimpse.Encoder], peers: Mapping[str, Index], files: Sequence[Path], *, own: bool
) -> list[Agreement]:
    """Hold everybody's rows against transformers' in float32.

    Of one's own files they may differ: glimpse turns pictures upright and follows colour profiles.
    """
    rows = {_ours(name): _index(encoder, files[0].parent) for name, encoder in encoders.items()}
    rows |= {name: index(files) for name, index in peers.items()}
    exact = next(found for name, found in rows.items() if name.startswith("transformers float32"))
    return [
        Agreement(name, measure.lowest_cosine(found, exact), None if own else _floor(name))
        for name, found in rows.items()
    ]


def _floor(name: str) -> float | None:
    """What a contestant computes as the reference does; in lower precisions, how close it comes is for information."""
    if " float32" not in name:
        return None
    return CLOSE if name == _ours("float32") else measure.SAME


if __name__ == "__main__":
    main()
