"""Hugging Face's layout: `config.json`, `model.safetensors` (or shards), `preprocessor_config.json`."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from glimpse.errors import CheckpointError, ModelUnsupported
from glimpse.layouts import PREPROCESSOR, read_json
from glimpse.models.formats.recipes import BlockNames, Config, Recipe, Source, blocks, pair, patches, same, three
from glimpse.values import Activation, ModelCard, PixelRules, TextRules, TowerShape

CLIP_TEXT: Config = {
    "vocab_size": 49408,
    "hidden_size": 512,
    "intermediate_size": 2048,
    "num_hidden_layers": 12,
    "num_attention_heads": 8,
    "max_position_embeddings": 77,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
    "eos_token_id": 49407,
}
CLIP_IMAGE: Config = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "image_size": 224,
    "patch_size": 32,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
}
BLOCK = BlockNames(
    norm1="layer_norm1",
    qkv=("self_attn.q_proj.{}", "self_attn.k_proj.{}", "self_attn.v_proj.{}"),
    out="self_attn.out_proj",
    norm2="layer_norm2",
    up="mlp.fc1",
    down="mlp.fc2",
)
_LEGACY_END_ID = 2  # what early CLIP configs say although their tokenizer ends texts with the largest id
_RESAMPLE: Mapping[int, Any] = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}
_ACTIVATIONS: Mapping[str, Activation] = {
    "gelu": "gelu",
    "gelu_pytorch_tanh": "gelu_tanh",
    "quick_gelu": "quick_gelu",
}


def card(source: Source, family: str, text_defaults: Config, image_defaults: Config) -> ModelCard:
    """What a checkpoint is whose config has a text_config and a vision_config."""
    text, vision = sections(source.config, text_defaults, image_defaults)
    legacy = source.config.get("model_type") == "clip" and text["eos_token_id"] == _LEGACY_END_ID
    return ModelCard(
        name=source.name,
        family=family,
        dim=source.config.get("projection_dim", 512),
        patch=vision["patch_size"],
        image=shape(vision),
        text=shape(text),
        pixels=pixels(source.folder, vision["image_size"]),
        context=text["max_position_embeddings"],
        vocabulary=text["vocab_size"],
        end_id=None if legacy else text["eos_token_id"],
        logit_scale=source.logit_scale(),
        words=TextRules(tokenizer="" if source.config.get("model_type") == "clip" else "this model"),
    )


def sections(config: Config, text_defaults: Config, image_defaults: Config) -> tuple[Config, Config]:
    """What the config says of texts and of pictures."""
    # Early configs keep the real values in *_config_dict, and transformers lets those win.
    text = {**text_defaults, **(config.get("text_config_dict") or config.get("text_config") or {})}
    vision = {**image_defaults, **(config.get("vision_config_dict") or config.get("vision_config") or {})}
    return text, vision


def shape(config: Config) -> TowerShape:
    """The sizes of one tower."""
    activation = config["hidden_act"]
    if activation not in _ACTIVATIONS:
        raise ModelUnsupported(f"activation {activation!r} is not supported: glimpse has {', '.join(_ACTIVATIONS)}")
    return TowerShape(
        width=config["hidden_size"],
        layers=config["num_hidden_layers"],
        heads=config["num_attention_heads"],
        mlp=config["intermediate_size"],
        activation=_ACTIVATIONS[activation],
        eps=config["layer_norm_eps"],
    )


def pixels(folder: Path, size: int, usual: Config = MappingProxyType({})) -> PixelRules:
    """How pictures become the model's input: what preprocessor_config.json says, or what is usual for the family.

    A height and width of 0 stand for the tower's own.
    """
    path = folder / PREPROCESSOR
    config = {**usual, **(read_json(path) if path.is_file() else {})}
    _refuse_unusual(path, config)
    aim = config.get("size", size)
    squash = isinstance(aim, Mapping) and "height" in aim
    if squash and aim["height"] != aim.get("width"):
        raise CheckpointError(f"{path} resizes to {aim['height']} × {aim.get('width')} pixels, but towers take squares")
    crop = config.get("crop_size", size)
    crop = crop.get("height", size) if isinstance(crop, Mapping) else crop
    if not squash and config.get("do_center_crop", True) and crop != size:
        raise CheckpointError(f"{path} crops to {crop} pixels, but the image tower takes {size}")
    defaults = PixelRules(size, size)
    return PixelRules(
        size=size,
        resize_to=_resize_to(aim) or size,
        resize_mode="squash" if squash else "shortest",
        interpolation=_RESAMPLE.get(config.get("resample", 3), "bicubic"),
        mean=three(config.get("image_mean", defaults.mean)),
        std=three(config.get("image_std", defaults.std)),
        convert="first",
    )


def _resize_to(aim: Any) -> int:
    """What a resize aims at, however it is written: a number, a shortest edge, or a height; 0 where it is not said."""
    found: int = aim.get("shortest_edge", aim.get("height", 0)) if isinstance(aim, Mapping) else aim
    return found


def _refuse_unusual(path: Path, config: Config) -> None:
    """Refuse what would be left undone."""
    for word in ("do_resize", "do_rescale", "do_normalize"):
        if not config.get(word, True):
            raise ModelUnsupported(f"{path} says {word}: false, which glimpse does not support")
    if abs(config.get("rescale_factor", 1 / 255) * 255 - 1) > 1e-6:  # noqa: PLR2004
        raise ModelUnsupported(f"{path} says rescale_factor: {config['rescale_factor']}, which is not 1/255")


def clip_image(card: ModelCard) -> dict[str, Recipe]:
    """CLIP's image tower."""
    at, width = "vision_model", card.image.width
    return {
        **patches(card, f"{at}.embeddings.patch_embedding.weight"),
        "image.class": same(f"{at}.embeddings.class_embedding", width),
        "image.positions": same(f"{at}.embeddings.position_embedding.weight", 1 + card.patches, width),
        **pair("image.before", f"{at}.pre_layrnorm", width),
        **blocks("image", f"{at}.encoder.layers", card.image, BLOCK),
        **pair("image.after", f"{at}.post_layernorm", width),
        "image.projection": same("visual_projection.weight", card.dim, width),
    }


def clip_text(card: ModelCard) -> dict[str, Recipe]:
    """CLIP's text tower."""
    return {**text_body(card), "text.projection": same("text_projection.weight", card.dim, card.text.width)}


def text_body(card: ModelCard) -> dict[str, Recipe]:
    """A text tower up to its last layer norm."""
    at, width = "text_model", card.text.width
    return {
        "text.tokens": same(f"{at}.embeddings.token_embedding.weight", card.vocabulary, width),
        "text.positions": same(f"{at}.embeddings.position_embedding.weight", card.context, width),
        **blocks("text", f"{at}.encoder.layers", card.text, BLOCK),
        **pair("text.after", f"{at}.final_layer_norm", width),
    }
