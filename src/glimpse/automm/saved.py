"""A predictor in a folder: its choices as JSON, and beside them the model's own files. Never a pickle."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from glimpse import layouts, weights
from glimpse.errors import UsageError

FILE = "predictor.json"
MODEL = "model"
VERSION = 1
CHOICES = {
    "problem_type",
    "label",
    "query",
    "response",
    "match_label",
    "classes",
    "eval_metric",
    "column_types",
    "hyperparameters",
}
"""What is kept of a predictor."""

_DAMAGED = "{} is damaged: save the predictor again"


def write(folder: Path, choices: Mapping[str, Any], checkpoint: str, *, standalone: bool) -> None:
    """Write a predictor; what an earlier one left in the folder is replaced, anything else is not touched.

    Args:
        folder: made where it is not there.
        choices: plain values.
        checkpoint: the model's name.
        standalone: put a copy of the model's files beside them, so that it loads without a hub.

    Raises:
        UsageError: the folder holds something that is no predictor of glimpse.
    """
    if folder.exists() and not (folder / FILE).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} holds something else: give an empty or a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=".saving-") as draft:
        if standalone:
            _copy_model(weights.locate(checkpoint), Path(draft) / MODEL)
        told = {"version": VERSION, "checkpoint": None if standalone else checkpoint, **choices}
        (Path(draft) / FILE).write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", "utf-8")
        shutil.rmtree(folder / MODEL, ignore_errors=True)
        for path in sorted(Path(draft).iterdir()):  # the model first, then what names it
            path.replace(folder / path.name)


def read(folder: Path) -> tuple[dict[str, Any], str]:
    """A predictor's choices, and the name or folder of its model.

    Raises:
        UsageError: there is none, or it was written by AutoGluon or by a later glimpse.
    """
    if not (folder / FILE).is_file():
        by_autogluon = (folder / "assets.json").is_file()
        why = "was saved by AutoGluon, whose pickles can run any code" if by_autogluon else f"has no {FILE}"
        raise UsageError(f"{folder} {why}: glimpse loads what its own save() wrote")
    try:
        choices = json.loads((folder / FILE).read_text("utf-8"))
        version, checkpoint = choices.pop("version"), choices.pop("checkpoint")
    except (ValueError, LookupError, AttributeError, TypeError):
        raise UsageError(_DAMAGED.format(folder / FILE)) from None
    if isinstance(version, int) and version > VERSION:
        raise UsageError(f"{folder} was saved by a later glimpse (format {version}): update glimpse")
    if version != VERSION or choices.keys() != CHOICES or not isinstance(choices["hyperparameters"], dict):
        raise UsageError(_DAMAGED.format(folder / FILE))
    return choices, checkpoint or str(folder / MODEL)


def _copy_model(checkpoint: weights.Checkpoint, folder: Path) -> None:
    folder.mkdir()
    layout = "open_clip" if checkpoint.config is not None else layouts.of_folder(checkpoint.folder)
    there = layouts.names_in(checkpoint.folder)
    tensors = layouts.tensor_names(checkpoint.folder, layouts.WEIGHTS[layout])
    for name in (*layouts.SMALL[layout], layouts.INDEX, *tensors):
        if name in there:
            shutil.copyfile(checkpoint.folder / name, folder / name)
    if checkpoint.config is not None:  # open_clip's table knows it, the files need not
        (folder / layouts.OPEN_CLIP_CONFIG).write_text(json.dumps(checkpoint.config), "utf-8")
