"""open_clip's layout: `open_clip_config.json` (or what its own table says) and `open_clip_model.safetensors`."""

from pathlib import Path

from glimpse import zoo
from glimpse.errors import ModelUnsupported
from glimpse.layouts import WEIGHTS, tensor_files
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
    transposed,
)
from glimpse.models.formats.tensors import Tensors
from glimpse.values import Activation, ModelCard, PixelRules, TowerShape


def read(folder: Path, name: str, config: Config) -> Model:
    """Read a checkpoint in this layout; `config` has model_cfg and preprocess_cfg. See `formats.read`."""
    model = config.get("model_cfg") or {}
    _refuse_unknown(name, model)
    files = tensor_files(folder, WEIGHTS["open_clip"])
    tensors = Tensors(files)
    card = _card(name, model, config.get("preprocess_cfg") or {}, logit_scale(tensors, files))
    return checked(card, files, tensors, {kind: _recipes(card, kind) for kind in KINDS})


def _refuse_unknown(name: str, model: Config) -> None:
    """Refuse what these towers do not do, rather than compute something else."""
    if words := zoo.beyond_plain(model):
        raise ModelUnsupported(
            f"{name} is not a plain ViT with a plain text transformer ({', '.join(words)}), which glimpse does not "
            "support yet: `glimpse models` lists what it does"
        )


def _card(name: str, model: Config, preprocess: Config, scale: float) -> ModelCard:
    vision, text = model["vision_cfg"], model["text_cfg"]
    activation: Activation = "quick_gelu" if model.get("quick_gelu") else "gelu"
    size = vision.get("image_size", 224)
    defaults = PixelRules(size, size)
    return ModelCard(
        name=name,
        family="clip",
        dim=model["embed_dim"],
        patch=vision["patch_size"],
        image=TowerShape(
            vision["width"],
            vision["layers"],
            vision["width"] // vision.get("head_width", 64),
            int(vision["width"] * vision.get("mlp_ratio", 4.0)),
            activation,
        ),
        text=TowerShape(
            text["width"], text["layers"], text["heads"], int(text["width"] * text.get("mlp_ratio", 4.0)), activation
        ),
        pixels=PixelRules(
            size=size,
            resize_to=size,
            resize_mode=preprocess.get("resize_mode", "shortest"),
            interpolation=preprocess.get("interpolation", "bicubic"),
            mean=three(preprocess.get("mean", defaults.mean)),
            std=three(preprocess.get("std", defaults.std)),
            convert="last",
        ),
        context=text.get("context_length", 77),
        vocabulary=text.get("vocab_size", 49408),
        end_id=None,
        logit_scale=scale,
    )


def _recipes(card: ModelCard, kind: Kind) -> dict[str, Recipe]:
    at = f"{'visual.' if kind == 'image' else ''}transformer.resblocks"
    found = block_recipes(card, kind, at, _BLOCK) | end_recipes(card, kind, _IMAGE if kind == "image" else _TEXT)
    projection = found[f"{kind}.projection"]  # open_clip keeps it as (width, dim)
    return found | {f"{kind}.projection": Recipe(projection.names, projection.shape[::-1], transposed)}


_BLOCK = {
    "norm1": ["ln_1.{}"],
    "qkv": ["attn.in_proj_{}"],
    "out": ["attn.out_proj.{}"],
    "norm2": ["ln_2.{}"],
    "up": ["mlp.c_fc.{}"],
    "down": ["mlp.c_proj.{}"],
}
_IMAGE = {
    "image.patch": "visual.conv1.weight",
    "image.class": "visual.class_embedding",
    "image.positions": "visual.positional_embedding",
    "image.before.weight": "visual.ln_pre.weight",
    "image.before.bias": "visual.ln_pre.bias",
    "image.after.weight": "visual.ln_post.weight",
    "image.after.bias": "visual.ln_post.bias",
    "image.projection": "visual.proj",
}
_TEXT = {
    "text.tokens": "token_embedding.weight",
    "text.positions": "positional_embedding",
    "text.after.weight": "ln_final.weight",
    "text.after.bias": "ln_final.bias",
    "text.projection": "text_projection",
}
