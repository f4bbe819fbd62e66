"""The layouts checkpoints come in, read to a `ModelCard` and canonical weights (the names of `clip.tower_shapes`).

Two exist in the wild: Hugging Face (`config.json`, `model.safetensors`) and open_clip (`open_clip_config.json`,
`open_clip_model.safetensors`). Reads only the tensors of the tower that is asked for. Knows no runtime and no hub.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from glimpse.errors import CheckpointError, ModelUnsupported
from glimpse.models import clip
from glimpse.models.tensors import Tensors
from glimpse.runtimes import Array
from glimpse.values import Activation, ModelCard, PixelRules, TowerShape

Config = Mapping[str, Any]
Kind = Literal["image", "text"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one canonical weight is made: from which tensors, each of which shape, and by what."""

    names: tuple[str, ...]
    shape: tuple[int, ...]
    make: Callable[[Sequence[Array]], Array]


@dataclass(frozen=True, slots=True)
class Model:
    """A checkpoint that has been checked: its card, and its weights when they are asked for."""

    card: ModelCard
    files: tuple[Path, ...]
    tensors: Tensors
    recipes: Mapping[Kind, Mapping[str, Recipe]]

    def weights(self, kind: Kind) -> dict[str, Array]:
        """The canonical float32 weights of one tower."""
        return {
            name: recipe.make([self.tensors.read(source) for source in recipe.names])
            for name, recipe in self.recipes[kind].items()
        }


def read(folder: Path, name: str, config: Config | None = None) -> Model:
    """Read what a folder holds.

    Args:
        folder: the checkpoint.
        name: what to call it.
        config: what open_clip's config would say, where the folder's own is not to be used.

    Raises:
        CheckpointError: a file or tensor is missing, or has a wrong shape; named.
        ModelUnsupported: towers that glimpse does not have yet.
    """
    if config is None and not (folder / "open_clip_config.json").is_file():
        return _read_hugging_face(folder, name)
    if config is None and _model_type(folder) == "clip":
        return _read_hugging_face(folder, name)
    return _read_open_clip(folder, name, config or _json(folder / "open_clip_config.json"))


def _model_type(folder: Path) -> str | None:
    has_both = (folder / "config.json").is_file() and (folder / "model.safetensors").is_file()
    return _json(folder / "config.json").get("model_type") if has_both else None


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{path.parent} has no {path.name}: a checkpoint folder needs config.json and model.safetensors "
            "(Hugging Face) or open_clip_config.json and open_clip_model.safetensors (open_clip)"
        ) from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read as JSON: fetch it again") from error


def _tensor_files(folder: Path, name: str) -> tuple[Path, ...]:
    """The safetensors file of that name, or its shards."""
    if (folder / name).is_file():
        return (folder / name,)
    index = folder / f"{name}.index.json"
    if index.is_file():
        return tuple(folder / shard for shard in sorted(set(_json(index)["weight_map"].values())))
    pickles = [path.name for pattern in ("*.bin", "*.pt", "*.pth", "*.ckpt") for path in folder.glob(pattern)]
    if pickles:
        raise CheckpointError(
            f"{folder} has its weights only as a pickle ({pickles[0]}), which can run any code when it is loaded: "
            f"convert it to {name} with the safetensors library first"
        )
    raise CheckpointError(f"{folder} has no {name}: add it, or name another folder")


def _checked(card: ModelCard, files: tuple[Path, ...], tensors: Tensors, recipes: Mapping[Kind, Any]) -> Model:
    """Hold every recipe against the tensors there are."""
    for recipe in (recipe for tower in recipes.values() for recipe in tower.values()):
        for name in recipe.names:
            found = tensors.shapes.get(name)
            if found is None:
                raise CheckpointError(f"{files[0]} has no tensor {name}: it is incomplete, or not the model it says")
            if found != recipe.shape:
                raise CheckpointError(f"{files[0]}: tensor {name} has shape {found}, its config says {recipe.shape}")
    return Model(card, files, tensors, recipes)


def _logit_scale(tensors: Tensors, files: tuple[Path, ...]) -> float:
    if "logit_scale" not in tensors.shapes:
        raise CheckpointError(f"{files[0]} has no tensor logit_scale: it is incomplete, or not the model it says")
    return math.exp(float(tensors.read("logit_scale").reshape(-1)[0]))


# Making one canonical weight ------------------------------------------------------------------------------------------


def _same(sources: Sequence[Array]) -> Array:
    return sources[0]


def _transposed(sources: Sequence[Array]) -> Array:
    return np.ascontiguousarray(sources[0].T)


def _joined(sources: Sequence[Array]) -> Array:
    return np.concatenate(sources)


def _patch_weight(rules: PixelRules, sources: Sequence[Array]) -> Array:
    """Fold 1/255 and std into the convolution, so that the tower takes raw uint8: → (patch, patch, 3, width)."""
    scaled = sources[0] / (255.0 * np.array(rules.std).reshape(1, 3, 1, 1))
    return np.ascontiguousarray(scaled.transpose(2, 3, 1, 0), np.float32)


def _patch_bias(rules: PixelRules, sources: Sequence[Array]) -> Array:
    """What subtracting the mean comes to, for every output of the convolution: → (width,)."""
    shift = np.array(rules.mean) / np.array(rules.std)
    return np.asarray(-(sources[0].astype(np.float64).sum((2, 3)) @ shift), np.float32)


def _recipes(card: ModelCard, kind: Kind, sources: Mapping[str, Recipe]) -> dict[str, Recipe]:
    shapes = clip.tower_shapes(card, kind)
    return {name: sources[name] for name in shapes}


# Hugging Face ---------------------------------------------------------------------------------------------------------

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


def _read_hugging_face(folder: Path, name: str) -> Model:
    config = _json(folder / "config.json")
    kind = config.get("model_type")
    if kind != "clip":
        raise ModelUnsupported(
            f"{folder} holds a model of type {kind!r}, which glimpse does not support yet: `glimpse models` lists "
            "what it does"
        )
    files = _tensor_files(folder, "model.safetensors")
    tensors = Tensors(files)
    card = _hugging_face_card(folder, name, config, _logit_scale(tensors, files))
    recipes = {kind: _recipes(card, kind, _hugging_face_recipes(card, kind)) for kind in ("image", "text")}
    return _checked(card, files, tensors, recipes)


def _hugging_face_card(folder: Path, name: str, config: Config, logit_scale: float) -> ModelCard:
    # Early configs keep the real values in *_config_dict, and transformers lets those win.
    text = {**_TEXT_DEFAULTS, **(config.get("text_config_dict") or config.get("text_config") or {})}
    vision = {**_VISION_DEFAULTS, **(config.get("vision_config_dict") or config.get("vision_config") or {})}
    end_id = text["eos_token_id"]
    return ModelCard(
        name=name,
        family="clip",
        dim=config.get("projection_dim", 512),
        patch=vision["patch_size"],
        image=_hugging_face_shape(vision),
        text=_hugging_face_shape(text),
        pixels=_hugging_face_pixels(folder, vision["image_size"]),
        context=text["max_position_embeddings"],
        vocabulary=text["vocab_size"],
        end_id=None if end_id == _LEGACY_END_ID else end_id,
        logit_scale=logit_scale,
    )


def _hugging_face_shape(config: Config) -> TowerShape:
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


def _hugging_face_pixels(folder: Path, size: int) -> PixelRules:
    path = folder / "preprocessor_config.json"
    config = _json(path) if path.is_file() else {}
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
        mean=_three(config.get("image_mean", defaults.mean)),
        std=_three(config.get("image_std", defaults.std)),
        convert="first",
    )


def _three(values: Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = map(float, values)
    return red, green, blue


def _hugging_face_recipes(card: ModelCard, kind: Kind) -> dict[str, Recipe]:
    shape = card.image if kind == "image" else card.text
    width, mlp = shape.width, shape.mlp
    plain = partial(Recipe, make=_same)
    found: dict[str, Recipe] = {}
    for i in range(shape.layers):
        at = f"{'vision' if kind == 'image' else 'text'}_model.encoder.layers.{i}"
        for part in ("weight", "bias"):
            square, up, down = ((width, width), (mlp, width), (width, mlp)) if part == "weight" else (
                (width,), (mlp,), (width,)
            )  # fmt: skip
            qkv = tuple(f"{at}.self_attn.{letter}_proj.{part}" for letter in "qkv")
            found |= {
                f"{kind}.{i}.norm1.{part}": plain((f"{at}.layer_norm1.{part}",), (width,)),
                f"{kind}.{i}.qkv.{part}": Recipe(qkv, square, _joined),
                f"{kind}.{i}.out.{part}": plain((f"{at}.self_attn.out_proj.{part}",), square),
                f"{kind}.{i}.norm2.{part}": plain((f"{at}.layer_norm2.{part}",), (width,)),
                f"{kind}.{i}.up.{part}": plain((f"{at}.mlp.fc1.{part}",), up),
                f"{kind}.{i}.down.{part}": plain((f"{at}.mlp.fc2.{part}",), down),
            }
    ends = _HUGGING_FACE_IMAGE if kind == "image" else _HUGGING_FACE_TEXT
    return found | _end_recipes(card, kind, ends)


_HUGGING_FACE_IMAGE = {
    "image.patch": "vision_model.embeddings.patch_embedding.weight",
    "image.class": "vision_model.embeddings.class_embedding",
    "image.positions": "vision_model.embeddings.position_embedding.weight",
    "image.before.weight": "vision_model.pre_layrnorm.weight",
    "image.before.bias": "vision_model.pre_layrnorm.bias",
    "image.after.weight": "vision_model.post_layernorm.weight",
    "image.after.bias": "vision_model.post_layernorm.bias",
    "image.projection": "visual_projection.weight",
}
_HUGGING_FACE_TEXT = {
    "text.tokens": "text_model.embeddings.token_embedding.weight",
    "text.positions": "text_model.embeddings.position_embedding.weight",
    "text.after.weight": "text_model.final_layer_norm.weight",
    "text.after.bias": "text_model.final_layer_norm.bias",
    "text.projection": "text_projection.weight",
}


def _end_recipes(card: ModelCard, kind: Kind, names: Mapping[str, str]) -> dict[str, Recipe]:
    """What stands before and after the blocks, under its canonical names."""
    shapes = clip.tower_shapes(card, kind)
    found = {to: Recipe((name,), shapes[to], _same) for to, name in names.items() if to in shapes}
    if kind == "image":
        conv = ((names["image.patch"],), (card.image.width, 3, card.patch, card.patch))
        found["image.patch.weight"] = Recipe(*conv, partial(_patch_weight, card.pixels))
        found["image.patch.bias"] = Recipe(*conv, partial(_patch_bias, card.pixels))
    return found


# open_clip ------------------------------------------------------------------------------------------------------------

_PLAIN_MODEL = {"embed_dim", "vision_cfg", "text_cfg", "quick_gelu"}
_PLAIN_VISION = {"image_size", "layers", "width", "patch_size", "head_width", "mlp_ratio"}
_PLAIN_TEXT = {"context_length", "vocab_size", "width", "heads", "layers", "mlp_ratio"}


def _read_open_clip(folder: Path, name: str, config: Config) -> Model:
    model = config.get("model_cfg") or {}
    _refuse_unknown(name, model)
    files = _tensor_files(folder, "open_clip_model.safetensors")
    tensors = Tensors(files)
    card = _open_clip_card(name, model, config.get("preprocess_cfg") or {}, _logit_scale(tensors, files))
    recipes = {kind: _recipes(card, kind, _open_clip_recipes(card, kind)) for kind in ("image", "text")}
    return _checked(card, files, tensors, recipes)


def _refuse_unknown(name: str, model: Config) -> None:
    """Refuse what these towers do not do, rather than compute something else."""
    vision, text = model.get("vision_cfg") or {}, model.get("text_cfg") or {}
    known = ((model, _PLAIN_MODEL), (vision, _PLAIN_VISION), (text, _PLAIN_TEXT))
    unknown = sorted(key for config, keys in known for key, value in config.items() if key not in keys and value)
    if not isinstance(vision.get("patch_size"), int):
        unknown.append("vision_cfg without patches")
    if unknown:
        raise ModelUnsupported(
            f"{name} is not a plain ViT with a plain text transformer ({', '.join(unknown)}), which glimpse does not "
            "support yet: `glimpse models` lists what it does"
        )


def _open_clip_card(name: str, model: Config, preprocess: Config, logit_scale: float) -> ModelCard:
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
            mean=_three(preprocess.get("mean", defaults.mean)),
            std=_three(preprocess.get("std", defaults.std)),
            convert="last",
        ),
        context=text.get("context_length", 77),
        vocabulary=text.get("vocab_size", 49408),
        end_id=None,
        logit_scale=logit_scale,
    )


def _open_clip_recipes(card: ModelCard, kind: Kind) -> dict[str, Recipe]:
    shape = card.image if kind == "image" else card.text
    shapes = clip.tower_shapes(card, kind)
    found: dict[str, Recipe] = {}
    for i in range(shape.layers):
        at = f"{'visual.' if kind == 'image' else ''}transformer.resblocks.{i}"
        for part in ("weight", "bias"):
            names = {
                "norm1": f"{at}.ln_1.{part}",
                "qkv": f"{at}.attn.in_proj_{part}",
                "out": f"{at}.attn.out_proj.{part}",
                "norm2": f"{at}.ln_2.{part}",
                "up": f"{at}.mlp.c_fc.{part}",
                "down": f"{at}.mlp.c_proj.{part}",
            }
            places = {f"{kind}.{i}.{to}.{part}": name for to, name in names.items()}
            found |= {to: Recipe((name,), shapes[to], _same) for to, name in places.items()}
    found |= _end_recipes(card, kind, _OPEN_CLIP_IMAGE if kind == "image" else _OPEN_CLIP_TEXT)
    projection = found[f"{kind}.projection"]  # open_clip keeps it as (width, dim)
    return found | {f"{kind}.projection": Recipe(projection.names, projection.shape[::-1], _transposed)}


_OPEN_CLIP_IMAGE = {
    "image.patch": "visual.conv1.weight",
    "image.class": "visual.class_embedding",
    "image.positions": "visual.positional_embedding",
    "image.before.weight": "visual.ln_pre.weight",
    "image.before.bias": "visual.ln_pre.bias",
    "image.after.weight": "visual.ln_post.weight",
    "image.after.bias": "visual.ln_post.bias",
    "image.projection": "visual.proj",
}
_OPEN_CLIP_TEXT = {
    "text.tokens": "token_embedding.weight",
    "text.positions": "positional_embedding",
    "text.after.weight": "ln_final.weight",
    "text.after.bias": "ln_final.bias",
    "text.projection": "text_projection",
}
