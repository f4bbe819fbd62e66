"""What FFmpeg raises, as one of `values.FAILURE_CODES`. Knows no sentence of FFmpeg's: its text may hold anything."""

import errno

from glimpse.errors import BadItem
from glimpse.values import FAILURE_CODES


def bad(code: str) -> BadItem:
    """The error of a code, with the code's own sentence."""
    return BadItem(code, FAILURE_CODES[code])


def code_of(error: Exception) -> str:
    """What an error means: "memory" where there was too little of it, else "corrupt", for nearly anything is raised."""
    return "memory" if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM else "corrupt"
