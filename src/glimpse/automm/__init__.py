"""The AutoGluon face: what AutoGluon MultiModal's users call for CLIP, with the same names and arguments.

    from glimpse.automm import MultiModalPredictor

    predictor = MultiModalPredictor(problem_type="zero_shot_image_classification")
    rows = predictor.extract_embedding({"image": ["a.jpg", "b.jpg"]})["image"]

Where AutoGluon is wrong this is right; `docs/automm.md` says where. Nothing in the rest of glimpse knows of it. Each name is
fetched when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from glimpse.automm.fetch import download
    from glimpse.automm.matching import compute_semantic_similarity, convert_data_for_ranking, semantic_search
    from glimpse.automm.predictor import MultiModalPredictor
    from glimpse.automm.ranking import compute_ranking_score

__all__ = [
    "MultiModalPredictor",
    "compute_ranking_score",
    "compute_semantic_similarity",
    "convert_data_for_ranking",
    "download",
    "semantic_search",
]

_HOMES = {
    "MultiModalPredictor": "predictor",
    "compute_ranking_score": "ranking",
    "compute_semantic_similarity": "matching",
    "convert_data_for_ranking": "matching",
    "download": "fetch",
    "semantic_search": "matching",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"glimpse.automm.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'glimpse.automm' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
