"""The layouts checkpoints come in, read to a `ModelCard` and canonical weights (the names of `clip.tower_shapes`).

Each file here knows one layout and has one verb, `read(folder, name, config) -> Model`; `recipes.py` has what they
share, `tensors.py` the file format under them, and `glimpse.layouts` says which layout a folder is. Only the tensors of
the tower that is asked for are read. Knows no runtime and no hub.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glimpse import layouts
from glimpse.errors import CheckpointError
from glimpse.models.formats import hugging_face, open_clip
from glimpse.models.formats.recipes import Model

__all__ = ["Model", "read"]


def read(folder: Path, name: str, config: Mapping[str, Any] | None = None) -> Model:
    """Read what a folder holds.

    Args:
        folder: the checkpoint.
        name: what to call it.
        config: what open_clip's config would say, where the folder's own is not to be used.

    Raises:
        CheckpointError: a file or tensor is missing, or has a wrong shape; named.
        ModelUnsupported: towers that glimpse does not have yet.
    """
    try:
        return _read(folder, name, config)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise CheckpointError(f"the config of {folder} is not that of a CLIP ({error!r}): fetch it again") from error


def _read(folder: Path, name: str, config: Mapping[str, Any] | None) -> Model:
    if config is not None:
        return open_clip.read(folder, name, config)
    if layouts.of_folder(folder) == "open_clip":
        return open_clip.read(folder, name, layouts.read_json(folder / layouts.OPEN_CLIP_CONFIG))
    return hugging_face.read(folder, name, layouts.read_json(folder / layouts.CONFIG))
