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

Config = Mapping[str, Any]

SUPPORTED = "clip"

_PLAIN_MODEL = {"embed_dim", "vision_cfg", "text_cfg", "quick_gelu"}
_PLAIN_VISION = {"image_size", "layers", "width", "patch_size", "head_width", "mlp_ratio"}
_PLAIN_TEXT = {"context_length", "vocab_size", "width", "heads", "layers", "mlp_ratio"}

# What an architecture's name contains → its family; the first that fits.
_FAMILIES = {
    "coca": "coca",
    "nllb": "nllb-clip",
    "xlm-roberta": "clip + xlm-roberta",
    "roberta": "clip + roberta",
    "convnext": "convnext",
    "eva01": "eva01",
    "eva02": "eva02",
    "siglip2": "siglip2",
    "siglip": "siglip",
    "clipa": "clipa",
    "mobileclip": "mobileclip",
    "vitamin": "vitamin",
    "pe-core": "pe-core",
    "worldwide": "worldwide",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One model of the table.

    Attributes:
        name: "arch/tag", as open_clip has it.
        family: which towers it needs; "clip" are those that glimpse has.
        repository: where on the Hugging Face hub its files are.
        config: what its `open_clip_config.json` would say (`model_cfg`, `preprocess_cfg`).
    """

    name: str
    family: str
    repository: str
    config: Config

    @property
    def supported(self) -> bool:
        """Whether glimpse has its towers."""
        return self.family == SUPPORTED

    @property
    def image_size(self) -> int:
        """Pixels along a side of what its image tower takes."""
        size: int = self.config["model_cfg"]["vision_cfg"]["image_size"]
        return size

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
    config, found = model["config"], model["tags"][tag]
    return Entry(name, _family(arch, config), found["repository"], _as_checkpoint(config, found))


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


def beyond_plain(config: Config) -> list[str]:
    """Words of a model_cfg that plain ViT and text towers do not know, sorted; what they ask for would be left undone."""
    vision, text = config.get("vision_cfg") or {}, config.get("text_cfg") or {}
    known = ((config, _PLAIN_MODEL), (vision, _PLAIN_VISION), (text, _PLAIN_TEXT))
    words = {key for part, keys in known for key, value in part.items() if value and key not in keys}
    return sorted(words if isinstance(vision.get("patch_size"), int) else {*words, "no patches"})


def _family(arch: str, config: Config) -> str:
    """Which towers an architecture needs."""
    if isinstance(config["vision_cfg"].get("layers"), list):
        return "resnet"
    if not beyond_plain(config):
        return SUPPORTED
    return next((family for part, family in _FAMILIES.items() if part in arch.lower()), "other")
