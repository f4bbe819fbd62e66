"""The towers of SigLIP (Zhai et al., 2023, arXiv 2303.15343) and SigLIP 2 (2025, arXiv 2502.14786) at a fixed resolution.

Pictures: a ViT without a class token, read by attention from one learnt query ("MAP"). Texts: every token sees every other, and
the padding, up to the whole context; read at the last place. Follows transformers' SiglipModel and open_clip with timm's ViT.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from glimpse.layouts import TOKENIZER_CONFIG, read_json
from glimpse.models._transformer import Weights, attention_pool, block, text_tower
from glimpse.models.formats import hugging_face, open_clip
from glimpse.models.formats.recipes import (
    Layout,
    Recipe,
    Recipes,
    Source,
    blocks,
    pair,
    patches,
    query,
    same,
)
from glimpse.runtimes import Array, Ops, Tensor
from glimpse.values import ModelCard, TextRules

__all__ = ["card", "claims", "image_tower", "recipes", "text_tower"]

_EPS = 1e-6
_TEXT = {
    "vocab_size": 32000,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "max_position_embeddings": 64,
    "hidden_act": "gelu_pytorch_tanh",
    "layer_norm_eps": _EPS,
}
_IMAGE = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "image_size": 224,
    "patch_size": 16,
    "hidden_act": "gelu_pytorch_tanh",
    "layer_norm_eps": _EPS,
}
_PIXELS = {"size": {"height": 0, "width": 0}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}  # SiglipImageProcessor's
# timm's names of trunks that have GELU's approximation by tanh; its others have GELU itself.
_TANH = ("_patch32_siglip", "_large_patch16_siglip_512", "_so400m_patch16_siglip", "_giantopt_")
# How a text is treated before tokenizer.json does, by the class that the checkpoint names: as transformers' SiglipTokenizer does;
# and SigLIP 2 was trained on lower case, which its own class sees to, but not Gemma's, which some of its checkpoints name.
_CLEAN: Mapping[str, Any] = {"SiglipTokenizer": "siglip", "Siglip2Tokenizer": "lower", "GemmaTokenizer": "lower"}


def image_tower(ops: Ops, w: Weights, card: ModelCard, pixels: Tensor) -> Tensor:
    """Embed pictures: uint8 (n, size, size, 3) → (n, dim) unit rows. Mean and std are folded into the patch weights."""
    x = ops.patchify(pixels, w["image.patch.weight"], w["image.patch.bias"], card.patch)  # (n, patches, width)
    x = ops.add(x, w["image.positions"])
    for i in range(card.image.layers):
        x = block(ops, w, f"image.{i}", card.image, x)
    x = ops.layer_norm(x, w["image.after.weight"], w["image.after.bias"], card.image.eps)
    return ops.unit(attention_pool(ops, w, card.image, x))


def claims(layout: Layout, config: Mapping[str, Any]) -> bool:
    """SigLIP's own type, or timm's SigLIP ViT beside a plain text transformer."""
    if layout == "hugging_face":
        return config.get("model_type") == "siglip"
    return is_image(config) and open_clip.plain_text(config)


def is_image(config: Mapping[str, Any]) -> bool:
    """Whether the image tower of a model_cfg is SigLIP's."""
    vision = config.get("vision_cfg") or {}
    return (
        open_clip.timm_image(config, "vit_")
        and "_siglip_" in vision["timm_model_name"]
        and "_gap_" not in vision["timm_model_name"]
        and vision.get("timm_pool") == "map"
        and vision.get("timm_proj") in ("none", None)
    )


def card(source: Source) -> ModelCard:
    """What the checkpoint is."""
    if source.layout == "open_clip":
        name = source.config["model_cfg"]["vision_cfg"]["timm_model_name"]
        image = open_clip.timm_shape(source, "gelu_tanh" if any(part in name for part in _TANH) else "gelu", _EPS)
        return open_clip.card(source, "siglip", patch=open_clip.timm_patch(source), image=image)
    text, vision = hugging_face.sections(source.config, _TEXT, _IMAGE)
    return ModelCard(
        name=source.name,
        family="siglip",
        dim=vision["hidden_size"],
        patch=vision["patch_size"],
        image=hugging_face.shape(vision),
        text=hugging_face.shape(text),
        pixels=hugging_face.pixels(source.folder, vision["image_size"], _PIXELS),
        context=text["max_position_embeddings"],
        vocabulary=text["vocab_size"],
        end_id=None,
        logit_scale=source.logit_scale(),
        causal=False,
        logit_bias=source.number("logit_bias"),
        words=TextRules(_clean(source), padding="full", pool="last", tokenizer="the model"),
    )


def _clean(source: Source) -> Any:
    path = source.folder / TOKENIZER_CONFIG
    named = read_json(path).get("tokenizer_class", "") if path.is_file() else ""
    return _CLEAN.get(str(named).removesuffix("Fast"), "")


def recipes(source: Source, card: ModelCard) -> Recipes:
    """How each canonical weight is made."""
    if source.layout == "hugging_face":
        return {"image": _image(card), "text": _text(card)}
    image = open_clip.timm_vit(card, bias=True, classes=0) | open_clip.timm_pool(card, card.image.mlp)
    return {"image": image, "text": open_clip.text(source, card)}


def _image(card: ModelCard) -> dict[str, Recipe]:
    at, width = "vision_model", card.image.width
    conv = f"{at}.embeddings.patch_embedding"
    return {
        **patches(card, f"{conv}.weight", f"{conv}.bias"),
        "image.positions": same(f"{at}.embeddings.position_embedding.weight", card.patches, width),
        **blocks("image", f"{at}.encoder.layers", card.image, hugging_face.BLOCK),
        **pair("image.after", f"{at}.post_layernorm", width),
        **_pool(card),
    }


def _pool(card: ModelCard) -> dict[str, Recipe]:
    at, width, mlp = "vision_model.head", card.image.width, card.image.mlp
    weight, bias = f"{at}.attention.in_proj_weight", f"{at}.attention.in_proj_bias"
    probe, both, rows = (1, 1, width), (3 * width, width), (3 * width,)
    return {
        "image.pool.query": Recipe((f"{at}.probe", weight, bias), (probe, both, rows), query),
        "image.pool.kv.weight": Recipe((weight,), (both,), _keys_and_values),
        "image.pool.kv.bias": Recipe((bias,), (rows,), _keys_and_values),
        **pair("image.pool.out", f"{at}.attention.out_proj", width, width),
        **pair("image.pool.norm", f"{at}.layernorm", width),
        **pair("image.pool.up", f"{at}.mlp.fc1", mlp, width),
        **pair("image.pool.down", f"{at}.mlp.fc2", width, mlp),
    }


def _keys_and_values(sources: Any) -> Array:
    """Leave the query's third out of a projection of all three."""
    (whole,) = sources
    return np.ascontiguousarray(whole[len(whole) // 3 :])


def _text(card: ModelCard) -> dict[str, Recipe]:
    return {
        **hugging_face.text_body(card),
        "text.projection": same("text_model.head.weight", card.dim, card.text.width),
        "text.projection.bias": same("text_model.head.bias", card.dim),
    }
