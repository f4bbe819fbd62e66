"""The image towers of EVA-CLIP (Sun et al., 2023, arXiv 2303.15389), beside CLIP's text tower.

EVA01-g has a plain ViT; EVA02-B and -L have rotary positions and gated perceptrons, each with a layer norm inside; EVA02-E
norms what a block adds, after it. Follows timm's Eva as open_clip holds it. Which of them a checkpoint is, the names of its
weights say.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from glimpse.models import _rotary
from glimpse.models._transformer import Weights, block, perceptron, project, text_tower
from glimpse.models.formats import open_clip
from glimpse.models.formats.recipes import (
    BlockNames,
    Layout,
    Recipe,
    Recipes,
    Source,
    pair,
    same,
)
from glimpse.runtimes import Array, Ops, Tensor
from glimpse.values import ModelCard

__all__ = ["card", "claims", "image_tower", "recipes", "text_tower"]

_EPS = 1e-6
_TRAINED_AT = 16  # patches along a side, which rotary positions are stretched to
_GATED = BlockNames("norm1", (), "attn.proj", "norm2", "mlp.fc1_x", "mlp.fc2")


def image_tower(ops: Ops, w: Weights, card: ModelCard, pixels: Tensor) -> Tensor:
    """Embed pictures: uint8 (n, size, size, 3) → (n, dim) unit rows. Mean and std are folded into the patch weights."""
    x = ops.patchify(pixels, w["image.patch.weight"], w["image.patch.bias"], card.patch)  # (n, patches, width)
    x = ops.add(ops.prepend(w["image.class"], x), w["image.positions"])  # (n, 1 + patches, width)
    rotary = _positions(card)
    for i in range(card.image.layers):
        x = _block(ops, w, f"image.{i}", card, x, rotary)
    x = ops.layer_norm(ops.take(x, 0), w["image.after.weight"], w["image.after.bias"], card.image.eps)
    return ops.unit(project(ops, w, "image", x))


def _positions(card: ModelCard) -> Array:
    side = card.pixels.size // card.patch
    rows, columns = (place / side * _TRAINED_AT for place in _rotary.grid(side))
    return _rotary.table(rows, columns, card.image.width // card.image.heads, prefix=1)


def _block(ops: Ops, w: Weights, at: str, card: ModelCard, x: Tensor, rotary: Array) -> Tensor:
    if f"{at}.gate.weight" in w:
        return _gated(ops, w, at, card, x, rotary)
    if f"{at}.post1.weight" in w:
        return _post_norm(ops, w, at, card, x)
    return block(ops, w, at, card.image, x)


def _gated(ops: Ops, w: Weights, at: str, card: ModelCard, x: Tensor, rotary: Array) -> Tensor:
    """A block with rotary positions, SwiGLU (Shazeer, 2020) and a layer norm inside both of its halves."""

    def norm(name: str, y: Tensor) -> Tensor:
        return ops.layer_norm(y, w[f"{at}.{name}.weight"], w[f"{at}.{name}.bias"], card.image.eps)

    def linear(name: str, y: Tensor) -> Tensor:
        return ops.linear(y, w[f"{at}.{name}.weight"], w[f"{at}.{name}.bias"])

    y = ops.attention(linear("qkv", norm("norm1", x)), card.image.heads, rotary=rotary)
    x = ops.add(x, linear("out", norm("inner", y)))
    y = norm("norm2", x)
    y = ops.multiply(ops.silu(linear("gate", y)), linear("up", y))
    return ops.add(x, linear("down", norm("middle", y)))


def _post_norm(ops: Ops, w: Weights, at: str, card: ModelCard, x: Tensor) -> Tensor:
    """A block that norms what it adds."""
    y = ops.attention(ops.linear(x, w[f"{at}.qkv.weight"], w[f"{at}.qkv.bias"]), card.image.heads)
    y = ops.linear(y, w[f"{at}.out.weight"], w[f"{at}.out.bias"])
    x = ops.add(x, ops.layer_norm(y, w[f"{at}.post1.weight"], w[f"{at}.post1.bias"], card.image.eps))
    y = perceptron(ops, w, at, card.image, x)
    return ops.add(x, ops.layer_norm(y, w[f"{at}.post2.weight"], w[f"{at}.post2.bias"], card.image.eps))


def claims(layout: Layout, config: Mapping[str, Any]) -> bool:
    """Eva of timm, read at its class token, beside a plain text transformer."""
    return (
        layout == "open_clip"
        and open_clip.timm_image(config, "eva")
        and config["vision_cfg"].get("timm_pool") == "token"
        and open_clip.plain_text(config)
    )


def card(source: Source) -> ModelCard:
    """What the checkpoint is."""
    names = _GATED if _is_gated(source) else open_clip.BLOCK_OF_TIMM
    image = open_clip.timm_shape(source, "gelu", _EPS, names)
    return open_clip.card(source, "eva", patch=open_clip.timm_patch(source), image=image)


def _is_gated(source: Source) -> bool:
    return "visual.trunk.blocks.0.mlp.fc1_g.weight" in source.tensors.shapes


def recipes(source: Source, card: ModelCard) -> Recipes:
    """How each canonical weight is made."""
    image = open_clip.timm_ends(card, bias=True, classes=1) | open_clip.timm_head(card)
    post = "_enormous_" in source.config["model_cfg"]["vision_cfg"]["timm_model_name"]
    for i in range(card.image.layers):
        to, at = f"image.{i}", f"visual.trunk.blocks.{i}"
        image |= _gated_recipes(card, to, at) if _is_gated(source) else _plain_recipes(card, to, at, post=post)
    return {"image": image, "text": open_clip.text(source, card)}


def _plain_recipes(card: ModelCard, to: str, at: str, *, post: bool) -> dict[str, Recipe]:
    width, mlp = card.image.width, card.image.mlp
    biases = (f"{at}.attn.q_bias", f"{at}.attn.v_bias")
    first, second = ("post1", "post2") if post else ("norm1", "norm2")
    return {
        **pair(f"{to}.{first}", f"{at}.norm1", width),
        f"{to}.qkv.weight": same(f"{at}.attn.qkv.weight", 3 * width, width),
        f"{to}.qkv.bias": Recipe(biases, ((width,), (width,)), _without_keys),
        **pair(f"{to}.out", f"{at}.attn.proj", width, width),
        **pair(f"{to}.{second}", f"{at}.norm2", width),
        **pair(f"{to}.up", f"{at}.mlp.fc1", mlp, width),
        **pair(f"{to}.down", f"{at}.mlp.fc2", width, mlp),
    }


def _gated_recipes(card: ModelCard, to: str, at: str) -> dict[str, Recipe]:
    width, mlp = card.image.width, card.image.mlp
    weights = tuple(f"{at}.attn.{name}_proj.weight" for name in "qkv")
    biases = (f"{at}.attn.q_proj.bias", f"{at}.attn.v_proj.bias")
    ordered = partial(_rotary.halved_qkv, heads=card.image.heads)
    return {
        **pair(f"{to}.norm1", f"{at}.norm1", width),
        f"{to}.qkv.weight": Recipe(weights, ((width, width),) * 3, ordered),
        f"{to}.qkv.bias": Recipe(biases, ((width,), (width,)), lambda sources: ordered([_without_keys(sources)])),
        **pair(f"{to}.inner", f"{at}.attn.norm", width),
        **pair(f"{to}.out", f"{at}.attn.proj", width, width),
        **pair(f"{to}.norm2", f"{at}.norm2", width),
        **pair(f"{to}.gate", f"{at}.mlp.fc1_g", mlp, width),
        **pair(f"{to}.up", f"{at}.mlp.fc1_x", mlp, width),
        **pair(f"{to}.middle", f"{at}.mlp.norm", mlp),
        **pair(f"{to}.down", f"{at}.mlp.fc2", width, mlp),
    }


def _without_keys(sources: Sequence[Array]) -> Array:
    """Biases of queries and values; keys have none."""
    q, v = sources
    return np.concatenate([q, np.zeros_like(q), v])
