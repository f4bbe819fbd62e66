"""AutoGluon's other home of the same functions: `from autogluon.multimodal.utils import …` needs one word changed."""

from glimpse.automm.fetch import download
from glimpse.automm.matching import compute_semantic_similarity, convert_data_for_ranking, semantic_search
from glimpse.automm.ranking import compute_ranking_score

__all__ = [
    "compute_ranking_score",
    "compute_semantic_similarity",
    "convert_data_for_ranking",
    "download",
    "semantic_search",
]
