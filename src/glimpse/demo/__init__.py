"""The bundled model and pictures: the main job, offline, in seconds.

The model is a tiny CLIP trained on composed emoji scenes (`tools/train_demo_model.py`): for trying and testing, not for
photographs.
"""

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from glimpse.values import Hit

MODEL = Path(__file__).parent / "model"
PICTURES = Path(__file__).parent / "pictures"

EXPECTED = {
    "a horse with a carriage": "horse-and-carriage.jpg",
    "There is an airplane over a car.": "airplane-over-car.jpg",
    "a fox in the snow": "fox-in-the-snow.jpg",
    "three sheep in the meadow": "three-sheep-in-the-meadow.jpg",
    "a pizza": "pizza-on-red.jpg",
}
"""The five questions of `glimpse demo`, each with the picture that should be found first."""

QUERIES = tuple(EXPECTED)


def captions() -> dict[str, Any]:
    """What is on each bundled picture, and which five stand for the tutorial's."""
    found: dict[str, Any] = json.loads((PICTURES / "captions.json").read_text("utf-8"))
    return found


def answers(*, progress: Callable[[str], object], k: int = 4) -> list[tuple[str, list[Hit]]]:
    """Do the main job: index the bundled pictures into a temporary collection and ask QUERIES of it.

    Returns:
        Each query with its k best hits, whose keys are paths of picture files.
    """
    from glimpse.collection import Collection  # noqa: PLC0415  (heavy, and only needed here)
    from glimpse.encoder import load  # noqa: PLC0415

    with TemporaryDirectory() as folder, Collection(Path(folder) / "demo.db", load("demo")) as pictures:
        report = pictures.index(*sorted(PICTURES.glob("*.jpg")))
        progress(f"{report.indexed} bundled pictures indexed in {report.seconds:.1f} s")
        return [(query, pictures.search(query, k=k)) for query in QUERIES]
