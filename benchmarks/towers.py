"""How many pictures a second the image tower alone embeds, by how many it is given at a time: pixels ready in memory.

glimpse beside transformers on torch and ONNX Runtime, in every precision that a library has; int8 was calibrated, or quantised, before.
"""

import argparse
import statistics
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

import checkpoint
import glimpse
import graphs
import indexers
import measure
from glimpse.errors import UsageError
from glimpse.values import Pixels
from indexers import Tower
from measure import Comparison, Result

UNIT = "images/s"
BATCHES = (1, 4, 8, 16, 32, 64)
PRECISIONS = ("bfloat16", "float32", "int8")

Times = Mapping[str, Sequence[float]]


def main() -> None:
    asked = _arguments()
    measure.require_peers()
    measure.prepare()
    folder = checkpoint.make(asked.model)
    side = glimpse.load(folder).card.pixels.size
    pixels = np.random.default_rng(0).integers(0, 256, (asked.count, side, side, 3), np.uint8)
    ours, theirs = _ours(folder, pixels), _theirs(folder)
    figures, comparisons = [], []
    for batch in asked.batches:
        measure.say(f"{batch} at a time")
        work = {name: partial(_embed, tower, pixels, batch) for name, tower in (ours | theirs).items()}
        times = measure.in_turn(work, asked.rounds)
        figures += [
            measure.rate_figure(f"{name}, {batch} at a time", UNIT, of, asked.count) for name, of in times.items()
        ]
        comparisons += _comparisons(times, ours, batch, asked.count)
    measure.finish(
        Result(
            question=checkpoint.result_name("towers", asked.model),
            setup={"model": asked.model, "pictures": asked.count, "rounds": asked.rounds},
            figures=figures,
            comparisons=comparisons,
            peer="the best of the others",
        ),
        keep=asked.keep,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=checkpoint.DEFAULT, choices=checkpoint.SIZES)
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES)
    parser.add_argument("--count", type=int, default=64, help="how many pictures in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-keep", dest="keep", action="store_false", help="print only, write no results")
    return parser.parse_args()


def _ours(folder: Path, pixels: Pixels) -> dict[str, Tower]:
    """In every precision that the processor has."""
    found: dict[str, Tower] = {}
    for precision in PRECISIONS:
        try:
            encoder = glimpse.load(folder, precision=precision)
        except UsageError as error:
            measure.say(str(error))
            continue
        if precision == "int8" and not encoder.calibrated:
            encoder.calibrate_prepared(pixels[:64])
        found[f"glimpse {precision}"] = encoder.embed
    return found


def _theirs(folder: Path) -> dict[str, Tower]:
    found = {f"transformers {name}": indexers.transformers(folder, name) for name in ("bfloat16", "float32")}
    if measure.installed("onnxruntime"):
        found["ONNX Runtime float32"] = indexers.onnx_runtime(graphs.float32(folder))
        found["ONNX Runtime int8"] = indexers.onnx_runtime(graphs.int8(folder))
    return found


def _embed(tower: Tower, pixels: Pixels, batch: int) -> None:
    for start in range(0, len(pixels), batch):
        tower(pixels[start : start + batch])


def _comparisons(times: Times, ours: Mapping[str, Tower], batch: int, count: int) -> list[Comparison]:
    """Each of our precisions beside the fastest of the others in the same."""
    found = []
    for name in ours:
        precision = name.rpartition(" ")[2]
        others = {other: of for other, of in times.items() if other not in ours and other.endswith(precision)}
        if others:
            best = measure.fastest(others)
            rates = [statistics.median(measure.rates(times[one], count)) for one in (name, best)]
            ratios = measure.speedups(times[name], times[best])
            what = f"{precision}, {batch} at a time"
            found.append(Comparison(what, UNIT, rates[0], rates[1], best, statistics.median(ratios), ratios))
    return found


if __name__ == "__main__":
    main()
