"""The ViTs of MobileCLIP (Vasu et al., 2024, arXiv 2311.17049) and MobileCLIP 2 (Faghri et al., 2025, arXiv 2508.20691).

B makes its patches in three steps, L-14 has CLIP's ViT; beside them CLIP's text tower, with a mask or without. Follows timm's
ViTs as open_clip holds them. The others, S0 to S4, are convolutional.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from glimpse.models._transformer import Weights, block, last_block, project, text_tower
from glimpse.models.formats import open_clip
from glimpse.models.formats.recipes import (
    Layout,
    Recipe,
    Recipes,
    Source,
    blocks,
    pair,
    patch_bias,
    patch_weight,
    reshaped,
    same,
)
from glimpse.runtimes import Array, Ops, Tensor
from glimpse.values import ModelCard

__all__ = ["card", "claims", "image_tower", "recipes", "text_tower"]

_STEM = "visual.trunk.patch_embed.backbone"
_STEP = 4  # pixels along a side of the stem's first patches
_EPS_OF_B, _EPS_OF_L, _EPS_OF_BATCH = 1e-6, 1e-5, 1e-5


def image_tower(ops: Ops, w: Weights, card: ModelCard, pixels: Tensor) -> Tensor:
    """Embed pictures: uint8 (n, size, size, 3) → (n, dim) unit rows. Mean and std are folded into the patch weights."""
    if "image.stem.weight" in w:
        x = ops.add(_stem(ops, w, card, pixels), w["image.positions"])
        x = ops.prepend(w["image.class"], x)  # (n, 1 + patches, width)
    else:
        x = ops.patchify(pixels, w["image.patch.weight"], w["image.patch.bias"], card.patch)  # (n, patches, width)
        x = ops.add(ops.prepend(w["image.class"], x), w["image.positions"])
        x = ops.layer_norm(x, w["image.before.weight"], w["image.before.bias"], card.image.eps)
    for i in range(card.image.layers - 1):
        x = block(ops, w, f"image.{i}", card.image, x)
    x = last_block(ops, w, f"image.{card.image.layers - 1}", card.image, x)  # (n, width)
    x = ops.layer_norm(x, w["image.after.weight"], w["image.after.bias"], card.image.eps)
    return ops.unit(project(ops, w, "image", x))


def _stem(ops: Ops, w: Weights, card: ModelCard, pixels: Tensor) -> Tensor:
    """Patches of 4, then twice four neighbours made one: (n, size, size, 3) → (n, patches, width)."""
    side = card.pixels.size // _STEP
    x = ops.gelu(ops.patchify(pixels, w["image.stem.weight"], w["image.stem.bias"], _STEP))
    x = ops.gelu(ops.linear(ops.merge(x, side), w["image.stem.1.weight"], w["image.stem.1.bias"]))
    return ops.linear(ops.merge(x, side // 2), w["image.stem.2.weight"], w["image.stem.2.bias"])


def claims(layout: Layout, config: Mapping[str, Any]) -> bool:
    """One of the two ViTs of timm, read at its class token, beside a plain text transformer."""
    name = (config.get("vision_cfg") or {}).get("timm_model_name") or ""
    return (
        layout == "open_clip"
        and open_clip.timm_image(config, "vit_")
        and ("_mci_" in name or ("_clip_" in name and "quickgelu" not in name))
        and config["vision_cfg"].get("timm_pool") == "token"
        and open_clip.plain_text(config)
    )


def card(source: Source) -> ModelCard:
    """What the checkpoint is."""
    stem = _has_stem(source)
    image = open_clip.timm_shape(source, "gelu", _EPS_OF_B if stem else _EPS_OF_L)
    return open_clip.card(source, "mobileclip", patch=16 if stem else open_clip.timm_patch(source), image=image)


def _has_stem(source: Source) -> bool:
    return f"{_STEM}.0.conv.weight" in source.tensors.shapes


def recipes(source: Source, card: ModelCard) -> Recipes:
    """How each canonical weight is made."""
    if _has_stem(source):
        image = _stem_recipes(source, card)
    else:
        image = open_clip.timm_vit(card, bias=False, classes=1) | pair(
            "image.before", "visual.trunk.norm_pre", card.image.width
        )
    return {"image": image | open_clip.timm_head(card), "text": open_clip.text(source, card)}


def _stem_recipes(source: Source, card: ModelCard) -> dict[str, Recipe]:
    at, width, tokens = "visual.trunk", card.image.width, card.patches
    narrow = source.shape(f"{_STEM}.0.conv.weight")[0]
    first, second, last = (narrow, 3, 4, 4), (narrow, narrow, 2, 2), (width, narrow, 2, 2)
    return {
        "image.stem.weight": _normed(0, first, lambda weight, _: patch_weight(card.pixels, [weight])),
        "image.stem.bias": _normed(0, first, lambda weight, bias: patch_bias(card.pixels, [weight, bias])),
        "image.stem.1.weight": _normed(1, second, lambda weight, _: _matrix([weight])),
        "image.stem.1.bias": _normed(1, second, lambda _, bias: bias),
        "image.stem.2.weight": Recipe((f"{_STEM}.2.conv.weight",), (last,), _matrix),
        "image.stem.2.bias": same(f"{_STEM}.2.conv.bias", width),
        "image.class": reshaped(f"{at}.cls_token", (1, 1, width), (width,)),
        "image.positions": reshaped(f"{at}.pos_embed", (1, tokens, width), (tokens, width)),
        **blocks("image", f"{at}.blocks", card.image, open_clip.BLOCK_OF_TIMM),
        **pair("image.after", f"{at}.norm", width),
    }


def _normed(step: int, shape: tuple[int, ...], make: Callable[[Array, Array], Array]) -> Recipe:
    """A convolution with the batch norm after it folded in: `make` is given the weight and bias of the two together."""
    at = f"{_STEM}.{step}"
    norms = tuple(f"{at}.bn.{name}" for name in ("weight", "bias", "running_mean", "running_var"))

    def folded(sources: Sequence[Array]) -> Array:
        kernel, scale, shift, mean, variance = (source.astype(np.float64) for source in sources)
        scale = scale / np.sqrt(variance + _EPS_OF_BATCH)
        weight, bias = kernel * scale.reshape(-1, 1, 1, 1), shift - mean * scale
        return make(weight.astype(np.float32), bias.astype(np.float32))

    return Recipe((f"{at}.conv.weight", *norms), (shape, *((shape[0],),) * 4), folded)


def _matrix(sources: Sequence[Array]) -> Array:
    """A convolution over 2 × 2 neighbours as a matrix over the four side by side, row by row: → (out, 4 × in)."""
    (kernel,) = sources
    return np.ascontiguousarray(kernel.transpose(0, 2, 3, 1).reshape(len(kernel), -1))
