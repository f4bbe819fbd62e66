"""How long a JPEG takes to become the model's input, by its size: ours beside Pillow's decoding in full and the same resize.

Both in one thread, from bytes in memory, in turn. The pictures are generated ones, blown up, with the grain of a sensor: without it
files would be smaller than photographs' are, and quicker to read.
"""

import argparse
import io
import statistics
from collections.abc import Sequence
from functools import partial

import numpy as np
from PIL import Image

import measure
import pictures
from fidelity import QUALITY, blown_up
from glimpse import inputs, pixels
from glimpse.values import Least, PixelRules
from measure import Comparison, Result

UNIT = "images/s"
MEGAPIXELS = (0.3, 2.0, 12.0, 24.0)
RULES = PixelRules(size=224, resize_to=224)  # a ViT-B/32's
GRAIN = 1.5  # in levels of 255: 12 megapixels take some 2 MB then
TARGETS = {12.0: 4.0}


def main() -> None:
    asked = _arguments()
    measure.prepare()
    paths = pictures.take(asked.count)
    comparisons = []
    for size in MEGAPIXELS:
        files = [grainy(blown_up(path, int(size * 1e6)), seed) for seed, path in enumerate(paths)]
        comparisons.append(_comparison(size, files, asked.rounds))
    measure.finish(
        Result(
            question="decode",
            setup={"pictures": f"{len(paths)} of each size", "side": RULES.size, "rounds": asked.rounds},
            comparisons=comparisons,
            peer="Pillow",
        ),
        keep=asked.keep,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=4, help="how many pictures of each size")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--no-keep", dest="keep", action="store_false", help="print only, write no results")
    return parser.parse_args()


def grainy(file: bytes, seed: int) -> bytes:
    """The same picture with noise in all of its pixels."""
    picture = np.asarray(Image.open(io.BytesIO(file)), np.float32)
    noise = np.random.default_rng(seed).normal(0, GRAIN, (*picture.shape[:2], 1))
    made = io.BytesIO()
    Image.fromarray(np.clip(picture + noise, 0, 255).astype(np.uint8)).save(made, "jpeg", quality=QUALITY)
    return made.getvalue()


def _comparison(size: float, files: Sequence[bytes], rounds: int) -> Comparison:
    contestants = {"ours": partial(_make, files, pixels.least(RULES)), "pillow": partial(_make, files, None)}
    times = measure.in_turn(contestants, rounds)
    ours, theirs = (statistics.median(measure.rates(times[name], len(files))) for name in contestants)
    ratios = measure.speedups(times["ours"], times["pillow"])
    megabytes = sum(map(len, files)) / len(files) / 1e6
    return Comparison(
        what=f"{size:g} megapixels ({megabytes:.1f} MB)",
        unit=UNIT,
        ours=ours,
        peer=theirs,
        peer_is="in full",
        ratio=statistics.median(ratios),
        ratios=ratios,
        target=TARGETS.get(size),
    )


def _make(files: Sequence[bytes], least: Least | None) -> None:
    for file in files:
        picture, shown = inputs.opened(file, least)
        pixels.prepare(picture, RULES, shown=shown)


if __name__ == "__main__":
    main()
