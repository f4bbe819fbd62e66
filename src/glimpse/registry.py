"""A file's name is its registered name: `runtimes/openvino.py` is the runtime "openvino".

Outsiders add their own through an entry point of the group `glimpse.<folder>` that names a module with the same verbs.
"""

from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import TYPE_CHECKING

from glimpse.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints


def names(folder: str) -> list[str]:
    """What is registered in a folder of the package, sorted; imports none of it."""
    return sorted({*_own(folder), *(point.name for point in _outside(folder))})


def modules(folder: str) -> Iterator[ModuleType]:
    """Import what is registered in a folder, one after the other: the package's own first, then what outsiders add."""
    yield from (import_module(f"glimpse.{folder}.{name}") for name in _own(folder))
    yield from _outsiders(folder)


@cache
def _outsiders(folder: str) -> tuple[ModuleType, ...]:
    return tuple(point.load() for point in _outside(folder))


def _own(folder: str) -> tuple[str, ...]:
    """The names of a folder's files, sorted; folders in it belong to them, and so do files whose names begin with _."""
    return _files(tuple(import_module(f"glimpse.{folder}").__path__))


@cache
def _files(places: tuple[str, ...]) -> tuple[str, ...]:
    found = iter_modules(places)
    return tuple(sorted(module.name for module in found if not module.ispkg and not module.name.startswith("_")))


def find(folder: str, name: str) -> ModuleType:
    """Import what is registered under a name.

    Raises:
        UsageError: nothing is; lists what is.
        MissingExtra: it is, but a library that it adapts is not installed.
    """
    try:
        return import_module(f"glimpse.{folder}.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"glimpse.{folder}.{name}":
            raise MissingExtra(f"{name} needs {error.name}: pip install 'glimpse-search[{name}]'") from error
    for point in _outside(folder).select(name=name):
        module: ModuleType = point.load()
        return module
    raise UsageError(f"there is no {name!r} in {folder}: choose from {', '.join(names(folder))}")


def _outside(folder: str) -> "EntryPoints":
    from importlib.metadata import entry_points  # noqa: PLC0415  (slow to import, and seldom needed)

    return entry_points(group=f"glimpse.{folder}")
