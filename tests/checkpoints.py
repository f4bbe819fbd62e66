"""Checkpoints to look for: folders of files, whole as far as their headers go, and the hub client's cache of them.

Knows nothing of glimpse.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

TAGGED = "ViT-B-32/openai"
TIMM = "timm/vit_base_patch32_clip_224.openai"

HUGGING_FACE: dict[str, Any] = {"config.json": {"model_type": "clip"}, "model.safetensors": 10}
WORDS: dict[str, Any] = {"tokenizer.json": {}, "vocab.json": {}, "merges.txt": "a b", "preprocessor_config.json": {}}
OPEN_CLIP: dict[str, Any] = {"open_clip_config.json": {"model_cfg": {}}, "open_clip_model.safetensors": 10}
NEVER: dict[str, Any] = {
    "pytorch_model.bin": "x",
    "open_clip_pytorch_model.bin": "x",
    "README.md": "x",
    "model.py": "x",
    "a.pt": "x",
}
SHARDED: dict[str, Any] = {
    "config.json": {"model_type": "clip"},
    "model.safetensors.index.json": {"weight_map": {"a": "model-1-of-2.safetensors", "b": "model-2-of-2.safetensors"}},
    "model-1-of-2.safetensors": 10,
    "model-2-of-2.safetensors": 20,
}


def write(folder: Path, files: Mapping[str, Any]) -> Path:
    """A folder of files: a number is a safetensors file with so many floats, a text or JSON is itself."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        if isinstance(content, int):
            save_file({"logit_scale": np.zeros(content, np.float32)}, folder / name)
        else:
            (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def cache_snapshot(home: Path, repository: str, files: Mapping[str, Any]) -> Path:
    """A snapshot as any client leaves it."""
    root, commit = home / "hub" / f"models--{repository.replace('/', '--')}", "c" * 40
    write(root / "refs", {"main": commit})
    return write(root / "snapshots" / commit, files)
