"""Hugging Face's layout: `config.json`, `model.safetensors` (or shards), `preprocessor_config.json`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glimpse.errors import CheckpointError, ModelUnsupported
from glimpse.layouts import PREPROCESSOR, WEIGHTS, read_json, tensor_files
from glimpse.models.formats.recipes import (
    KINDS,
    Config,
    Kind,
    Model,
    Recipe,
    block_recipes,
    checked,
    end_recipes,
    logit_scale,
    three,
)
from glimpse.models.formats.tensors import Tensors
from glimpse.values import ModelCard, PixelRules, TowerShape

_TEXT_DEFAULTS = {
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
_VISION_DEFAULTS = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "image_size": 224,
    "patch_size": 32,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
}
_LEGACY_END_ID = 2  # what early configs say although their tokenizer ends texts with the largest id
_RESAMPLE: Mapping[int, Any] = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}


def read(folder: Path, name: str, config: Config) -> Model:
    """Read a checkpoint in this layout; see `formats.read`."""
    kind = config.get("model_type")
    if kind != "clip":
        raise ModelUnsupported(
            f"{folder} holds a model of type {kind!r}, which glimpse does not support yet: `glimpse models` lists "
            "what it does"
        )
    files = tensor_files(folder, WEIGHTS["hugging_face"])
    tensors = Tensors(files)
    card = _card(folder, name, config, logit_scale(tensors, files))
    return checked(card, files, tensors, {kind: _recipes(card, kind) for kind in KINDS})


def _card(folder: Path, name: str, config: Config, scale: float) -> ModelCard:
    # Early configs keep the real values in *_config_dict, and transformers lets those win.
    text = {**_TEXT_DEFAULTS, **(config.get("text_config_dict") or config.get("text_config") or {})}
    vision = {**_VISION_DEFAULTS, **(config.get("vision_config_dict") or config.get("vision_config") or {})}
    end_id = text["eos_token_id"]
    return ModelCard(
        name=name,
        family="clip",
        dim=config.get("projection_dim", 512),
        patch=vision["patch_size"],
        image=_shape(vision),
        text=_shape(text),
        pixels=_pixels(folder, vision["image_size"]),
        context=text["max_position_embeddings"],
        vocabulary=text["vocab_size"],
        end_id=None if end_id == _LEGACY_END_ID else end_id,
        logit_scale=scale,
    )


def _shape(config: Config) -> TowerShape:
    activation = config["hidden_act"]
    if activation not in ("gelu", "quick_gelu"):
        raise ModelUnsupported(f"activation {activation!r} is not supported: glimpse has gelu and quick_gelu")
    return TowerShape(
        width=config["hidden_size"],
        layers=config["num_hidden_layers"],
        heads=config["num_attention_heads"],
        mlp=config["intermediate_size"],
        activation=activation,
        eps=config["layer_norm_eps"],
    )


def _pixels(folder: Path, size: int) -> PixelRules:
    path = folder / PREPROCESSOR
    config = read_json(path) if path.is_file() else {}
    aim = config.get("size", size)
    squash = isinstance(aim, Mapping) and "height" in aim
    crop = config.get("crop_size", size)
    crop = crop.get("height", size) if isinstance(crop, Mapping) else crop
    if not squash and config.get("do_center_crop", True) and crop != size:
        raise CheckpointError(f"{path} crops to {crop} pixels, but the image tower takes {size}")
    defaults = PixelRules(size, size)
    return PixelRules(
        size=size,
        resize_to=aim.get("shortest_edge", aim.get("height", size)) if isinstance(aim, Mapping) else aim,
        resize_mode="squash" if squash else "shortest",
        interpolation=_RESAMPLE.get(config.get("resample", 3), "bicubic"),
        mean=three(config.get("image_mean", defaults.mean)),
        std=three(config.get("image_std", defaults.std)),
        convert="first",
    )


def _recipes(card: ModelCard, kind: Kind) -> dict[str, Recipe]:
    at = f"{'vision' if kind == 'image' else 'text'}_model.encoder.layers"
    return block_recipes(card, kind, at, _BLOCK) | end_recipes(card, kind, _IMAGE if kind == "image" else _TEXT)


_BLOCK = {
    "norm1": ["layer_norm1.{}"],
    "qkv": ["self_attn.q_proj.{}", "self_attn.k_proj.{}", "self_attn.v_proj.{}"],
    "out": ["self_attn.out_proj.{}"],
    "norm2": ["layer_norm2.{}"],
    "up": ["mlp.fc1.{}"],
    "down": ["mlp.fc2.{}"],
}
_IMAGE = {
    "image.patch": "vision_model.embeddings.patch_embedding.weight",
    "image.class": "vision_model.embeddings.class_embedding",
    "image.positions": "vision_model.embeddings.position_embedding.weight",
    "image.before.weight": "vision_model.pre_layrnorm.weight",
    "image.before.bias": "vision_model.pre_layrnorm.bias",
    "image.after.weight": "vision_model.post_layernorm.weight",
    "image.after.bias": "vision_model.post_layernorm.bias",
    "image.projection": "visual_projection.weight",
}
_TEXT = {
    "text.tokens": "text_model.embeddings.token_embedding.weight",
    "text.positions": "text_model.embeddings.position_embedding.weight",
    "text.after.weight": "text_model.final_layer_norm.weight",
    "text.after.bias": "text_model.final_layer_norm.bias",
    "text.projection": "text_projection.weight",
}
