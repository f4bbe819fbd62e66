"""A repository of the Hugging Face hub, and what of it is on disk: the hub client's cache, read without the client.

huggingface_hub's import costs more than a whole look-up here; `hub_client.py` imports it where something must be fetched.
Knows no model's name and no tensor.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from glimpse import layouts
from glimpse.errors import CheckpointError, ModelNotFound
from glimpse.layouts import Layout

PREFIX = "hf-hub:"

_REPOSITORY = r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*"
_REVISION = r"[\w.-]+(?:/[\w.-]+)*"
_COMMIT = r"[0-9a-f]{40}"


@dataclass(frozen=True, slots=True)
class Repository:
    """A revision of a repository, and where the hub client's cache keeps it (its documented layout)."""

    id: str
    revision: str = "main"

    @classmethod
    def named(cls, name: str) -> Self:
        """Read "hf-hub:org/name" or "hf-hub:org/name@revision".

        Raises:
            ModelNotFound: it is neither.
        """
        found = re.fullmatch(rf"({_REPOSITORY})(?:@({_REVISION}))?", name.removeprefix(PREFIX))
        if not found or ".." in name or "--" in found[1]:
            raise ModelNotFound(f"{name!r} names no repository: write {PREFIX}org/name, or {PREFIX}org/name@revision")
        return cls(found[1], found[2] or "main")

    @property
    def root(self) -> Path:
        """The repository's folder in the cache."""
        return cache_folder() / f"models--{self.id.replace('/', '--')}"

    @property
    def commit(self) -> str | None:
        """Which commit the revision was when it was last fetched."""
        if re.fullmatch(_COMMIT, self.revision):
            return self.revision
        try:
            return (self.root / "refs" / self.revision).read_text().strip() or None
        except OSError:
            return None

    def snapshot(self, commit: str) -> Path:
        """The folder of a commit's files."""
        return self.root / "snapshots" / commit

    def absent(self, commit: str) -> Path:
        """Where the client notes which files a commit does not have."""
        return self.root / ".no_exist" / commit

    def __str__(self) -> str:
        return self.id if self.revision == "main" else f"{self.id}@{self.revision}"


def looks_like_repository(text: str) -> bool:
    """Whether a text could be "org/name"."""
    return re.fullmatch(_REPOSITORY, text) is not None


def cache_folder() -> Path:
    """Where huggingface_hub keeps its cache, by its own rules."""
    said = os.environ.get
    home = said("HF_HOME") or f"{said('XDG_CACHE_HOME') or '~/.cache'}/huggingface"
    hub = said("HF_HUB_CACHE") or said("HUGGINGFACE_HUB_CACHE") or f"{home}/hub"
    return Path(os.path.expandvars(os.path.expanduser(hub)))  # noqa: PTH111 - Path's raises where there is no home


def offline() -> bool:
    """Whether the client has been told to stay off the network."""
    said = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return said.upper() in {"1", "ON", "YES", "TRUE"}


def cached(repository: Repository, *, zoo: bool, words: bool = True) -> tuple[Path, Layout] | None:
    """Find the snapshot on disk, if all that the model needs is in it; another library may have fetched only parts.

    Args:
        repository: what to look for.
        zoo: whether it is asked for by a name of open_clip's table, which has its config.
        words: of these, whether it has a tokenizer of its own; CLIP's comes with glimpse.

    Raises:
        CheckpointError: a config or an index in it is broken.
    """
    commit = repository.commit
    if commit is None:
        return None
    folder = repository.snapshot(commit)
    files = layouts.names_in(folder)
    layout = layouts.of_files(files, lambda: folder / layouts.CONFIG, zoo=zoo)
    if layout == "onnx":
        return (folder, layout) if files.issuperset(layouts.NEEDED) else None
    if layout is None or not files.issuperset(layouts.tensor_names(folder, layouts.WEIGHTS[layout])):
        return None
    if zoo and layout == "open_clip" and not words:
        return folder, layout  # its config is in zoo.json
    settled = files | layouts.names_in(repository.absent(commit))
    pixels = layout == "open_clip" or layouts.PREPROCESSOR in settled
    settled_words = "tokenizer.json" in files or settled.issuperset({"tokenizer.json", "vocab.json", "merges.txt"})
    return (folder, layout) if pixels and settled_words else None


def is_cached(repository: Repository, *, words: bool) -> bool:
    """Whether a model of open_clip's table is on disk; one broken file must not hide the list."""
    try:
        return cached(repository, zoo=True, words=words) is not None
    except CheckpointError:
        return False
