"""The towers of CLIPA (Li et al., 2023, arXiv 2305.07017): a ViT read as the mean of its patches, a text tower without a mask.

Follows open_clip's ViT with `no_ln_pre`, `pool_type` "avg" and `final_ln_after_pool`.
"""

from collections.abc import Mapping
from typing import Any

from glimpse.models._transformer import Weights, block, project, text_tower
from glimpse.models.formats import open_clip
from glimpse.models.formats.recipes import Layout, Recipes, Source, pair, turned
from glimpse.runtimes import Ops, Tensor
from glimpse.values import ModelCard

__all__ = ["card", "claims", "image_tower", "recipes", "text_tower"]

_WORDS = {"no_ln_pre": True, "pool_type": "avg", "final_ln_after_pool": True}


def image_tower(ops: Ops, w: Weights, card: ModelCard, pixels: Tensor) -> Tensor:
    """Embed pictures: uint8 (n, size, size, 3) → (n, dim) unit rows. Mean and std are folded into the patch weights."""
    x = ops.patchify(pixels, w["image.patch.weight"], w["image.patch.bias"], card.patch)  # (n, patches, width)
    x = ops.add(ops.prepend(w["image.class"], x), w["image.positions"])  # (n, 1 + patches, width)
    for i in range(card.image.layers):
        x = block(ops, w, f"image.{i}", card.image, x)
    x = ops.mean(x, first=1)  # (n, width), of the patches alone
    x = ops.layer_norm(x, w["image.after.weight"], w["image.after.bias"], card.image.eps)
    return ops.unit(project(ops, w, "image", x))


def claims(layout: Layout, config: Mapping[str, Any]) -> bool:
    """open_clip's ViT with all three of CLIPA's words."""
    vision = config.get("vision_cfg") or {}
    return (
        layout == "open_clip"
        and all(vision.get(word) == value for word, value in _WORDS.items())
        and open_clip.plain_image(config, *_WORDS)
        and open_clip.plain_text(config)
    )


def card(source: Source) -> ModelCard:
    """What the checkpoint is."""
    return open_clip.card(source, "clipa")


def recipes(source: Source, card: ModelCard) -> Recipes:
    """How each canonical weight is made."""
    width = card.image.width
    image = {
        **open_clip.vit_body(card),
        **pair("image.after", "visual.ln_post", width),
        "image.projection": turned("visual.proj", width, card.dim),
    }
    return {"image": image, "text": open_clip.text(source, card)}
