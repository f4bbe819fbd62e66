"""open_clip's layout: `open_clip_config.json` (or what its own table says) and `open_clip_model.safetensors`.

Its towers are chosen one by one: `vision_cfg` says which image tower, `text_cfg` which text tower.
"""

from collections.abc import Collection
from typing import Any, Literal

from glimpse.errors import ModelUnsupported
from glimpse.models.formats.recipes import (
    BlockNames,
    Config,
    Recipe,
    Source,
    blocks,
    pair,
    patches,
    query,
    reshaped,
    same,
    three,
    turned,
)
from glimpse.values import Activation, ModelCard, PixelRules, TextRules, TowerShape

BLOCK = BlockNames("ln_1", ("attn.in_proj_{}",), "attn.out_proj", "ln_2", "mlp.c_fc", "mlp.c_proj")
BLOCK_OF_TIMM = BlockNames("norm1", ("attn.qkv.{}",), "attn.proj", "norm2", "mlp.fc1", "mlp.fc2")

# Words of a config that the plain towers know. Any other, unless it says nothing, asks for something that they do not do.
_MODEL = {"embed_dim", "vision_cfg", "text_cfg", "quick_gelu", "custom_text", "init_logit_bias"}
_PLAIN_IMAGE = {"image_size", "layers", "width", "patch_size", "head_width", "mlp_ratio"}
_PLAIN_TEXT = {
    "context_length", "vocab_size", "width", "heads", "layers", "mlp_ratio",
    "hf_tokenizer_name", "tokenizer_kwargs", "norm_kwargs", "act_kwargs",
    "pool_type", "eos_id", "no_causal_mask", "proj_bias", "proj_type",
}  # fmt: skip
_TIMM = {
    "timm_model_name",
    "timm_model_pretrained",
    "timm_pool",
    "timm_proj",
    "timm_drop",
    "timm_drop_path",
    "image_size",
}

_CLEANING = {"clean", "strip_sep_token"}  # of a tokenizer of its own: CLIP's cleans by itself

# Heads of timm's larger towers, by width; the others have heads of 64.
_HEADS = {1152: 16, 1280: 16, 1408: 16, 1536: 16, 1664: 16, 1792: 16}


# What a config asks for -----------------------------------------------------------------------------------------------


def beyond(config: Config) -> list[str]:
    """Words of a model_cfg that plain ViT and text towers do not know, sorted."""
    vision, text = config.get("vision_cfg") or {}, config.get("text_cfg") or {}
    words = {*_unknown(config, _MODEL), *_unknown(vision, _PLAIN_IMAGE), *_unknown(text, _PLAIN_TEXT)}
    return sorted(
        words if isinstance(vision.get("patch_size"), int) or "timm_model_name" in words else {*words, "no patches"}
    )


def plain_image(config: Config, *others: str) -> bool:
    """Whether the image tower is open_clip's own ViT, with none but these other words."""
    vision = config.get("vision_cfg") or {}
    return (
        not _unknown(config, _MODEL)
        and not _unknown(vision, {*_PLAIN_IMAGE, *others})
        and isinstance(vision.get("patch_size"), int)
        and not isinstance(vision.get("layers"), list)
    )


def plain_text(config: Config) -> bool:
    """Whether the text tower is open_clip's own transformer, pooled at one token."""
    text = config.get("text_cfg") or {}
    return (
        not _unknown(text, _PLAIN_TEXT)
        and text.get("pool_type", "argmax") in ("argmax", "eos", "last")
        and text.get("proj_type", "linear") in ("linear", "none")
        and not _unknown(text.get("tokenizer_kwargs") or {}, _CLEANING if text.get("hf_tokenizer_name") else ())
    )


def timm_image(config: Config, *names: str) -> bool:
    """Whether the image tower is timm's, of a name that begins like one of these."""
    vision = config.get("vision_cfg") or {}
    name = vision.get("timm_model_name") or ""
    return not _unknown(config, _MODEL) and not _unknown(vision, _TIMM) and name.startswith(names)


def _unknown(config: Config, known: Collection[str]) -> set[str]:
    return {word for word, value in config.items() if value and word not in known}


# The card -------------------------------------------------------------------------------------------------------------


def card(source: Source, family: str, **known: Any) -> ModelCard:
    """What a checkpoint is; fields of the card that its config does not say, or says otherwise, are given."""
    model = source.config["model_cfg"]
    said: dict[str, Any] = {
        "name": source.name,
        "family": family,
        "dim": model["embed_dim"],
        "pixels": pixels(source.config),
        "logit_scale": source.logit_scale(),
        "logit_bias": source.logit_bias(),
        **({} if "image" in known else _of_image(model)),
        **({} if "text" in known else _of_text(model)),
    }
    return ModelCard(**(said | known))


def side(size: Any) -> int:
    """The side of a square, which configs also write as a pair."""
    high, wide = size if isinstance(size, list | tuple) else (size, size)
    if high != wide:
        raise ModelUnsupported(f"pictures of {high} × {wide} pixels are not supported: glimpse's towers take squares")
    return int(high)


def _of_image(model: Config) -> dict[str, Any]:
    vision = model["vision_cfg"]
    width = vision["width"]
    mlp = int(width * vision.get("mlp_ratio", 4.0))
    heads = width // vision.get("head_width", 64)
    return {"patch": vision["patch_size"], "image": TowerShape(width, vision["layers"], heads, mlp, _activation(model))}


def _of_text(model: Config) -> dict[str, Any]:
    text = model["text_cfg"]
    return {
        "text": _text_shape(model),
        "context": text.get("context_length", 77),
        "vocabulary": text.get("vocab_size", 49408),
        "end_id": text.get("eos_id", 2) if text.get("pool_type") == "eos" else None,
        "causal": not text.get("no_causal_mask", False),
        "words": text_rules(text),
    }


def text_rules(text: Config) -> TextRules:
    """How texts become ids, and where the tower is read."""
    options = text.get("tokenizer_kwargs") or {}
    pool: Literal["end", "last"] = "last" if text.get("pool_type") == "last" else "end"
    own = text.get("hf_tokenizer_name", "")
    return TextRules(
        clean=_clean(own, options.get("clean", "whitespace")),
        padding="full" if text.get("no_causal_mask") or pool == "last" else "free",
        pool=pool,
        drop_end=bool(options.get("strip_sep_token")),
        tokenizer=own,
    )


def _clean(own: str, asked: str) -> Any:
    """CLIP's own tokenizer cleans by itself; of the others open_clip's HFTokenizer does."""
    return {"whitespace": "web", "canonicalize": "canonicalize", "lower": "lower"}[asked] if own else ""


def pixels(config: Config) -> PixelRules:
    """How pictures become the model's input."""
    preprocess = config.get("preprocess_cfg") or {}
    size = side(config["model_cfg"]["vision_cfg"].get("image_size", 224))
    defaults = PixelRules(size, size)
    return PixelRules(
        size=size,
        resize_to=size,
        resize_mode=preprocess.get("resize_mode", "shortest"),
        interpolation=preprocess.get("interpolation", "bicubic"),
        mean=three(preprocess.get("mean", defaults.mean)),
        std=three(preprocess.get("std", defaults.std)),
        convert="last",
    )


def _text_shape(model: Config) -> TowerShape:
    text = model["text_cfg"]
    width = text["width"]
    tanh = (text.get("act_kwargs") or {}).get("approximate") == "tanh"
    return TowerShape(
        width,
        text["layers"],
        text["heads"],
        int(width * text.get("mlp_ratio", 4.0)),
        "gelu_tanh" if tanh else _activation(model),
        (text.get("norm_kwargs") or {}).get("eps", 1e-5),
    )


def _activation(model: Config) -> Activation:
    return "quick_gelu" if model.get("quick_gelu") else "gelu"


def timm_shape(source: Source, activation: Activation, eps: float, names: BlockNames = BLOCK_OF_TIMM) -> TowerShape:
    """The sizes of timm's ViT, which no config has: they are read off its tensors."""
    at = "visual.trunk.blocks."
    layers = {int(name.removeprefix(at).split(".")[0]) for name in source.tensors.shapes if name.startswith(at)}
    mlp, width = source.shape(f"{at}0.{names.up}.weight")
    return TowerShape(width, len(layers), _HEADS.get(width, width // 64), mlp, activation, eps)


def timm_patch(source: Source) -> int:
    """The side of a patch of timm's ViT."""
    return source.shape("visual.trunk.patch_embed.proj.weight")[-1]


# Recipes --------------------------------------------------------------------------------------------------------------


def vit(card: ModelCard) -> dict[str, Recipe]:
    """open_clip's own ViT."""
    width = card.image.width
    return {
        **vit_body(card),
        **pair("image.before", "visual.ln_pre", width),
        **pair("image.after", "visual.ln_post", width),
        "image.projection": turned("visual.proj", width, card.dim),
    }


def vit_body(card: ModelCard) -> dict[str, Recipe]:
    """The same without the layer norms before and after, and the projection."""
    width = card.image.width
    return {
        **patches(card, "visual.conv1.weight"),
        "image.class": same("visual.class_embedding", width),
        "image.positions": same("visual.positional_embedding", 1 + card.patches, width),
        **blocks("image", "visual.transformer.resblocks", card.image, BLOCK),
    }


def timm_vit(card: ModelCard, *, bias: bool, classes: int) -> dict[str, Recipe]:
    """The ViT up to its last layer norm: a bias of the patches or none, one class token or none."""
    return {
        **timm_ends(card, bias=bias, classes=classes),
        **blocks("image", "visual.trunk.blocks", card.image, BLOCK_OF_TIMM),
    }


def timm_ends(card: ModelCard, *, bias: bool, classes: int) -> dict[str, Recipe]:
    """The same without its blocks."""
    at, width, tokens = "visual.trunk", card.image.width, classes + card.patches
    conv = f"{at}.patch_embed.proj"
    found = {
        **patches(card, f"{conv}.weight", f"{conv}.bias" if bias else None),
        "image.positions": reshaped(f"{at}.pos_embed", (1, tokens, width), (tokens, width)),
        **pair("image.after", f"{at}.norm", width),
    }
    return found | ({"image.class": reshaped(f"{at}.cls_token", (1, 1, width), (width,))} if classes else {})


def timm_head(card: ModelCard) -> dict[str, Recipe]:
    """The last layer of timm's towers, which has a bias."""
    at = "visual.trunk.head"
    return {
        "image.projection": same(f"{at}.weight", card.dim, card.image.width),
        "image.projection.bias": same(f"{at}.bias", card.dim),
    }


def timm_pool(card: ModelCard, mlp: int) -> dict[str, Recipe]:
    """The attention from one learnt query, with a perceptron of a width of its own."""
    at, width = "visual.trunk.attn_pool", card.image.width
    names = (f"{at}.latent", f"{at}.q.weight", f"{at}.q.bias")
    return {
        "image.pool.query": Recipe(names, ((1, 1, width), (width, width), (width,)), query),
        **pair("image.pool.kv", f"{at}.kv", 2 * width, width),
        **pair("image.pool.out", f"{at}.proj", width, width),
        **pair("image.pool.norm", f"{at}.norm", width),
        **pair("image.pool.up", f"{at}.mlp.fc1", mlp, width),
        **pair("image.pool.down", f"{at}.mlp.fc2", width, mlp),
    }


def text(source: Source, card: ModelCard) -> dict[str, Recipe]:
    """open_clip's text tower, which stands at the root of a checkpoint or under "text."."""
    at = "text." if "text.token_embedding.weight" in source.tensors.shapes else ""
    width = card.text.width
    return {
        "text.tokens": same(f"{at}token_embedding.weight", card.vocabulary, width),
        "text.positions": same(f"{at}positional_embedding", card.context, width),
        **blocks("text", f"{at}transformer.resblocks", card.text, BLOCK),
        **pair("text.after", f"{at}ln_final", width),
        **_text_projection(source.config["model_cfg"]["text_cfg"], f"{at}text_projection", width, card.dim),
    }


def _text_projection(config: Config, name: str, width: int, dim: int) -> dict[str, Recipe]:
    if config.get("proj_type") == "none":
        return {}
    if config.get("proj_bias"):
        return {
            "text.projection": same(f"{name}.weight", dim, width),
            "text.projection.bias": same(f"{name}.bias", dim),
        }
    return {"text.projection": turned(name, width, dim)}
