"""One name for all that decides a vector: weights, sizes, preprocessing, tokenizer and class of precision.

Two encoders with the same fingerprint make vectors that may be compared; a collection keeps it. float32, bfloat16 and float16 of
the same weights differ by rounding only and share one ("float"); `Encoder` adds to it what is of int8. Digests of large files are remembered by size and time.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

from glimpse.atomic import replacing
from glimpse.values import ModelCard

LATER = ("logit_bias", "words")
"""Fields of the card that came later: left out while they say nothing, so that older collections keep their fingerprint."""

RULES = 1
"""Counted up whenever the meaning of a picture's pixels changes (`pixels.upright`)."""


def of_model(
    card: ModelCard,
    weights: Iterable[Path],
    tokenizer: Iterable[Path],
    *,
    parity: bool,
    cache: Path | None,
) -> str:
    """The fingerprint, as 64 hexadecimal digits; independent of names and places."""
    decides: dict[str, Any] = {
        "card": _facts(card),
        "weights": _digests(weights, cache),
        "tokenizer": _digests(tokenizer, cache),
        "pixels": {"parity": parity, "rules": RULES},
        "precision": "float",
    }
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


def _facts(card: ModelCard) -> dict[str, Any]:
    """What the card says of the model, however it is called."""
    unsaid = {
        field.name for field in fields(card) if field.name in LATER and getattr(card, field.name) == field.default
    }
    return {key: value for key, value in card.as_dict().items() if key not in unsaid | {"name"}}


def _digests(paths: Iterable[Path], cache: Path | None) -> list[str]:
    """SHA-256 of each file, read again only when its size or time of change is new."""
    book = cache / "digests.json" if cache else None
    known = _read(book)
    found = {}
    for path in paths:
        stat = path.stat()
        entry = f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns}"
        if entry not in known:
            with path.open("rb") as stream:
                known[entry] = hashlib.file_digest(stream, "sha256").hexdigest()
            _write(book, known)
        found[path] = known[entry]
    return list(found.values())


def _read(book: Path | None) -> dict[str, str]:
    with contextlib.suppress(OSError, ValueError):
        if book is not None:
            known = json.loads(book.read_bytes())
            return known if isinstance(known, dict) else {}
    return {}


def _write(book: Path | None, known: dict[str, str]) -> None:
    with contextlib.suppress(OSError):  # a cache that cannot be written is no cache, not an error
        if book is not None:
            book.parent.mkdir(parents=True, exist_ok=True)
            with replacing(book) as part:
                part.write_text(json.dumps(known))
