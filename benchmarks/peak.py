"""How close to the processor's limit the image tower comes: its arithmetic a second beside that of plain matrix products.

A tower is nearly all matrix products, so no engine that computes in the same precision can be much faster than those; the
best product of torch's and NumPy's, in the same run, stands for the limit. What a tower would reach at that speed bounds every
ratio in `encoder.py`.
"""

import argparse
import statistics
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

import checkpoint
import glimpse
import measure
from glimpse.values import ModelCard
from measure import Comparison, Figure, Result, Work

UNIT = "GFLOP/s"
SIDE = 3072  # of the square matrices: as wide as the widest layer of a ViT-B
PICTURES = 64
PEER_BATCH = 16


def main() -> None:
    asked = _arguments()
    measure.require_peers()
    measure.prepare()
    folder = checkpoint.make(asked.model)
    encoders = {name: glimpse.load(folder, precision=name) for name in _precisions(folder)}
    flops = PICTURES * tower_flops(encoders["float32"].card)
    times = measure.in_turn(_products() | _towers(folder, encoders), asked.rounds)
    figures = {name: _figure(name, taken, 2 * SIDE**3 if "product" in name else flops) for name, taken in times.items()}
    measure.finish(
        Result(
            question=checkpoint.result_name("peak", asked.model),
            setup={"model": asked.model, "matrices": f"{SIDE} × {SIDE}", "rounds": asked.rounds},
            figures=list(figures.values()),
            comparisons=[_share(name, figures) for name in encoders],
        ),
        keep=asked.keep,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=checkpoint.DEFAULT, choices=checkpoint.SIZES)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-keep", dest="keep", action="store_false", help="print only, write no results")
    return parser.parse_args()


def _precisions(folder: object) -> Sequence[str]:
    return list(dict.fromkeys(["float32", glimpse.load(str(folder)).precision]))


def tower_flops(card: ModelCard) -> float:
    """Multiplications and additions for one picture, of every token in every block."""
    shape, patches = card.image, (card.pixels.size // card.patch) ** 2
    tokens, width = patches + 1, shape.width
    block = tokens * (4 * width * width + 2 * width * shape.mlp) + 2 * tokens * tokens * width
    return 2.0 * (patches * card.patch**2 * 3 * width + shape.layers * block + width * card.dim)


def _products() -> dict[str, Work]:
    import torch

    a, b = np.random.default_rng(0).standard_normal((2, SIDE, SIDE), np.float32)
    found: dict[str, Work] = {"NumPy product, float32": partial(np.matmul, a, b)}
    for name in ("float32", "bfloat16"):
        kind = getattr(torch, name)
        found[f"torch product, {name}"] = partial(
            torch.matmul, torch.tensor(a, dtype=kind), torch.tensor(b, dtype=kind)
        )
    return found


def _towers(folder: object, encoders: Mapping[str, glimpse.Encoder]) -> dict[str, Work]:
    import peer

    card = encoders["float32"].card
    side = card.pixels.size
    pixels = np.random.default_rng(0).integers(0, 256, (PICTURES, side, side, 3), np.uint8)
    found: dict[str, Work] = {
        f"glimpse tower, {name}": partial(encoder.embed, pixels) for name, encoder in encoders.items()
    }
    for name in ("float32", "bfloat16"):
        other = peer.load(folder, name)
        values = other.values(pixels)
        found[f"transformers tower, {name}"] = partial(other.embed, values, PEER_BATCH)
    return found


def _figure(name: str, times: Sequence[float], flops: float) -> Figure:
    reached = [flops / time / 1e9 for time in times]
    return Figure(name, UNIT, statistics.median(reached), reached)


def _share(precision: str, figures: Mapping[str, Figure]) -> Comparison:
    """What share of the fastest product's speed our tower has."""
    products = [figure for name, figure in figures.items() if "product" in name and name.endswith(precision)]
    best, ours = max(products, key=lambda one: one.median), figures[f"glimpse tower, {precision}"]
    ratios = [mine / limit for mine, limit in zip(ours.rounds, best.rounds, strict=True)]
    return Comparison(
        f"tower against matrix product, {precision}",
        UNIT,
        ours.median,
        best.median,
        best.what,
        statistics.median(ratios),
        ratios,
    )


if __name__ == "__main__":
    main()
