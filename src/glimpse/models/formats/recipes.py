"""What the layouts share: recipes for canonical weights, and a checkpoint that has been held against them."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from glimpse.errors import CheckpointError, ModelUnsupported
from glimpse.layouts import Layout
from glimpse.models.formats.tensors import Tensors
from glimpse.runtimes import Array
from glimpse.values import ModelCard, PixelRules, TowerShape

__all__ = ["Config", "Kind", "Layout", "Model", "Recipe", "Recipes", "Source"]

Config = Mapping[str, Any]
Kind = Literal["image", "text"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one canonical weight is made: from which tensors, of which shapes, and by what."""

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    make: Callable[[Sequence[Array]], Array]


Recipes = Mapping[Kind, Mapping[str, Recipe]]


@dataclass(frozen=True, slots=True)
class Source:
    """A checkpoint to be read: where it is, what its config says, and its tensors."""

    layout: Layout
    folder: Path
    name: str
    config: Config
    files: tuple[Path, ...]
    tensors: Tensors

    def number(self, name: str) -> float:
        """A tensor that is a single number.

        Raises:
            CheckpointError: there is none.
        """
        if name not in self.tensors.shapes:
            raise CheckpointError(f"{self.files[0]} has no tensor {name}: it is incomplete, or not the model it says")
        return float(self.tensors.read(name).reshape(-1)[0])

    def logit_scale(self) -> float:
        """What cosines are multiplied by; checkpoints keep its logarithm."""
        return math.exp(self.number("logit_scale"))

    def logit_bias(self) -> float | None:
        """What is added before a sigmoid; None where the checkpoint has none."""
        return self.number("logit_bias") if "logit_bias" in self.tensors.shapes else None

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor from which a size is taken that no config has.

        Raises:
            CheckpointError: there is no such tensor.
        """
        if name not in self.tensors.shapes:
            raise CheckpointError(f"{self.files[0]} has no tensor {name}: it is incomplete, or not the model it says")
        return self.tensors.shapes[name]


@dataclass(frozen=True, slots=True)
class Model:
    """A checkpoint that has been checked: its card, and its weights when they are asked for.

    Attributes:
        card: what it is.
        files: that decide its vectors.
        tensors: of its files.
        recipes: how its weights are made of them.
        graphs: ONNX files that are its towers, in place of tensors and recipes.
        words: the folder of its tokenizer.
    """

    card: ModelCard
    files: tuple[Path, ...]
    tensors: Tensors
    recipes: Recipes
    graphs: Mapping[Kind, Path]
    words: Path

    def weights(self, kind: Kind) -> dict[str, Array]:
        """The canonical float32 weights of one tower."""
        return {
            name: recipe.make([self.tensors.read(source) for source in recipe.names])
            for name, recipe in self.recipes[kind].items()
        }


def checked(source: Source, card: ModelCard, recipes: Recipes) -> Model:
    """Hold every recipe against the tensors there are."""
    file, shapes = source.files[0], source.tensors.shapes
    for recipe in (recipe for tower in recipes.values() for recipe in tower.values()):
        for name, expected in zip(recipe.names, recipe.shapes, strict=True):
            found = shapes.get(name)
            if found is None:
                raise CheckpointError(f"{file} has no tensor {name}: it is incomplete, or not the model it says")
            if found != expected:
                raise CheckpointError(f"{file}: tensor {name} has shape {found}, its config says {expected}")
    _refuse_unread(source, recipes)
    return Model(card, source.files, source.tensors, recipes, {}, source.folder)


def _refuse_unread(source: Source, recipes: Recipes) -> None:
    """Refuse a checkpoint whose towers have weights that ours do not read: it would compute something else."""
    read = {name for tower in recipes.values() for recipe in tower.values() for name in recipe.names}
    for name in sorted(source.tensors.shapes.keys() - read):
        if name.startswith(_TOWERS) and name.endswith(_WEIGHTS) and ".pooler." not in name:
            raise ModelUnsupported(f"{source.files[0]} has weights that the towers of glimpse do not use ({name})")


_TOWERS = ("visual.", "text.", "transformer.", "vision_model.", "text_model.")
_WEIGHTS = ("weight", "bias", "gamma")  # not position_ids, attn_mask, num_batches_tracked


# Recipes --------------------------------------------------------------------------------------------------------------


def same(name: str, *shape: int) -> Recipe:
    """Take a tensor as it is."""
    return Recipe((name,), (shape,), lambda sources: sources[0])


def turned(name: str, *shape: int) -> Recipe:
    """Turn a matrix round: (a, b) on disk → (b, a)."""
    return Recipe((name,), (shape,), lambda sources: np.ascontiguousarray(sources[0].T))


def reshaped(name: str, shape: tuple[int, ...], to: tuple[int, ...]) -> Recipe:
    """Take a tensor with axes left out, or put in."""
    return Recipe((name,), (shape,), lambda sources: sources[0].reshape(to))


def joined(names: Sequence[str], *shape: int) -> Recipe:
    """Put tensors of one shape one after the other along their first axis."""
    return Recipe(tuple(names), (shape,) * len(names), np.concatenate)


def pair(to: str, name: str, *shape: int) -> dict[str, Recipe]:
    """Weight (out, in) and bias (out) of a linear layer, or of a layer norm (width)."""
    return {f"{to}.weight": same(f"{name}.weight", *shape), f"{to}.bias": same(f"{name}.bias", shape[0])}


def patches(card: ModelCard, weight: str, bias: str | None = None) -> dict[str, Recipe]:
    """The convolution (width, 3, patch, patch) that cuts a picture into patches, with 1/255, mean and std folded into it."""
    shape = (card.image.width, 3, card.patch, card.patch)
    names, shapes = ((weight,), (shape,)) if bias is None else ((weight, bias), (shape, shape[:1]))
    return {
        "image.patch.weight": Recipe((weight,), (shape,), partial(patch_weight, card.pixels)),
        "image.patch.bias": Recipe(names, shapes, partial(patch_bias, card.pixels)),
    }


def patch_weight(rules: PixelRules, sources: Sequence[Array]) -> Array:
    """Fold 1/255 and std into the convolution, so that the tower takes raw uint8: → (patch, patch, 3, width)."""
    scaled = sources[0] / (255.0 * np.array(rules.std).reshape(1, 3, 1, 1))
    return np.ascontiguousarray(scaled.transpose(2, 3, 1, 0), np.float32)


def patch_bias(rules: PixelRules, sources: Sequence[Array]) -> Array:
    """What subtracting the mean comes to, for every output of the convolution, and its own bias: → (width,)."""
    shift = np.array(rules.mean) / np.array(rules.std)
    own = sources[1] if len(sources) > 1 else 0.0
    return np.asarray(own - sources[0].astype(np.float64).sum((2, 3)) @ shift, np.float32)


def query(sources: Sequence[Array]) -> Array:
    """What a learnt query (1, 1, width) becomes by its projection, the same for every picture: → (width,).

    The projection may have those of keys and values after its own.
    """
    probe, weight, bias = sources
    width = probe.shape[-1]
    return np.asarray(weight[:width].astype(np.float64) @ probe.reshape(-1) + bias[:width], np.float32)


@dataclass(frozen=True, slots=True)
class BlockNames:
    """What a layout calls the parts of a block; queries, keys and values are one tensor, or three to be joined.

    In a name of `qkv`, {} stands for "weight" or "bias".
    """

    norm1: str
    qkv: tuple[str, ...]
    out: str
    norm2: str
    up: str
    down: str


def blocks(to: str, at: str, shape: TowerShape, names: BlockNames) -> dict[str, Recipe]:
    """All blocks of one tower: `to` begins the canonical names, `at` stands before a block's number on disk."""
    found: dict[str, Recipe] = {}
    for i in range(shape.layers):
        found |= block(f"{to}.{i}", f"{at}.{i}", shape, names)
    return found


def block(to: str, at: str, shape: TowerShape, names: BlockNames) -> dict[str, Recipe]:
    """One block."""
    width, mlp = shape.width, shape.mlp
    rows = 3 * width // len(names.qkv)
    weights = [f"{at}.{name.format('weight')}" for name in names.qkv]
    biases = [f"{at}.{name.format('bias')}" for name in names.qkv]
    return {
        **pair(f"{to}.norm1", f"{at}.{names.norm1}", width),
        f"{to}.qkv.weight": joined(weights, rows, width),
        f"{to}.qkv.bias": joined(biases, rows),
        **pair(f"{to}.out", f"{at}.{names.out}", width, width),
        **pair(f"{to}.norm2", f"{at}.{names.norm2}", width),
        **pair(f"{to}.up", f"{at}.{names.up}", mlp, width),
        **pair(f"{to}.down", f"{at}.{names.down}", width, mlp),
    }


def three(values: Sequence[float]) -> tuple[float, float, float]:
    """The numbers of three channels."""
    red, green, blue = map(float, values)
    return red, green, blue
