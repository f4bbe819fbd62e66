"""A model's name → verified local files: `demo`, `arch/tag` of open_clip's zoo, `hf-hub:org/name`, or a folder.

What is on disk is found without the network and without importing huggingface_hub, whose import costs more than the
whole look-up; what is not is fetched through it, into its own cache. Only safetensors, configs and tokenizers are ever
asked for; a pickle never. Knows no tensor, no card and no tower: `models/formats.py` judges what the files hold.
"""

import errno
import hashlib
import json
import logging
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

from glimpse.errors import CheckpointError, DownloadError, GlimpseError, ModelError, ModelNotFound, ModelUnsupported

Config = Mapping[str, Any]
Layout = Literal["hugging_face", "open_clip"]

_DEMO = Path(__file__).parent / "demo" / "model"
_SUPPORTED = "clip"
_HUB = "hf-hub:"

_OPEN_CLIP = "open_clip_model.safetensors"
_OPEN_CLIP_CONFIG = "open_clip_config.json"
_WHOLE = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_PREPROCESSOR = "preprocessor_config.json"
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.json", "merges.txt")
_SMALL: Mapping[Layout, tuple[str, ...]] = {
    "hugging_face": ("config.json", _PREPROCESSOR, *_TOKENIZER),
    "open_clip": (_OPEN_CLIP_CONFIG, *_TOKENIZER),
}
_PICKLES = (".bin", ".pt", ".pth", ".ckpt")
_LARGEST_HEADER = 100_000_000  # bytes; the limit of the safetensors library itself


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
        return Checkpoint("demo", _verified(_DEMO), None)
    if isinstance(name, str) and name in _zoo_names():
        return _from_zoo(name, progress=progress)
    if isinstance(name, str) and name.startswith(_HUB):
        return _from_hub(name, progress=progress)
    # os.path's, because Path's raise where there is no such user, or the name is too long to be a file's.
    folder = os.path.expanduser(name)  # noqa: PTH111
    if os.path.isdir(folder):  # noqa: PTH112
        return Checkpoint(str(Path(folder).resolve()), _verified(Path(folder).resolve()), None)
    raise ModelNotFound(_no_such_model(name))


def listings() -> list[Listing]:
    """Every model with a name of its own: the demo model, then open_clip's zoo."""
    return [_demo_listing(), *(_zoo_listing(name) for name in _zoo_names())]


# Names ----------------------------------------------------------------------------------------------------------------


@cache
def _zoo() -> Config:
    zoo: Config = json.loads((Path(__file__).parent / "models" / "zoo.json").read_bytes())
    return zoo


@cache
def _zoo_names() -> tuple[str, ...]:
    return tuple(f"{arch}/{tag}" for arch, model in _zoo()["models"].items() for tag in model["tags"])


def _zoo_entry(name: str) -> tuple[str, Config, Config]:
    """A zoo name's family, model config and tag."""
    arch, _, tag = name.partition("/")
    model = _zoo()["models"][arch]
    return _family(arch, model["config"]), model["config"], model["tags"][tag]


def _zoo_config(config: Config, tag: Config) -> Config:
    """What the model's `open_clip_config.json` would say. A tag's QuickGELU stands although the config is silent."""
    quick_gelu = bool(config.get("quick_gelu") or tag.get("quick_gelu"))
    defaults = _zoo()["preprocess"]
    return {
        "model_cfg": {**config, "quick_gelu": quick_gelu},
        "preprocess_cfg": {key: tag.get(key, default) for key, default in defaults.items()},
    }


_PLAIN_MODEL = {"embed_dim", "vision_cfg", "text_cfg", "quick_gelu"}
_PLAIN_VISION = {"image_size", "layers", "width", "patch_size", "head_width", "mlp_ratio"}
_PLAIN_TEXT = {"context_length", "vocab_size", "width", "heads", "layers", "mlp_ratio"}

# What an architecture's name contains → its family; the first that fits.
_FAMILIES = {
    "coca": "coca",
    "nllb": "nllb-clip",
    "xlm-roberta": "clip + xlm-roberta",
    "roberta": "clip + roberta",
    "convnext": "convnext",
    "eva01": "eva01",
    "eva02": "eva02",
    "siglip2": "siglip2",
    "siglip": "siglip",
    "clipa": "clipa",
    "mobileclip": "mobileclip",
    "vitamin": "vitamin",
    "pe-core": "pe-core",
    "worldwide": "worldwide",
}


def _family(arch: str, config: Config) -> str:
    """Which towers an architecture needs: "clip" only if every word of its config is one that plain towers know."""
    vision, text = config["vision_cfg"], config["text_cfg"]
    if isinstance(vision.get("layers"), list):
        return "resnet"
    known = ((config, _PLAIN_MODEL), (vision, _PLAIN_VISION), (text, _PLAIN_TEXT))
    extra = any(value and key not in keys for part, keys in known for key, value in part.items())
    if isinstance(vision.get("patch_size"), int) and not extra:
        return _SUPPORTED
    return next((family for part, family in _FAMILIES.items() if part in arch.lower()), "other")


def _demo_listing() -> Listing:
    path = _DEMO / "config.json"
    config = json.loads(path.read_bytes()) if path.is_file() else {}
    size = config.get("vision_config", {}).get("image_size", 0)
    return Listing(
        name="demo",
        family=_SUPPORTED,
        image_size=size,
        dim=config.get("projection_dim", 0),
        supported=True,
        on_disk=path.is_file(),
        repository="",
    )


def _zoo_listing(name: str) -> Listing:
    family, config, tag = _zoo_entry(name)
    return Listing(
        name=name,
        family=family,
        image_size=config["vision_cfg"]["image_size"],
        dim=config["embed_dim"],
        supported=family == _SUPPORTED,
        on_disk=_is_cached(_Repository(tag["repository"])),
        repository=tag["repository"],
    )


def _no_such_model(name: str | os.PathLike[str]) -> str:
    """The sentence for a name that is nothing, with what it may have meant."""
    text = os.fspath(name)
    if not isinstance(name, str) or text.startswith((".", "/", "~")) or "\\" in text:
        return f"there is no folder {text}: check the path, or name a model that `glimpse models` lists"
    arch, slash, _ = text.partition("/")
    tags = [known for known in _zoo_names() if known.startswith(f"{arch}/")]
    near = [*tags, *(known for known in _near(text) if known not in tags)] if tags and not slash else _near(text)
    hints = [f"did you mean {', '.join(near[:5])}{' …' if near[5:] else ''}?"] if near else []
    if re.fullmatch(_REPOSITORY, text) and not tags:
        hints.append(f"If it is a repository of the Hugging Face hub, put {_HUB} before it: {_HUB}{text}.")
    return " ".join([f"there is no model {text!r}:", *hints, "`glimpse models` lists the names."])


def _near(text: str) -> list[str]:
    import difflib  # noqa: PLC0415 - only a mistake needs it

    lower = {known.lower(): known for known in ("demo", *_zoo_names())}
    return [lower[found] for found in difflib.get_close_matches(text.lower(), lower, n=5)]


# Each kind of name ----------------------------------------------------------------------------------------------------


def _from_zoo(name: str, *, progress: bool) -> Checkpoint:
    family, config, tag = _zoo_entry(name)
    if family != _SUPPORTED:
        raise ModelUnsupported(
            f"{name} is of the {family} family, whose towers glimpse does not have yet: "
            "`glimpse models` lists the models that it supports"
        )
    folder, layout = _on_disk_or_fetched(name, _Repository(tag["repository"]), zoo=True, progress=progress)
    return Checkpoint(name, folder, _zoo_config(config, tag) if layout == "open_clip" else None)


def _from_hub(name: str, *, progress: bool) -> Checkpoint:
    found = re.fullmatch(rf"({_REPOSITORY})(?:@({_REVISION}))?", name.removeprefix(_HUB))
    if not found or ".." in name or "--" in found[1]:
        raise ModelNotFound(f"{name!r} names no repository: write {_HUB}org/name, or {_HUB}org/name@revision")
    repository = _Repository(found[1], found[2] or "main")
    return Checkpoint(name, _on_disk_or_fetched(name, repository, zoo=False, progress=progress)[0], None)


def _on_disk_or_fetched(name: str, repository: "_Repository", *, zoo: bool, progress: bool) -> tuple[Path, Layout]:
    found = _cached(repository, zoo=zoo)
    if found is None and _offline():
        raise DownloadError(
            f"{name} is not (or not wholly) on this disk, and HF_HUB_OFFLINE is set: unset it once to fetch the model, "
            f"or copy {repository.root} from a machine that has it"
        )
    folder, layout = found or _fetch(repository, zoo=zoo, progress=progress)
    for file in _weights(folder, layout):
        _verify(folder / file)
    return folder, layout


def _verified(folder: Path) -> Path:
    """A local folder, once it is known to hold whole weights."""
    layout = _layout(_names(folder), lambda: folder / "config.json", zoo=False)
    if layout is None:
        raise _no_checkpoint(str(folder), _names(folder))
    for file in _weights(folder, layout):
        _verify(folder / file)
    return folder


# What a set of files is -----------------------------------------------------------------------------------------------


def _layout(files: Collection[str], config: Callable[[], Path], *, zoo: bool) -> Layout | None:
    """The layout to use, None where none is complete. `config` gets config.json; asked for only where both are there."""
    open_clip = _OPEN_CLIP in files and (zoo or _OPEN_CLIP_CONFIG in files)
    hugging_face = "config.json" in files and (_WHOLE in files or _INDEX in files)
    if open_clip and (zoo or not hugging_face or _model_type(config()) != "clip"):
        return "open_clip"  # timm's repositories also have a config.json, which is timm's own
    return "hugging_face" if hugging_face else None


def _model_type(path: Path) -> Any:
    config = _json(path)
    return config.get("model_type") if isinstance(config, dict) else None


def _no_checkpoint(where: str, files: Collection[str]) -> ModelError:
    pickles = sorted(file for file in files if file.endswith(_PICKLES))
    if pickles and not any(file.endswith(".safetensors") for file in files):
        return CheckpointError(
            f"{where} has its weights only as a pickle ({pickles[0]}), which can run any code when it is loaded: "
            "convert it with the safetensors library, or name a repository or revision that has safetensors"
        )
    return CheckpointError(
        f"{where} holds no checkpoint: it needs config.json and {_WHOLE} (Hugging Face), "
        f"or {_OPEN_CLIP_CONFIG} and {_OPEN_CLIP} (open_clip)"
    )


def _weights(folder: Path, layout: Layout) -> tuple[str, ...]:
    """Names of the files with tensors, as a folder that has its configs says."""
    if layout == "open_clip":
        return (_OPEN_CLIP,)
    if (folder / _WHOLE).is_file() or not (folder / _INDEX).is_file():
        return (_WHOLE,)
    try:
        shards = sorted(set(_json(folder / _INDEX)["weight_map"].values()))
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{(folder / _INDEX).resolve()} names no shards: delete it and try again") from error
    for shard in shards:
        # The index comes from outside: it may name files beside itself and no others.
        if not isinstance(shard, str) or not re.fullmatch(r"[\w.-]+\.safetensors", shard):
            raise CheckpointError(f"{folder / _INDEX} names {shard!r}, which is not a shard: use another checkpoint")
    return tuple(shards)


def _names(folder: Path) -> set[str]:
    try:
        return {entry.name for entry in os.scandir(folder) if entry.is_file()}
    except OSError:
        return set()


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path.resolve()} cannot be read as JSON: delete it and try again") from error


def _verify(path: Path) -> None:
    """Hold a safetensors file's length against what its header says."""
    real = path.resolve()  # in the hub's cache the file is a link, and deleting a link mends nothing
    try:
        with real.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(length, _LARGEST_HEADER)))
            ends = (tensor["data_offsets"][1] for key, tensor in header.items() if key != "__metadata__")
            expected = 8 + length + max(ends, default=0)
        size = real.stat().st_size
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is missing: add it, or delete {path.parent} and try again") from error
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror}): see to its permissions") from error
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(
            f"{real} is not a safetensors file, or only a part of one: delete it and try again"
        ) from error
    if size != expected:
        raise CheckpointError(
            f"{real} is {size:,} bytes long where its header says {expected:,}: delete it and try again"
        )


# The hub client's cache, read without the client ----------------------------------------------------------------------

_REPOSITORY = r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*"
_REVISION = r"[\w.-]+(?:/[\w.-]+)*"
_COMMIT = r"[0-9a-f]{40}"


@dataclass(frozen=True, slots=True)
class _Repository:
    """A revision of a repository, and where the hub client's cache keeps it (its documented layout)."""

    id: str
    revision: str = "main"

    @property
    def root(self) -> Path:
        return _cache_folder() / f"models--{self.id.replace('/', '--')}"

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
        return self.root / "snapshots" / commit

    def absent(self, commit: str) -> Path:
        """Where the client notes which files a commit does not have."""
        return self.root / ".no_exist" / commit

    def __str__(self) -> str:
        return self.id if self.revision == "main" else f"{self.id}@{self.revision}"


def _cache_folder() -> Path:
    """Where huggingface_hub keeps its cache, by its own rules."""
    said = os.environ.get
    home = said("HF_HOME") or f"{said('XDG_CACHE_HOME') or '~/.cache'}/huggingface"
    hub = said("HF_HUB_CACHE") or said("HUGGINGFACE_HUB_CACHE") or f"{home}/hub"
    return Path(os.path.expandvars(os.path.expanduser(hub)))  # noqa: PTH111 - Path's raises where there is no home


def _offline() -> bool:
    said = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return said.upper() in {"1", "ON", "YES", "TRUE"}


def _cached(repository: _Repository, *, zoo: bool) -> tuple[Path, Layout] | None:
    """The snapshot on disk, if all that the model needs is in it; another library may have fetched only parts."""
    commit = repository.commit
    if commit is None:
        return None
    folder = repository.snapshot(commit)
    files = _names(folder)
    layout = _layout(files, lambda: folder / "config.json", zoo=zoo)
    if layout is None or not files.issuperset(_weights(folder, layout)):
        return None
    if zoo and layout == "open_clip":
        return folder, layout  # its config is in zoo.json, and its tokenizer comes with glimpse
    settled = files | _names(repository.absent(commit))
    pixels = layout == "open_clip" or _PREPROCESSOR in settled
    words = "tokenizer.json" in files or settled.issuperset({"tokenizer.json", "vocab.json", "merges.txt"})
    return (folder, layout) if pixels and words else None


def _is_cached(repository: _Repository) -> bool:
    try:
        return _cached(repository, zoo=True) is not None
    except CheckpointError:  # one broken file must not hide the list
        return False


# Fetching, with the client --------------------------------------------------------------------------------------------


def _fetch(repository: _Repository, *, zoo: bool, progress: bool) -> tuple[Path, Layout]:
    """Fetch what a repository has of one layout: small files first, so that weights on disk mean that all is there."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    with _explained(repository), _quiet(unless=progress):
        from huggingface_hub import HfApi, constants  # noqa: PLC0415 - see the module's docstring

        info = HfApi().model_info(
            repository.id, revision=repository.revision, timeout=float(constants.HF_HUB_ETAG_TIMEOUT)
        )
        files = {sibling.rfilename for sibling in info.siblings or ()}
        commit = str(info.sha)
        folder = repository.snapshot(commit)
        get = partial(_download, repository, commit, progress=progress)
        layout = _layout(files, lambda: get("config.json"), zoo=zoo)
        if layout is None:
            raise _no_checkpoint(f"the repository {repository}", files)
        index = (_INDEX,) if layout == "hugging_face" and _WHOLE not in files else ()
        for file in (*_SMALL[layout], *index):
            if file in files:
                get(file)
        for file in _weights(folder, layout) if index or layout == "open_clip" else (_WHOLE,):
            get(file)
        _remember(repository, commit, set(_SMALL[layout]) - files)
    return folder, layout


def _download(repository: _Repository, commit: str, file: str, *, progress: bool) -> Path:
    """Fetch one file into the client's cache."""
    from huggingface_hub import hf_hub_download  # noqa: PLC0415
    from tqdm.auto import tqdm  # type: ignore[import-untyped]  # noqa: PLC0415

    # A bar for the weights only: the rest is there at once.
    bar: Any = None if progress and file.endswith(".safetensors") else partial(tqdm, disable=True)
    if file.endswith(".safetensors") and not (repository.snapshot(commit) / file).is_file():
        _download_blob(repository, commit, file, bar)
    # Where the blob is there, this only links it.
    return Path(hf_hub_download(repository.id, file, revision=commit, cache_dir=_cache_folder(), tqdm_class=bar))


def _download_blob(repository: _Repository, commit: str, file: str, bar: Any) -> None:
    """Fetch a large file's bytes to where the client looks for them, going on where an earlier run stopped.

    The client itself (2.4) throws away what it has when it gives up, and a model is gigabytes.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url  # noqa: PLC0415
    from huggingface_hub.file_download import http_get  # noqa: PLC0415
    from huggingface_hub.utils import WeakFileLock, build_hf_headers  # type: ignore[attr-defined]  # noqa: PLC0415

    url = hf_hub_url(repository.id, file, revision=commit)
    there = get_hf_file_metadata(url)
    if there.etag is None or there.size is None or not re.fullmatch(r"[0-9a-f]{64}", there.etag):
        return  # not a large file's SHA-256: the client fetches it whole
    blob = repository.root / "blobs" / there.etag
    partly = blob.with_name(f"{there.etag}.glimpse.incomplete")
    lock = _cache_folder() / ".locks" / repository.root.name / f"{there.etag}.lock"  # the client's own
    for folder in (blob.parent, lock.parent):
        folder.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(lock):
        if blob.exists():
            return
        with partly.open("ab") as stream:
            if stream.tell() > there.size:
                stream.truncate(0)
            headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
            http_get(
                url,
                stream,
                resume_size=partly.stat().st_size,
                headers=headers,
                expected_size=there.size,
                displayed_filename=file,
                tqdm_class=bar,
            )
        _hold_against(partly, there.etag, file)
        partly.replace(blob)


def _hold_against(path: Path, sha256: str, file: str) -> None:
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != sha256:
        path.unlink()
        raise DownloadError(f"{file} arrived damaged and was thrown away: try again")


def _remember(repository: _Repository, commit: str, absent: Collection[str]) -> None:
    """Note, as the client does, which files there are not, and what the revision is."""
    folder = repository.absent(commit)
    folder.mkdir(parents=True, exist_ok=True)
    for file in absent:
        (folder / file).touch()
    if repository.revision != commit:
        ref = repository.root / "refs" / repository.revision
        ref.parent.mkdir(parents=True, exist_ok=True)
        draft = ref.with_name(f"{ref.name}.{os.getpid()}")
        draft.write_text(commit)
        draft.replace(ref)


@contextmanager
def _quiet(*, unless: bool) -> Iterator[None]:
    """Keep the client's warnings about retries off stderr: a library does not print by itself."""
    import huggingface_hub.utils.logging  # noqa: F401, PLC0415 - sets the level when first imported

    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    if not unless:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextmanager
def _explained(repository: _Repository) -> Iterator[None]:
    """Turn what the client raises into one sentence that says what to do."""
    # httpx's or httpx2's, by the client's version
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # noqa: PLC0415

    try:
        yield
    except GlimpseError:
        raise
    except (HTTPError, OSError, ValueError) as error:
        raise _sentence(error, repository) from None  # sixty lines of the client's own frames help nobody


def _sentence(error: BaseException, repository: _Repository) -> ModelError:
    from huggingface_hub import constants, errors  # noqa: PLC0415

    if isinstance(error, errors.LocalEntryNotFoundError) and error.__cause__ is not None:
        return _sentence(error.__cause__, repository)
    hub, name, page = constants.ENDPOINT, repository.id, f"{constants.ENDPOINT}/{repository.id}"
    no_hub = f"{hub} does not answer as a hub does: check HF_ENDPOINT, and whether a proxy stands in between"
    sentences: tuple[tuple[type[BaseException], type[ModelError], str], ...] = (  # the first that fits
        (errors.GatedRepoError, DownloadError, f"{name} is gated: accept its licence at {page}, then set HF_TOKEN"),
        (
            errors.RepositoryNotFoundError,
            ModelNotFound,
            f"{hub} shows no repository {name}: check the name, or set HF_TOKEN if it is private",
        ),
        (
            errors.RevisionNotFoundError,
            ModelNotFound,
            f"{name} has no revision {repository.revision!r}: see {page} for those it has",
        ),
        (errors.HFValidationError, ModelNotFound, f"{name!r} cannot be a repository's name: write {_HUB}org/name"),
        (errors.OfflineModeIsEnabled, DownloadError, f"{name} is not on this disk: unset HF_HUB_OFFLINE to fetch it"),
        (errors.FileMetadataError, DownloadError, no_hub),
    )
    for kind, raised, text in sentences:
        if isinstance(error, kind):
            return raised(text)
    if isinstance(error, errors.HfHubHTTPError):
        return _refusal(error.response.status_code, hub, repository)
    if isinstance(error, ValueError):
        return DownloadError(no_hub)
    return _breakage(error, hub, repository)


def _refusal(status: int, hub: str, repository: _Repository) -> ModelError:
    if status in {401, 403}:
        return DownloadError(f"{hub} refused {repository} ({status}): set HF_TOKEN to a valid token that may read it")
    if status == 404:  # noqa: PLR2004 - not found, as everyone knows
        return ModelNotFound(f"{hub} shows no {repository}: check the name and the revision")
    return DownloadError(f"{hub} answered {status} for {repository}: try again later, it goes on where it stopped")


def _breakage(error: BaseException, hub: str, repository: _Repository) -> ModelError:
    if type(error).__name__.startswith("Connect"):  # ConnectError and ConnectTimeout, of httpx or httpx2
        return DownloadError(f"{hub} cannot be reached: check the connection (and HF_ENDPOINT), then try again")
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return DownloadError(f"the disk is full at {_cache_folder()}: make room, or set HF_HOME to a larger disk")
    if isinstance(error, OSError) and error.errno is not None:
        return DownloadError(f"{_cache_folder()} cannot be used ({error.strerror}): set HF_HOME to a folder that can")
    return DownloadError(f"the download of {repository} broke off: run it again, it goes on where it stopped")
