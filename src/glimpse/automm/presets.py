"""AutoGluon's table of problem types and presets: which checkpoint each means. Knows no file and no model."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from glimpse.errors import UsageError

Kind = Literal["image", "text"]

_B32 = "openai/clip-vit-base-patch32"
_L14 = "openai/clip-vit-large-patch14"
_L14_336 = "openai/clip-vit-large-patch14-336"

_ZERO_SHOT = {"default": _L14_336, "medium_quality": _B32, "high_quality": _L14, "best_quality": _L14_336}
_MATCHING = {"default": _B32, "medium_quality": _B32, "high_quality": _L14, "best_quality": _L14_336}
_FEATURES = dict.fromkeys(_MATCHING, _B32)


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem type.

    Attributes:
        name: AutoGluon's.
        checkpoints: preset → checkpoint on the Hugging Face hub.
        matching: whether it is about pairs of a query and a response: embeddings are then one array, not a dict.
        kind: what all its columns hold, where the type says it.
        stands_in_for: what AutoGluon would load, where that is no CLIP and ours stands in for it.
    """

    name: str
    checkpoints: Mapping[str, str]
    matching: bool = True
    kind: Kind | None = None
    stands_in_for: str = ""


PROBLEMS = {
    problem.name: problem
    for problem in (
        Problem("zero_shot_image_classification", _ZERO_SHOT, matching=False),
        Problem("feature_extraction", _FEATURES, matching=False, stands_in_for="a sentence transformer (MiniLM)"),
        Problem("image_text_similarity", _MATCHING),
        Problem("image_similarity", _MATCHING, kind="image", stands_in_for="an image classifier (CAFormer, Swin)"),
        Problem("text_similarity", _MATCHING, kind="text", stands_in_for="a sentence transformer (MiniLM, MPNet)"),
    )
}

_OLD_NAMES = {"zero_shot": "zero_shot_image_classification"}


def problem_of(problem_type: str | None, pipeline: str | None) -> Problem:
    """The problem type by either keyword; AutoGluon called it `pipeline` until 1.0.

    Raises:
        UsageError: neither is given, both are and differ, or no CLIP serves it.
    """
    said = [str(name).lower() for name in (problem_type, pipeline) if name is not None]
    given = [_OLD_NAMES.get(name, name) for name in said]
    if len(set(given)) > 1:
        raise UsageError(f"problem_type={problem_type!r} and pipeline={pipeline!r} differ: give one of them")
    if not given:
        raise UsageError(f"give a problem_type: one of {', '.join(PROBLEMS)}")
    if given[0] not in PROBLEMS:
        raise UsageError(
            f"problem_type {given[0]!r} is not served by a CLIP: {_near(given[0], PROBLEMS)}; for the others use AutoGluon"
        )
    return PROBLEMS[given[0]]


def checkpoint_of(problem: Problem, preset: str | None) -> str:
    """The checkpoint that a preset means; AutoGluon's `_hpo` presets differ from the plain ones in training only.

    Raises:
        UsageError: no such preset.
    """
    asked = str(preset or "default").lower().removesuffix("_hpo")
    if asked not in problem.checkpoints:
        raise UsageError(f"there is no preset {preset!r}: {_near(asked, problem.checkpoints)}")
    return problem.checkpoints[asked]


def _near(text: str, known: Mapping[str, object]) -> str:
    return f"choose from {', '.join(get_close_matches(text, known, n=3) or known)}"
