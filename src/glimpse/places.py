"""Where glimpse keeps things of its own: compiled towers in the cache folder, the default collection in the data folder.

`GLIMPSE_CACHE` and `GLIMPSE_DATA` move them. platformdirs knows where each system wants them; a container that goes without it
gets Linux's own places. Creates nothing.
"""

import os
from pathlib import Path

_PLAIN = {"user_cache_path": ("XDG_CACHE_HOME", "~/.cache"), "user_data_path": ("XDG_DATA_HOME", "~/.local/share")}


def cache_folder() -> Path:
    """What may be deleted at any time: compiled towers, digests of files."""
    return _place("GLIMPSE_CACHE", "user_cache_path")


def calibrations() -> Path:
    """What int8 was calibrated by: not to be deleted while collections are made with it."""
    return _place("GLIMPSE_DATA", "user_data_path") / "calibration"


def default_collection() -> Path:
    """The collection that the command line uses unless it is told another."""
    return _place("GLIMPSE_DATA", "user_data_path") / "photos.db"


def _place(variable: str, default: str) -> Path:
    if variable in os.environ:
        return Path(os.environ[variable]).expanduser()
    try:
        import platformdirs  # noqa: PLC0415  (not for those who set the variables, nor at `glimpse --help`)
    except ModuleNotFoundError:
        said, usual = _PLAIN[default]
        return Path(os.environ.get(said) or usual).expanduser() / "glimpse"
    path: Path = getattr(platformdirs, default)("glimpse", appauthor=False)
    return path
