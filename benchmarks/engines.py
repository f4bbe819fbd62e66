"""What each engine and precision of this machine makes of a model: `glimpse verify`'s table, and int8 beside bfloat16 in turn.

The ViT has random weights, the demo model is the bundled one; pictures are generated JPEGs, and the demo's own.
"""

import argparse
import statistics
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

import checkpoint
import glimpse
import measure
import pictures
from glimpse import verify
from glimpse.demo import PICTURES
from glimpse.values import Pixels
from measure import Comparison, Engine, Result

UNIT = "images/s"
TARGET = 1.5  # int8 beside bfloat16, on a processor with VNNI


def main() -> None:
    asked = _arguments()
    measure.prepare()
    folder, paths = checkpoint.make(asked.model), pictures.take(asked.count, None)
    models = {asked.model: (str(folder), paths), "demo": ("demo", sorted(PICTURES.glob("*.jpg")))}
    prepared = {name: _prepared(model, files) for name, (model, files) in models.items()}
    engines = [engine for name, (model, _) in models.items() for engine in _engines(name, model, prepared[name])]
    measure.finish(
        Result(
            question=checkpoint.result_name("engines", asked.model),
            setup={"model": f"{asked.model} (random weights), demo", "pictures": len(paths), "rounds": asked.rounds},
            comparisons=[_int8(str(folder), prepared[asked.model], asked.rounds)],
            engines=engines,
            peer="bfloat16",
        ),
        keep=asked.keep,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=checkpoint.DEFAULT, choices=checkpoint.SIZES)
    parser.add_argument("--count", type=int, default=128, help="how many pictures")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-keep", dest="keep", action="store_false", help="print only, write no results")
    return parser.parse_args()


def _prepared(model: str, files: Sequence[Path]) -> Pixels:
    encoder = glimpse.load(model)
    return np.stack([encoder.prepare(file) for file in files])


def _engines(name: str, model: str, prepared: Pixels) -> list[Engine]:
    trials = [one for one in verify.trials(model, prepared, say=measure.say) if not one.problem]
    return [
        Engine(
            f"{name}: {one.runtime} {one.precision}",
            one.mean,
            one.low,
            one.overlap,
            one.rate,
            one.rate / trials[0].rate,
        )
        for one in trials
    ]


def _int8(model: str, prepared: Pixels, rounds: int) -> Comparison:
    """The two in turn, both ready; verify has calibrated int8."""
    encoders = {name: glimpse.load(model, runtime="openvino", precision=name) for name in ("int8", "bfloat16")}
    times = measure.in_turn({name: partial(one.embed, prepared) for name, one in encoders.items()}, rounds)
    ours, theirs = (statistics.median(measure.rates(times[name], len(prepared))) for name in encoders)
    ratios = measure.speedups(times["int8"], times["bfloat16"])
    return Comparison(
        "int8, towers alone", UNIT, ours, theirs, "openvino bfloat16", statistics.median(ratios), ratios, TARGET
    )


if __name__ == "__main__":
    main()
