"""Warnings that point at the line of whoever called glimpse, and not at glimpse's own."""

import sys
import warnings


class PictureWarning(UserWarning):
    """Pictures that could not be used, named; their rows are zeros or NaN."""


# Each time, and not once for a file: unless the person has said otherwise before.
warnings.simplefilter("always", PictureWarning, append=True)


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn the caller."""
    level, frame = 1, sys._getframe()  # noqa: SLF001  (documented, and what warnings.warn itself uses)
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == "glimpse":
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
