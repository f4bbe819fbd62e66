"""Everything glimpse raises on purpose, as one small tree.

    GlimpseError                     catch this one to catch them all
    ├── UsageError                   an argument that cannot be right
    ├── BadItem                      one picture that cannot be used: .key, .code
    ├── BadItems                     several, all of them named: .failures
    ├── ModelError                   a model cannot be used
    │   ├── ModelNotFound            no such name, folder or repository
    │   ├── ModelUnsupported         known, but its towers are not written yet
    │   ├── CheckpointError          files are there, but broken, unsafe or incomplete
    │   └── DownloadError            a hub or server could not be reached, refused, or broke off
    ├── CollectionError              a collection file cannot be used
    │   ├── NotACollection           the file is corrupt or something else
    │   ├── ModelMismatch            it was made by another model
    │   └── StorageError             disk full, read-only place, locked by another process
    │       └── CollectionBusy       another process is indexing into it
    ├── WorkerError                  the processes that decode cannot be started
    └── MissingExtra                 an optional library is not installed

Each message is one sentence or two that say what to do. Bad *items* met while indexing are results
(`values.Failure`), not exceptions.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from glimpse.values import Failure


class GlimpseError(Exception):
    """The root of everything glimpse raises on purpose."""


class UsageError(GlimpseError):
    """An argument that cannot be right."""


class BadItem(GlimpseError):
    """One item that cannot be decoded or read.

    Attributes:
        code: a stable reason, one of `values.FAILURE_CODES`.
        message: the sentence without the key; never a decoder's raw text.
        key: the item's name, empty until somebody who knows it adds it.
    """

    def __init__(self, code: str, message: str, key: str = "") -> None:
        super().__init__(f"{key}: {message}" if key else message)
        self.code = code
        self.message = message
        self.key = key


class BadItems(GlimpseError):
    """Several items that cannot be decoded or read.

    Attributes:
        failures: all of them, as `values.Failure`.
    """

    def __init__(self, message: str, failures: "Sequence[Failure]") -> None:
        super().__init__(message)
        self.failures = failures


class ModelError(GlimpseError):
    """A model cannot be used."""


class ModelNotFound(ModelError):
    """No such name, folder or repository."""


class ModelUnsupported(ModelError):
    """A model that is known, but whose towers are not written yet."""


class CheckpointError(ModelError):
    """Files are there, but broken, unsafe or incomplete."""


class DownloadError(ModelError):
    """A hub or server could not be reached, refused, or broke off."""


class CollectionError(GlimpseError):
    """A collection file cannot be used."""


class NotACollection(CollectionError):
    """The file is corrupt or was made by something else."""


class ModelMismatch(CollectionError):
    """The collection was made by another model."""


class StorageError(CollectionError):
    """The disk is full, the place is read-only, or another process holds the file."""


class CollectionBusy(StorageError):
    """Another process is indexing into the collection."""


class WorkerError(GlimpseError):
    """The processes that decode cannot be started."""


class MissingExtra(GlimpseError):
    """An optional library is not installed."""
