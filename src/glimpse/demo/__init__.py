"""The bundled model and pictures: the main job, offline, in seconds.

The model is a tiny CLIP trained on composed emoji scenes (`tools/train_demo_model.py`): for trying and testing, not for
photographs.
"""

import json
from pathlib import Path
from typing import Any

MODEL = Path(__file__).parent / "model"
PICTURES = Path(__file__).parent / "pictures"

QUERIES = (
    "a horse and a carriage",
    "There is an airplane over a car.",
    "a fox in the snow",
    "three sheep in the meadow",
    "a pizza",
)


def captions() -> dict[str, Any]:
    """What is on each bundled picture, and which five stand for the tutorial's."""
    found: dict[str, Any] = json.loads((PICTURES / "captions.json").read_text("utf-8"))
    return found
