"""What AutoGluon made of our reference checkpoint (`tools/make_automm_goldens.py`), and predictors to hold against it."""

import json
from functools import cache
from typing import Any

import numpy as np

from conftest import DATA
from glimpse.automm import MultiModalPredictor


@cache
def arrays() -> dict[str, np.ndarray]:
    return dict(np.load(DATA / "golden" / "automm.npz"))


@cache
def plain() -> dict[str, Any]:
    return json.loads((DATA / "golden" / "automm.json").read_text("utf-8"))


def predictor(problem_type: str, checkpoint: Any, **more: Any) -> MultiModalPredictor:
    """In float32, as AutoGluon computes on a processor."""
    hyperparameters = {"model.clip.checkpoint_name": str(checkpoint), "env.precision": 32}
    hyperparameters |= more.pop("hyperparameters", {})
    return MultiModalPredictor(problem_type=problem_type, hyperparameters=hyperparameters, **more)
