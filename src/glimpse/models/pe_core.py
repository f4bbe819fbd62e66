"""The image tower of PE-Core (Bolya et al., 2025, arXiv 2504.13181), beside CLIP's text tower.

A ViT with a layer norm before its blocks, rotary positions, with a class token or without one, read by attention from one
learnt query. Follows timm's Eva as open_clip holds it.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from glimpse.models import _rotary
from glimpse.models._transformer import Weights, attention_pool, block, project, text_tower
from glimpse.models.formats import open_clip
from glimpse.models.formats.recipes import Layout, Recipe, Recipes, Source, pair
from glimpse.runtimes import Ops, Tensor
from glimpse.values import ModelCard

__all__ = ["card", "claims", "image_tower", "recipes", "text_tower"]

_EPS = 1e-5
_POOL_HEADS = 8


def image_tower(ops: Ops, w: Weights, card: ModelCard, pixels: Tensor) -> Tensor:
    """Embed pictures: uint8 (n, size, size, 3) → (n, dim) unit rows. Mean and std are folded into the patch weights."""
    x = ops.patchify(pixels, w["image.patch.weight"], w["image.patch.bias"], card.patch)  # (n, patches, width)
    x = ops.add(ops.prepend(w["image.class"], x) if "image.class" in w else x, w["image.positions"])
    x = ops.layer_norm(x, w["image.before.weight"], w["image.before.bias"], card.image.eps)
    head = card.image.width // card.image.heads
    offset, prefix = (1.0, 1) if "image.class" in w else (0.0, 0)  # with a class token, patches are counted from 1
    rows, columns = (place + offset for place in _rotary.grid(card.pixels.size // card.patch))
    rotary = _rotary.table(columns, rows, head, prefix=prefix)
    for i in range(card.image.layers):
        x = block(ops, w, f"image.{i}", card.image, x, rotary=rotary)
    x = ops.layer_norm(x, w["image.after.weight"], w["image.after.bias"], card.image.eps)
    return ops.unit(project(ops, w, "image", attention_pool(ops, w, replace(card.image, heads=_POOL_HEADS), x)))


def claims(layout: Layout, config: Mapping[str, Any]) -> bool:
    """PE-Core of timm beside a plain text transformer."""
    return (
        layout == "open_clip"
        and open_clip.timm_image(config, "vit_pe_core_")
        and config["vision_cfg"].get("timm_pool") == "map"
        and open_clip.plain_text(config)
    )


def card(source: Source) -> ModelCard:
    """What the checkpoint is."""
    image = open_clip.timm_shape(source, "gelu", _EPS)
    return open_clip.card(source, "pe_core", patch=open_clip.timm_patch(source), image=image)


def recipes(source: Source, card: ModelCard) -> Recipes:
    """How each canonical weight is made."""
    classes = 1 if "visual.trunk.cls_token" in source.tensors.shapes else 0
    image = {
        **open_clip.timm_vit(card, bias=False, classes=classes),
        **pair("image.before", "visual.trunk.norm_pre", card.image.width),
        **open_clip.timm_pool(card, 4 * card.image.width),
        **open_clip.timm_head(card),
    }
    return {
        "image": {name: _ordered(card, name, recipe) for name, recipe in image.items()},
        "text": open_clip.text(source, card),
    }


def _ordered(card: ModelCard, name: str, recipe: Recipe) -> Recipe:
    """Queries and keys of the blocks with their channels in order."""
    if ".qkv." not in name:
        return recipe
    return replace(recipe, make=partial(_rotary.halved_qkv, heads=card.image.heads))
