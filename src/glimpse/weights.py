"""A model's name → verified local files: `demo`, `arch/tag` of open_clip's zoo, `hf-hub:org/name`, or a folder.

What is on disk is found without the network and without importing huggingface_hub, whose import costs more than the whole
look-up; what is not is fetched. Knows the four kinds of names; `zoo.py`, `layouts.py` and `hub.py` know the rest.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from glimpse import hub, layouts, zoo
from glimpse.errors import DownloadError, ModelNotFound, ModelUnsupported
from glimpse.hub import Repository
from glimpse.layouts import Config, Layout

_DEMO = Path(__file__).parent / "demo" / "model"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model's files, all there and whole.

    Attributes:
        name: canonical: "demo", "ViT-B-32/openai", "hf-hub:org/name", or the folder's absolute path.
        folder: holds the files.
        config: for a zoo name, what its `open_clip_config.json` would say (`model_cfg`, `preprocess_cfg`);
            None where the folder's own config decides.
    """

    name: str
    folder: Path
    config: Config | None


@dataclass(frozen=True, slots=True)
class Listing:
    """One model that has a name of its own: what `glimpse models` shows."""

    name: str
    family: str
    image_size: int
    dim: int
    supported: bool
    on_disk: bool
    repository: str


def locate(name: str | os.PathLike[str], *, progress: bool = False) -> Checkpoint:
    """Find a model's files, and fetch them first where they are not on disk.

    Args:
        name: "demo", "arch/tag", "hf-hub:org/name" (or "hf-hub:org/name@revision"), or a folder. A string that is a
            model's name means the model, even beside a folder called the same; "./demo" means the folder.
        progress: show the hub client's progress bar while fetching.

    Raises:
        ModelNotFound: no such name, folder, repository or revision.
        ModelUnsupported: a zoo model of a family whose towers glimpse does not have.
        CheckpointError: the files are pickles, cut short, or missing.
        DownloadError: not on disk, and the hub refused, could not be reached, or broke off.
    """
    if name == "demo":
        return _from_folder("demo", _DEMO)
    if isinstance(name, str) and name in zoo.names():
        return _from_zoo(name, progress=progress)
    if isinstance(name, str) and name.startswith(hub.PREFIX):
        return _from_hub(name, progress=progress)
    # os.path's, because Path's raise where there is no such user, or the name is too long to be a file's.
    folder = os.path.expanduser(name)  # noqa: PTH111
    if os.path.isdir(folder):  # noqa: PTH112
        whole = Path(folder).resolve()
        return _from_folder(str(whole), whole)
    raise ModelNotFound(_no_such_model(name))


def listings() -> list[Listing]:
    """Every model with a name of its own: the demo model, then open_clip's zoo."""
    return [_demo_listing(), *(_zoo_listing(zoo.entry(name)) for name in zoo.names())]


def _from_folder(name: str, folder: Path) -> Checkpoint:
    layouts.checked(folder)
    return Checkpoint(name, folder, None)


def _from_zoo(name: str, *, progress: bool) -> Checkpoint:
    entry = zoo.entry(name)
    if not entry.supported:
        raise ModelUnsupported(
            f"{name} is of the {entry.family} family, whose towers glimpse does not have yet: "
            "`glimpse models` lists the models that it supports"
        )
    folder, layout = _on_disk_or_fetched(
        name, Repository(entry.repository), zoo=True, words=entry.has_words, progress=progress
    )
    return Checkpoint(name, folder, entry.config if layout == "open_clip" else None)


def _from_hub(name: str, *, progress: bool) -> Checkpoint:
    folder, _ = _on_disk_or_fetched(name, Repository.named(name), zoo=False, words=True, progress=progress)
    return Checkpoint(name, folder, None)


def _on_disk_or_fetched(
    name: str, repository: Repository, *, zoo: bool, words: bool, progress: bool
) -> tuple[Path, Layout]:
    found = hub.cached(repository, zoo=zoo, words=words)
    if found is None and hub.offline():
        raise DownloadError(
            f"{name} is not (or not wholly) on this disk, and HF_HUB_OFFLINE is set: unset it once to fetch the model, "
            f"or copy {repository.root} from a machine that has it"
        )
    folder, layout = found or _fetch(repository, zoo=zoo, progress=progress)
    if layout != "onnx":
        layouts.tensor_files(folder, layouts.WEIGHTS[layout])
    return folder, layout


def _fetch(repository: Repository, *, zoo: bool, progress: bool) -> tuple[Path, Layout]:
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # the client reads it when it is imported
    from glimpse import hub_client  # noqa: PLC0415 - imports the client; see the module's docstring

    return hub_client.fetch(repository, zoo=zoo, progress=progress)


def _demo_listing() -> Listing:
    path = _DEMO / layouts.CONFIG
    config = json.loads(path.read_bytes()) if path.is_file() else {}
    return Listing(
        name="demo",
        family="clip",
        image_size=config.get("vision_config", {}).get("image_size", 0),
        dim=config.get("projection_dim", 0),
        supported=True,
        on_disk=path.is_file(),
        repository="",
    )


def _zoo_listing(entry: zoo.Entry) -> Listing:
    return Listing(
        name=entry.name,
        family=entry.family,
        image_size=entry.image_size,
        dim=entry.dim,
        supported=entry.supported,
        on_disk=hub.is_cached(Repository(entry.repository), words=entry.has_words),
        repository=entry.repository,
    )


def _no_such_model(name: str | os.PathLike[str]) -> str:
    """The sentence for a name that is nothing, with what it may have meant."""
    text = os.fspath(name)
    if not isinstance(name, str) or text.startswith((".", "/", "~")) or "\\" in text:
        return f"there is no folder {text}: check the path, or name a model that `glimpse models` lists"
    arch, slash, _ = text.partition("/")
    tags, near = zoo.names_of(arch), zoo.near(text, "demo")
    if not slash:
        near = [*tags, *(known for known in near if known not in tags)]
    hints = [f"did you mean {', '.join(near[:5])}{' …' if near[5:] else ''}?"] if near else []
    if hub.looks_like_repository(text) and not tags:
        hints.append(f"If it is a repository of the Hugging Face hub, put {hub.PREFIX} before it: {hub.PREFIX}{text}.")
    return " ".join([f"there is no model {text!r}:", *hints, "`glimpse models` lists the names."])
