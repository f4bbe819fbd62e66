"""Fetching a repository with the hub's own client, huggingface_hub, into its own cache.

Only safetensors, configs and tokenizers are ever asked for; a pickle never. What goes wrong is raised as one sentence that
says what to do. The client takes long to import, so import this file only when something must be fetched.
"""

import errno
import hashlib
import logging
import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, constants, errors, get_hf_file_metadata, hf_hub_download, hf_hub_url
from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # httpx2's, which only the client depends on
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import WeakFileLock, build_hf_headers  # type: ignore[attr-defined]  # it exports them lazily
from tqdm.auto import tqdm  # type: ignore[import-untyped]

from glimpse import layouts
from glimpse.errors import DownloadError, ModelError, ModelNotFound
from glimpse.hub import PREFIX, Repository, cache_folder
from glimpse.layouts import Layout


def fetch(repository: Repository, *, zoo: bool, progress: bool) -> tuple[Path, Layout]:
    """Fetch what a repository has of one layout: small files first, so that weights on disk mean that all is there.

    Args:
        repository: what to fetch.
        zoo: whether it is asked for by a name of open_clip's table, which has its config.
        progress: show the client's bar for the weights.

    Raises:
        ModelNotFound: no such repository or revision.
        CheckpointError: it has no layout that is complete, or only pickles.
        DownloadError: the hub refused, could not be reached, or broke off.
    """
    with _explained(repository), _quiet(unless=progress):
        files, commit = _listed(repository)
        folder = repository.snapshot(commit)
        get = partial(_download, repository, commit, progress=progress)
        layout = layouts.of_files(files, lambda: get(layouts.CONFIG), zoo=zoo)
        if layout is None:
            raise layouts.no_checkpoint(f"the repository {repository}", files)
        if layout == "onnx":
            for file in sorted(filter(layouts.is_of_graphs, files), key=lambda file: file in layouts.GRAPHS.values()):
                get(file)  # the graphs last, so that where they are the rest is too
            _remember(repository, commit, set())
            return folder, layout
        whole = layouts.WEIGHTS[layout]
        sharded = layout == "hugging_face" and whole not in files
        for file in (*layouts.SMALL[layout], *((layouts.INDEX,) if sharded else ())):
            if file in files:
                get(file)
        for file in layouts.tensor_names(folder, whole) if sharded else (whole,):
            get(file)
        _remember(repository, commit, set(layouts.SMALL[layout]) - files)
    return folder, layout


def _listed(repository: Repository) -> tuple[set[str], str]:
    """Which files a revision has, and its commit."""
    timeout = float(constants.HF_HUB_ETAG_TIMEOUT)
    info = HfApi().model_info(repository.id, revision=repository.revision, timeout=timeout)
    return {sibling.rfilename for sibling in info.siblings or ()}, str(info.sha)


def _download(repository: Repository, commit: str, file: str, *, progress: bool) -> Path:
    """Fetch one file into the client's cache."""
    # A bar for the weights only: the rest is there at once.
    bar: Any = None if progress and file.endswith(".safetensors") else partial(tqdm, disable=True)
    if file.endswith(".safetensors") and not (repository.snapshot(commit) / file).is_file():
        _download_blob(repository, commit, file, bar)
    # Where the blob is there, this only links it.
    return Path(hf_hub_download(repository.id, file, revision=commit, cache_dir=cache_folder(), tqdm_class=bar))


def _download_blob(repository: Repository, commit: str, file: str, bar: Any) -> None:
    """Fetch a large file's bytes to where the client looks for them, going on where an earlier run stopped.

    The client itself (2.4) throws away what it has when it gives up, and a model is gigabytes.
    """
    url = hf_hub_url(repository.id, file, revision=commit)
    there = get_hf_file_metadata(url)
    if there.etag is None or there.size is None or not re.fullmatch(r"[0-9a-f]{64}", there.etag):
        return  # not a large file's SHA-256: the client fetches it whole
    blob = repository.root / "blobs" / there.etag
    partly = blob.with_name(f"{there.etag}.glimpse.incomplete")
    lock = cache_folder() / ".locks" / repository.root.name / f"{there.etag}.lock"  # the client's own
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


def _remember(repository: Repository, commit: str, absent: Collection[str]) -> None:
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
    logger = logging.getLogger("huggingface_hub")  # whose level the client's import has set
    level = logger.level
    if not unless:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


# What the client raises → one sentence that says what to do ------------------------------------------------------------


@contextmanager
def _explained(repository: Repository) -> Iterator[None]:
    try:
        yield
    except (HTTPError, OSError, ValueError) as error:
        raise _sentence(error, repository) from None  # sixty lines of the client's own frames help nobody


def _sentence(error: BaseException, repository: Repository) -> ModelError:
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
        (errors.HFValidationError, ModelNotFound, f"{name!r} cannot be a repository's name: write {PREFIX}org/name"),
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


def _refusal(status: int, hub: str, repository: Repository) -> ModelError:
    if status in {401, 403}:
        return DownloadError(f"{hub} refused {repository} ({status}): set HF_TOKEN to a valid token that may read it")
    if status == 404:  # noqa: PLR2004 - not found, as everyone knows
        return ModelNotFound(f"{hub} shows no {repository}: check the name and the revision")
    return DownloadError(f"{hub} answered {status} for {repository}: try again later, it goes on where it stopped")


def _breakage(error: BaseException, hub: str, repository: Repository) -> ModelError:
    if type(error).__name__.startswith("Connect"):  # httpx2's ConnectError and ConnectTimeout
        return DownloadError(f"{hub} cannot be reached: check the connection (and HF_ENDPOINT), then try again")
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return DownloadError(f"the disk is full at {cache_folder()}: make room, or set HF_HOME to a larger disk")
    if isinstance(error, OSError) and error.errno is not None:
        return DownloadError(f"{cache_folder()} cannot be used ({error.strerror}): set HF_HOME to a folder that can")
    return DownloadError(f"the download of {repository} broke off: run it again, it goes on where it stopped")
