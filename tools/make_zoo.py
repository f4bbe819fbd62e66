"""Make `src/glimpse/models/zoo.json` from a listing of open_clip's models: `make_zoo.py INPUT OUTPUT`.

INPUT has, for each architecture, its config and its pretrained tags, as open_clip_torch says them. OUTPUT has the same,
compact: one architecture a line, and of a tag only what differs from OpenAI's preprocessing. Knows neither which
families glimpse supports (`zoo.py` decides that) nor the hub.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

NOTICE = (
    "Model configs and pretrained tags of open_clip_torch 3.3.0 (https://github.com/mlfoundations/open_clip), "
    "MIT License, Copyright (c) 2012-2021 Gabriel Ilharco, Mitchell Wortsman, Nicholas Carlini, Rohan Taori, "
    "Achal Dave, Vaishaal Shankar, John Miller, Hongseok Namkoong, Hannaneh Hajishirzi, Ali Farhadi, Ludwig Schmidt. "
    "Made by tools/make_zoo.py; do not edit."
)
PREPROCESS = {
    "mean": [0.48145466, 0.4578275, 0.40821073],
    "std": [0.26862954, 0.26130258, 0.27577711],
    "interpolation": "bicubic",
    "resize_mode": "shortest",
}


def tag(source: Mapping[str, Any]) -> dict[str, Any]:
    """One pretrained tag: its repository, QuickGELU where it has it, and what differs from OpenAI's preprocessing."""
    repository = "/".join(source["hf_hub"].split("/")[:2])  # the rest is empty, or the name of a pickle
    quick_gelu = {"quick_gelu": True} if source.get("quick_gelu") else {}
    return {"repository": repository} | quick_gelu | {k: source[k] for k in PREPROCESS if source[k] != PREPROCESS[k]}


def compact(value: Any) -> str:
    """JSON without spaces."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def zoo(source: Mapping[str, Any]) -> str:
    """The whole file, one architecture a line."""
    models = {
        arch: {"config": model["config"], "tags": {name: tag(found) for name, found in model["pretrained"].items()}}
        for arch, model in source["models"].items()
    }
    lines = ",\n".join(f"{compact(arch)}:{compact(model)}" for arch, model in models.items())
    return f'{{"notice":{compact(NOTICE)},\n"preprocess":{compact(PREPROCESS)},\n"models":{{\n{lines}\n}}}}\n'


if __name__ == "__main__":
    read, written = map(Path, sys.argv[1:])
    written.write_text(zoo(json.loads(read.read_text("utf-8"))), "utf-8")
