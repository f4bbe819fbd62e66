"""How many pictures a second become vectors: glimpse beside transformers, same checkpoint, same files, in one run.

Whole path (JPEG files → unit rows) and towers alone (pixels ready in memory), in float32 and, where the processor computes
it, bfloat16. Of transformers' batch sizes the fastest counts.
"""

import argparse
import statistics
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import checkpoint
import glimpse
import measure
import pictures
from measure import Agreement, Comparison, Figure, Result, Work

UNIT = "images/s"
PEER_BATCHES = (16, 32)
COMPARED = 16  # pictures whose vectors are held against each other
TARGETS = {  # (our precision, the peer's) → how many times as fast, from files
    ("float32", "float32"): 2.5,
    ("bfloat16", "bfloat16"): 1.8,
    ("bfloat16", "float32"): 5.0,
}
STAGES = {"files": "from JPEG files", "towers": "towers alone"}

Times = Mapping[str, Sequence[float]]


def main() -> None:
    asked = _arguments()
    measure.require_peers()
    measure.prepare()
    folder, paths = checkpoint.make(asked.model), pictures.take(asked.count, asked.pictures)
    encoders, peers = _load(folder)
    found = {}
    for stage, contestants in (("files", _from_files), ("towers", _towers_alone)):
        measure.say(STAGES[stage])
        found[stage] = measure.in_turn(contestants(encoders, peers, paths), asked.rounds)
    measure.finish(
        Result(
            question=checkpoint.result_name("encoder", asked.model),
            setup=_setup(asked, len(paths)),
            figures=[figure for stage, times in found.items() for figure in _figures(stage, times, len(paths))],
            comparisons=[one for stage, times in found.items() for one in _comparisons(stage, times, len(paths))],
            agreements=_agreements(encoders, peers, paths[:COMPARED], own=asked.pictures is not None),
        ),
        keep=asked.keep,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=checkpoint.DEFAULT, choices=checkpoint.SIZES)
    parser.add_argument("--pictures", type=Path, help="a folder of your own JPEGs; default: generated ones")
    parser.add_argument("--count", type=int, default=96, help="how many pictures")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-keep", dest="keep", action="store_false", help="print only, write no results")
    return parser.parse_args()


def _setup(asked: argparse.Namespace, count: int) -> dict[str, Any]:
    import peer

    own = "own JPEGs" if asked.pictures else "generated 640 × 480 JPEGs"
    return {"model": asked.model, "pictures": f"{count} {own}", "rounds": asked.rounds, "torch threads": peer.threads()}


def _load(folder: Path) -> tuple[dict[str, glimpse.Encoder], dict[str, Any]]:
    """Ours and theirs, by precision; ours without short cuts, for the same vectors (indexing.py has them as they come)."""
    import peer

    native = glimpse.load(folder).precision
    ours = {name: glimpse.load(folder, precision=name, fidelity="exact") for name in dict.fromkeys(["float32", native])}
    return ours, {name: peer.load(folder, name) for name in ("float32", "bfloat16")}


# Contestants ----------------------------------------------------------------------------------------------------------


def _ours(precision: str) -> str:
    return f"glimpse {precision}"


def _theirs(precision: str, batch: int) -> str:
    return f"transformers {precision}, batches of {batch}"


def _from_files(
    encoders: Mapping[str, glimpse.Encoder], peers: Mapping[str, Any], paths: Sequence[Path]
) -> Mapping[str, Work]:
    ours = {_ours(name): partial(encoder.images, paths) for name, encoder in encoders.items()}
    theirs = {
        _theirs(name, batch): partial(peer.images, paths, batch)
        for name, peer in peers.items()
        for batch in PEER_BATCHES
    }
    return ours | theirs


def _towers_alone(
    encoders: Mapping[str, glimpse.Encoder], peers: Mapping[str, Any], paths: Sequence[Path]
) -> Mapping[str, Work]:
    prepared = np.stack([encoders["float32"].prepare(path) for path in paths])
    ours = {_ours(name): partial(encoder.embed, prepared) for name, encoder in encoders.items()}
    values = {name: peer.prepare(paths) for name, peer in peers.items()}
    theirs = {
        _theirs(name, batch): partial(peer.embed, values[name], batch)
        for name, peer in peers.items()
        for batch in PEER_BATCHES
    }
    return ours | theirs


# What was found -------------------------------------------------------------------------------------------------------


def _figures(stage: str, times: Times, count: int) -> list[Figure]:
    return [measure.rate_figure(f"{name}, {STAGES[stage]}", UNIT, taken, count) for name, taken in times.items()]


def _comparisons(stage: str, times: Times, count: int) -> list[Comparison]:
    pairs = {pair: target for pair, target in TARGETS.items() if _ours(pair[0]) in times}
    return [
        _comparison(stage, *pair, times, count, target if stage == "files" else None) for pair, target in pairs.items()
    ]


def _comparison(stage: str, ours: str, theirs: str, times: Times, count: int, target: float | None) -> Comparison:
    best = measure.fastest({name: times[name] for name in (_theirs(theirs, batch) for batch in PEER_BATCHES)})
    ratios = measure.speedups(times[_ours(ours)], times[best])
    return Comparison(
        what=f"{STAGES[stage]}, {ours} against {theirs}",
        unit=UNIT,
        ours=statistics.median(measure.rates(times[_ours(ours)], count)),
        peer=statistics.median(measure.rates(times[best], count)),
        peer_is=best.removeprefix("transformers "),
        ratio=statistics.median(ratios),
        ratios=ratios,
        target=target,
    )


def _agreements(
    encoders: Mapping[str, glimpse.Encoder], peers: Mapping[str, Any], paths: Sequence[Path], *, own: bool
) -> list[Agreement]:
    """Hold vectors of the same files, and of the same pixels, against transformers' in float32.

    From one's own files vectors may differ: glimpse turns pictures upright and follows colour profiles.
    """
    exact = peers["float32"]
    values = exact.prepare(paths)
    prepared = np.stack([encoders["float32"].prepare(path) for path in paths])
    rows = exact.embed(values, COMPARED)
    found = []
    for name, encoder in encoders.items():
        floor = measure.SAME if name == "float32" else None
        from_files = measure.lowest_cosine(encoder.images(paths), rows)
        found.append(Agreement(f"{name}, {STAGES['files']}", from_files, None if own else floor))
        if not own:
            found.append(
                Agreement(f"{name}, {STAGES['towers']}", measure.lowest_cosine(encoder.embed(prepared), rows), floor)
            )
    half = peers["bfloat16"]
    theirs = measure.lowest_cosine(half.embed(values.to(half.dtype), COMPARED), rows)
    return [*found, Agreement("transformers' own bfloat16, for comparison", theirs)]


if __name__ == "__main__":
    main()
