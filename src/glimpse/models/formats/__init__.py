"""The layouts checkpoints come in, read to a `ModelCard` and canonical weights by the family that claims them.

`hugging_face.py`, `open_clip.py` and `exported.py` know one layout each, `recipes.py` has what they share, `tensors.py` the file format
under them, and `glimpse.layouts` says which layout a folder is. Only the tensors of the tower that is asked for are read.
Knows no runtime and no hub.
"""

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from glimpse import layouts, registry
from glimpse.errors import CheckpointError, ModelUnsupported
from glimpse.layouts import Layout
from glimpse.models.formats import exported, open_clip
from glimpse.models.formats.recipes import Config, Model, Source, checked
from glimpse.models.formats.tensors import Tensors

__all__ = ["Model", "family_of", "read"]


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
    except (KeyError, TypeError, AttributeError, ValueError, ZeroDivisionError) as error:
        raise CheckpointError(f"the config of {folder} is not that of a CLIP ({error!r}): fetch it again") from error


def family_of(layout: Layout, config: Config) -> ModuleType | None:
    """The family whose towers compute what a config describes (of open_clip's layout, a model_cfg); None where none does."""
    return next((family for family in registry.modules("models") if family.claims(layout, config)), None)


def _read(folder: Path, name: str, config: Config | None) -> Model:
    layout: Layout = "open_clip" if config is not None else layouts.of_folder(folder)
    if layout == "onnx":
        return exported.read(folder, name)
    said = config if config is not None else layouts.read_json(folder / layouts.CONFIGS[layout])
    family = family_of(layout, said if layout == "hugging_face" else said.get("model_cfg") or {})
    if family is None:
        raise _unsupported(folder, name, layout, said)
    files = layouts.tensor_files(folder, layouts.WEIGHTS[layout])
    source = Source(layout, folder, name, said, files, Tensors(files))
    card = family.card(source)
    for tower in (card.image, card.text):
        if tower.heads < 1 or tower.width % tower.heads:
            raise CheckpointError(
                f"the config of {folder} has {tower.heads} heads for a width of {tower.width}: fetch it again"
            )
    return checked(source, card, family.recipes(source, card))


def _unsupported(folder: Path, name: str, layout: Layout, config: Config) -> ModelUnsupported:
    """Refuse what the towers do not do, rather than compute something else."""
    if layout == "hugging_face":
        what = f"{folder} holds a model of type {config.get('model_type')!r}"
    else:
        words = ", ".join(open_clip.beyond(config.get("model_cfg") or {}))
        what = f"{name} is not a plain ViT with a plain text transformer ({words})"
    return ModelUnsupported(f"{what}, which glimpse does not support yet: `glimpse models` lists what it does")
