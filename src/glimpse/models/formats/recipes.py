"""What the layouts share: recipes for canonical weights, and a checkpoint that has been held against them."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from glimpse.errors import CheckpointError
from glimpse.models import clip
from glimpse.models.formats.tensors import Tensors
from glimpse.runtimes import Array
from glimpse.values import ModelCard, PixelRules

Config = Mapping[str, Any]
Kind = Literal["image", "text"]
KINDS: tuple[Kind, Kind] = ("image", "text")


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one canonical weight is made: from which tensors, each of which shape, and by what."""

    names: tuple[str, ...]
    shape: tuple[int, ...]
    make: Callable[[Sequence[Array]], Array]


@dataclass(frozen=True, slots=True)
class Model:
    """A checkpoint that has been checked: its card, and its weights when they are asked for."""

    card: ModelCard
    files: tuple[Path, ...]
    tensors: Tensors
    recipes: Mapping[Kind, Mapping[str, Recipe]]

    def weights(self, kind: Kind) -> dict[str, Array]:
        """The canonical float32 weights of one tower."""
        return {
            name: recipe.make([self.tensors.read(source) for source in recipe.names])
            for name, recipe in self.recipes[kind].items()
        }


def checked(
    card: ModelCard, files: tuple[Path, ...], tensors: Tensors, recipes: Mapping[Kind, Mapping[str, Recipe]]
) -> Model:
    """Hold every recipe against the tensors there are."""
    for recipe in (recipe for tower in recipes.values() for recipe in tower.values()):
        for name in recipe.names:
            found = tensors.shapes.get(name)
            if found is None:
                raise CheckpointError(f"{files[0]} has no tensor {name}: it is incomplete, or not the model it says")
            if found != recipe.shape:
                raise CheckpointError(f"{files[0]}: tensor {name} has shape {found}, its config says {recipe.shape}")
    return Model(card, files, tensors, recipes)


def logit_scale(tensors: Tensors, files: tuple[Path, ...]) -> float:
    """What cosines are multiplied by; checkpoints keep its logarithm."""
    if "logit_scale" not in tensors.shapes:
        raise CheckpointError(f"{files[0]} has no tensor logit_scale: it is incomplete, or not the model it says")
    return math.exp(float(tensors.read("logit_scale").reshape(-1)[0]))


def same(sources: Sequence[Array]) -> Array:
    """Take a tensor as it is."""
    return sources[0]


def transposed(sources: Sequence[Array]) -> Array:
    """Turn a matrix round."""
    return np.ascontiguousarray(sources[0].T)


def joined(sources: Sequence[Array]) -> Array:
    """Put tensors one after the other along their first axis."""
    return np.concatenate(sources)


def _patch_weight(rules: PixelRules, sources: Sequence[Array]) -> Array:
    """Fold 1/255 and std into the convolution, so that the tower takes raw uint8: → (patch, patch, 3, width)."""
    scaled = sources[0] / (255.0 * np.array(rules.std).reshape(1, 3, 1, 1))
    return np.ascontiguousarray(scaled.transpose(2, 3, 1, 0), np.float32)


def _patch_bias(rules: PixelRules, sources: Sequence[Array]) -> Array:
    """What subtracting the mean comes to, for every output of the convolution: → (width,)."""
    shift = np.array(rules.mean) / np.array(rules.std)
    return np.asarray(-(sources[0].astype(np.float64).sum((2, 3)) @ shift), np.float32)


def block_recipes(card: ModelCard, kind: Kind, at: str, names: Mapping[str, Sequence[str]]) -> dict[str, Recipe]:
    """The blocks of one tower: `at` is what stands before a block's number, `names` gives the tensors of each weight.

    In a name, {} stands for "weight" or "bias"; several tensors are joined.
    """
    shapes = clip.tower_shapes(card, kind)
    found: dict[str, Recipe] = {}
    for i in range((card.image if kind == "image" else card.text).layers):
        for part in ("weight", "bias"):
            for to, sources in names.items():
                first, *rest = shapes[f"{kind}.{i}.{to}.{part}"]
                tensors = tuple(f"{at}.{i}.{name.format(part)}" for name in sources)
                make = joined if len(tensors) > 1 else same
                found[f"{kind}.{i}.{to}.{part}"] = Recipe(tensors, (first // len(tensors), *rest), make)
    return found


def end_recipes(card: ModelCard, kind: Kind, names: Mapping[str, str]) -> dict[str, Recipe]:
    """What stands before and after the blocks, under its canonical names."""
    shapes = clip.tower_shapes(card, kind)
    found = {to: Recipe((name,), shapes[to], same) for to, name in names.items() if to in shapes}
    if kind == "image":
        conv = ((names["image.patch"],), (card.image.width, 3, card.patch, card.patch))
        found["image.patch.weight"] = Recipe(*conv, partial(_patch_weight, card.pixels))
        found["image.patch.bias"] = Recipe(*conv, partial(_patch_bias, card.pixels))
    return found


def three(values: Sequence[float]) -> tuple[float, float, float]:
    """The numbers of three channels."""
    red, green, blue = map(float, values)
    return red, green, blue
