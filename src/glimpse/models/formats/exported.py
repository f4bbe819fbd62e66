"""Folders of ONNX towers: what `Encoder.export` writes, and dual encoders as others export them (immich's layout).

    visual/model.onnx    visual/preprocess_cfg.json    textual/model.onnx    textual/tokenizer.json    config.json

Our own folders also have `glimpse.json`, the whole card; of others it is put together from their configs. The towers are not
taken apart: a runtime that reads such files runs them as they are.
"""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from glimpse.errors import CheckpointError
from glimpse.layouts import GRAPHS, read_json
from glimpse.models.formats import open_clip
from glimpse.models.formats.recipes import Config, Model
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
    rules, model = card.pixels, {"embed_dim": card.dim, "vision_cfg": {"image_size": card.pixels.size}}
    text = {"context_length": card.context, "vocab_size": card.vocabulary}
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
    _write(folder / CONFIG, {**model, "text_cfg": text})
    _write(folder / PREPROCESS, preprocess)


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1), "utf-8")


def _from_dict(said: Config, name: str) -> ModelCard:
    """`ModelCard.as_dict` back; a field that this version does not know asks for something that it would not do."""
    unknown = set(said) - {field.name for field in fields(ModelCard)}
    if unknown:
        raise CheckpointError(
            f"the model was exported by a later glimpse ({', '.join(sorted(unknown))}): update glimpse"
        )
    nested = {
        "image": TowerShape(**said["image"]),
        "text": TowerShape(**said["text"]),
        "pixels": PixelRules(
            **{**said["pixels"], "mean": tuple(said["pixels"]["mean"]), "std": tuple(said["pixels"]["std"])}
        ),
        "words": TextRules(**said["words"]),
    }
    return ModelCard(**{**said, **nested, "name": name})
