"""open_clip's table of models (`models/zoo.json`): which names there are, and what each needs.

Knows neither the disk nor the hub: an entry only says in which repository its files are.
"""

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from glimpse.models import formats

Config = Mapping[str, Any]

# Towers that glimpse does not have: what an architecture's name contains → what it needs; the first that fits.
_MISSING = {
    "coca": "coca",
    "nllb": "nllb",
    "convnext": "convnext",
    "mobileclip": "fastvit",
    "vitamin": "vitamin",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One model of the table.

    Attributes:
        name: "arch/tag", as open_clip has it.
        family: which towers it needs: a file of `models/`, or a word for what glimpse does not have.
        supported: whether glimpse has them.
        repository: where on the Hugging Face hub its files are.
        config: what its `open_clip_config.json` would say (`model_cfg`, `preprocess_cfg`).
    """

    name: str
    family: str
    supported: bool
    repository: str
    config: Config

    @property
    def image_size(self) -> int:
        """Pixels along a side of what its image tower takes."""
        size: int = self.config["model_cfg"]["vision_cfg"]["image_size"]
        return size

    @property
    def has_words(self) -> bool:
        """Whether it has a tokenizer of its own."""
        return bool(self.config["model_cfg"]["text_cfg"].get("hf_tokenizer_name"))

    @property
    def dim(self) -> int:
        """Width of its vectors."""
        dim: int = self.config["model_cfg"]["embed_dim"]
        return dim


@cache
def names() -> tuple[str, ...]:
    """Every name, "arch/tag", in the table's order."""
    return tuple(f"{arch}/{tag}" for arch, model in _table()["models"].items() for tag in model["tags"])


def entry(name: str) -> Entry:
    """The model of a name that `names` has."""
    arch, _, tag = name.partition("/")
    model = _table()["models"][arch]
    config = _as_checkpoint(model["config"], model["tags"][tag])
    family = formats.family_of("open_clip", config["model_cfg"])
    towers = family.__name__.rpartition(".")[2] if family else _missing(arch, model["config"])
    return Entry(name, towers, family is not None, model["tags"][tag]["repository"], config)


def names_of(arch: str) -> list[str]:
    """The names of one architecture, none where the table does not have it."""
    return [name for name in names() if name.startswith(f"{arch}/")]


def near(text: str, *others: str) -> list[str]:
    """Up to five names, or `others`, that are spelt nearly like a text; the nearest first."""
    lower = {known.lower(): known for known in (*others, *names())}
    return [lower[found] for found in difflib.get_close_matches(text.lower(), lower, n=5)]


@cache
def _table() -> Config:
    table: Config = json.loads((Path(__file__).parent / "models" / "zoo.json").read_bytes())
    return table


def _as_checkpoint(config: Config, tag: Config) -> Config:
    """What the model's `open_clip_config.json` would say. A tag's QuickGELU stands although the config is silent."""
    quick_gelu = bool(config.get("quick_gelu") or tag.get("quick_gelu"))
    defaults = _table()["preprocess"]
    return {
        "model_cfg": {**config, "quick_gelu": quick_gelu},
        "preprocess_cfg": {key: tag.get(key, default) for key, default in defaults.items()},
    }


def _missing(arch: str, config: Config) -> str:
    """What an architecture needs that glimpse does not have."""
    if isinstance(config["vision_cfg"].get("layers"), list):
        return "resnet"
    return next((family for part, family in _MISSING.items() if part in arch.lower()), "other")
