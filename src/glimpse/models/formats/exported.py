"""Folders of ONNX towers: what `Encoder.export` writes, and dual encoders as others export them (immich's layout).

    visual/model.onnx    visual/preprocess_cfg.json    textual/model.onnx    textual/tokenizer.json    config.json

Our own folders also have `glimpse.json`, the whole card; of others it is put together from their configs. The towers are not
taken apart: a runtime that reads such files runs them as they are.
"""

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from glimpse.errors import CheckpointError
from glimpse.layouts import GRAPHS, read_json
from glimpse.models.formats import open_clip
from glimpse.models.formats.recipes import Config, Model, three
from glimpse.models.formats.tensors import Tensors
from glimpse.values import ModelCard, PixelRules, TextRules, TowerShape

OWN, CONFIG, PREPROCESS, WORDS = "glimpse.json", "config.json", "visual/preprocess_cfg.json", "textual"
_NO_SHAPE = TowerShape(0, 0, 0, 0, "gelu")
_USUAL_SCALE = 100.0  # what CLIPs are trained up to; folders of others do not say


def read(folder: Path, name: str) -> Model:
    """Read such a folder.

    Raises:
        CheckpointError: its configs are missing or do not say enough.
    """
    own = folder / OWN
    card = _from_dict(read_json(own), name) if own.is_file() else _of_others(folder, name)
    files = tuple(
        path for kind in GRAPHS.values() for path in sorted((folder / kind).parent.iterdir()) if _is_weights(path)
    )
    return Model(card, files, Tensors(()), {}, {kind: folder / path for kind, path in GRAPHS.items()}, folder / WORDS)


def _is_weights(path: Path) -> bool:
    return path.is_file() and path.suffix not in (".json", ".txt", ".md")


def _of_others(folder: Path, name: str) -> ModelCard:
    if not (folder / CONFIG).is_file() or not (folder / PREPROCESS).is_file():
        raise CheckpointError(f"{folder} has ONNX towers, but no {CONFIG} or no {PREPROCESS}: export or fetch it whole")
    config, preprocess = read_json(folder / CONFIG), read_json(folder / PREPROCESS)
    size = preprocess.get("size", config["vision_cfg"]["image_size"])
    size = size[0] if isinstance(size, list) else size
    said = {"model_cfg": {**config, "vision_cfg": {"image_size": size}}, "preprocess_cfg": preprocess}
    text = config.get("text_cfg") or {}
    words = open_clip.text_rules(text)
    return ModelCard(
        name=name,
        family="exported",
        dim=config["embed_dim"],
        patch=1,
        image=_NO_SHAPE,
        text=_NO_SHAPE,
        pixels=open_clip.pixels(said),
        context=text.get("context_length", 77),
        vocabulary=text.get("vocab_size", 49408),
        end_id=text.get("eos_id", 2) if text.get("pool_type") == "eos" else None,
        logit_scale=_USUAL_SCALE,
        causal=not text.get("no_causal_mask", False),
        words=TextRules(
            words.clean,
            "none" if "hf_model_name" in text else words.padding,
            words.pool,
            words.drop_end,
            words.tokenizer,
        ),
    )


def write_card(card: ModelCard, folder: Path) -> None:
    """Write what `read` needs: our own card, and configs that others understand."""
    rules = card.pixels
    preprocess = {
        "size": [rules.size, rules.size],
        "mode": "RGB",
        "mean": rules.mean,
        "std": rules.std,
        "interpolation": rules.interpolation,
        "resize_mode": rules.resize_mode,
        "fill_color": 0,
    }
    _write(folder / OWN, card.as_dict())
    _write(
        folder / CONFIG,
        {"embed_dim": card.dim, "vision_cfg": {"image_size": rules.size}, "text_cfg": _text_config(card)},
    )
    _write(folder / PREPROCESS, preprocess)


def _text_config(card: ModelCard) -> dict[str, Any]:
    """How texts are to be prepared, in open_clip's words."""
    words = card.words
    said: dict[str, Any] = {
        "context_length": card.context,
        "vocab_size": card.vocabulary,
        "no_causal_mask": not card.causal,
        "pool_type": "last" if words.pool == "last" else "argmax" if card.end_id is None else "eos",
    }
    if words.tokenizer:
        cleaning = {"clean": _CLEANING.get(words.clean, "whitespace"), "strip_sep_token": words.drop_end}
        said |= {"hf_tokenizer_name": words.tokenizer, "tokenizer_kwargs": cleaning}
    if card.end_id is not None:
        said["eos_id"] = card.end_id
    return said | ({"hf_model_name": words.tokenizer} if words.padding == "none" else {})


_CLEANING = {"canonicalize": "canonicalize", "siglip": "canonicalize", "lower": "lower"}


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1), "utf-8")


def _from_dict(said: Config, name: str) -> ModelCard:
    """`ModelCard.as_dict` back.

    A field that this version does not know asks for something that it would not do, and so does an unknown word.
    """
    parts: dict[str, Any] = {
        "image": _part(TowerShape, said["image"]),
        "text": _part(TowerShape, said["text"]),
        "pixels": _part(PixelRules, said["pixels"]),
        "words": _part(TextRules, said["words"]),
    }
    card: ModelCard = _part(ModelCard, {**said, **parts, "name": name})
    rules = replace(card.pixels, mean=three(card.pixels.mean), std=three(card.pixels.std))
    if not all(rules.std) or min(card.context, card.dim, rules.size, rules.resize_to) < 1:
        raise ValueError("numbers that cannot be")
    return replace(card, pixels=rules)


def _part(kind: Any, said: Config) -> Any:
    """One of the card's values; the words that its fields may have are those of its types."""
    unknown = set(said) - {field.name for field in fields(kind)}
    for name, hint in get_type_hints(kind).items():
        if get_origin(hint) is Literal and said.get(name, get_args(hint)[0]) not in get_args(hint):
            unknown.add(f"{name}: {said[name]}")
        if hint is int and not isinstance(said.get(name, 0), int):
            raise TypeError(f"{name} is no number")
    if unknown:
        raise CheckpointError(
            f"the model was exported by a later glimpse ({', '.join(sorted(unknown))}): update glimpse"
        )
    return kind(**said)
