"""The towers of CLIP (Radford et al., 2021, arXiv 2103.00020) with a ViT and a causal text transformer; MetaCLIP 2 has the same.

Follows OpenAI's model as transformers and open_clip compute it: pre-norm blocks, the class token and the end-of-text token
pooled after a last layer norm, projected without bias, scaled to unit length.
"""

from collections.abc import Mapping
from typing import Any

from glimpse.models._transformer import Weights, block, last_block, project, text_tower
from glimpse.models.formats import hugging_face, open_clip
from glimpse.models.formats.recipes import Layout, Recipes, Source
from glimpse.runtimes import Ops, Tensor
from glimpse.values import ModelCard

__all__ = ["card", "claims", "image_tower", "recipes", "text_tower"]

_TYPES = ("clip", "metaclip_2")


def image_tower(ops: Ops, w: Weights, card: ModelCard, pixels: Tensor) -> Tensor:
    """Embed pictures: uint8 (n, size, size, 3) → (n, dim) unit rows. Mean and std are folded into the patch weights."""
    x = ops.patchify(pixels, w["image.patch.weight"], w["image.patch.bias"], card.patch)  # (n, patches, width)
    x = ops.add(ops.prepend(w["image.class"], x), w["image.positions"])  # (n, 1 + patches, width)
    x = ops.layer_norm(x, w["image.before.weight"], w["image.before.bias"], card.image.eps)
    for i in range(card.image.layers - 1):
        x = block(ops, w, f"image.{i}", card.image, x)
    x = last_block(ops, w, f"image.{card.image.layers - 1}", card.image, x)  # (n, width)
    x = ops.layer_norm(x, w["image.after.weight"], w["image.after.bias"], card.image.eps)
    return ops.unit(project(ops, w, "image", x))


def claims(layout: Layout, config: Mapping[str, Any]) -> bool:
    """CLIP's own type, or a plain ViT beside a plain text transformer."""
    if layout == "hugging_face":
        return config.get("model_type") in _TYPES
    return open_clip.plain_image(config) and open_clip.plain_text(config)


def card(source: Source) -> ModelCard:
    """What the checkpoint is."""
    if source.layout == "hugging_face":
        return hugging_face.card(source, "clip", hugging_face.CLIP_TEXT, hugging_face.CLIP_IMAGE)
    return open_clip.card(source, "clip")


def recipes(source: Source, card: ModelCard) -> Recipes:
    """How each canonical weight is made."""
    if source.layout == "hugging_face":
        return {"image": hugging_face.clip_image(card), "text": hugging_face.clip_text(card)}
    return {"image": open_clip.vit(card), "text": open_clip.text(source, card)}
