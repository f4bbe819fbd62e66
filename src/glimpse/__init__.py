"""glimpse: pictures, footage and words as CLIP embeddings, and pictures found by words.

    encoder = glimpse.load("ViT-B-32-256/datacomp_s34b_b86k")
    photos = glimpse.Collection("photos.db", model=encoder)
    photos.index("~/Pictures")
    hits = photos.search("a carriage")

Importing this imports nothing else; each name is fetched when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from glimpse import errors
    from glimpse.collection import Collection
    from glimpse.encoder import Encoder, load
    from glimpse.values import (
        Failure,
        Filter,
        Hit,
        Moment,
        Progress,
        Report,
        Sampling,
        SearchFacts,
        Selection,
    )

__version__ = "0.1.0"
__all__ = [
    "Collection",
    "Encoder",
    "Failure",
    "Filter",
    "Hit",
    "Moment",
    "Progress",
    "Report",
    "Sampling",
    "SearchFacts",
    "Selection",
    "errors",
    "load",
]

_HOMES = {
    "load": "encoder",
    "Encoder": "encoder",
    "Collection": "collection",
    "Hit": "values",
    "Failure": "values",
    "Filter": "values",
    "Moment": "values",
    "Progress": "values",
    "Report": "values",
    "Sampling": "values",
    "SearchFacts": "values",
    "Selection": "values",
}


def __getattr__(name: str) -> Any:
    if name == "errors":
        return import_module("glimpse.errors")
    if name in _HOMES:
        return getattr(import_module(f"glimpse.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'glimpse' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
