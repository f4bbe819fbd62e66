"""Words → token ids, by the checkpoint's own tokenizer, cut to what the text tower can take and never silently.

The checkpoint's `tokenizer.json` decides; else its `vocab.json` and `merges.txt`; else (open_clip checkpoints have none)
CLIP's byte pairs, bundled (openai/CLIP, MIT; see NOTICE). Uses the `tokenizers` library; knows no model.
"""

import gzip
import html
import json
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from glimpse.errors import CheckpointError
from glimpse.values import Ids

# How OpenAI's SimpleTokenizer cuts a text into words.
_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
_SHOWN = 60  # characters of a text named in a warning


class TruncationWarning(UserWarning):
    """A text had more tokens than the model takes; its end was left out."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """A tokenizer, and the most tokens that a text may have."""

    tokenizer: Tokenizer
    context: int
    clean: Callable[[str], str] = str

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Turn texts into ids, start and end included; warns with `TruncationWarning`, naming what was cut."""
        encoded = self.tokenizer.encode_batch_fast([self.clean(text) for text in texts])
        return [self._cut(text, encoding.ids) for text, encoding in zip(texts, encoded, strict=True)]

    def _cut(self, text: str, ids: list[int]) -> list[int]:
        if len(ids) <= self.context:
            return ids
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
        warnings.warn(
            f"the text {shown!r} has {len(ids)} tokens, the model takes {self.context}: its end was left out",
            TruncationWarning,
            stacklevel=4,
        )
        return [*ids[: self.context - 1], ids[-1]]


def batches(encoded: Sequence[Sequence[int]], most: int) -> Iterator[tuple[list[int], Ids]]:
    """Group texts of like length, each group cut to its longest: (places, int64 (n, tokens)), n ≤ most.

    Padding is 0, which is neither an end nor the largest id, and causal towers do not see what follows a text's end.
    """
    order = sorted(range(len(encoded)), key=lambda place: len(encoded[place]))
    for start in range(0, len(order), most):
        places = order[start : start + most]
        ids = np.zeros((len(places), len(encoded[places[-1]])), np.int64)
        for row, place in zip(ids, places, strict=True):
            row[: len(encoded[place])] = encoded[place]
        yield places, ids


def load(folder: Path, context: int) -> Tokens:
    """Take the tokenizer of a checkpoint folder, or CLIP's own where it has none.

    Raises:
        CheckpointError: the tokenizer's files cannot be read.
    """
    try:
        if (folder / "tokenizer.json").is_file():
            return _complete(Tokens(_plain(Tokenizer.from_file(str(folder / "tokenizer.json"))), context), folder)
        if (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
            return Tokens(_from_vocabulary(folder), context)
    except CheckpointError:
        raise
    except Exception as error:  # the library raises bare Exception
        raise CheckpointError(f"the tokenizer files of {folder} cannot be read: fetch them again") from error
    return Tokens(_bundled(), context, _clean_web_text)


def _complete(tokens: Tokens, folder: Path) -> Tokens:
    """Refuse a tokenizer that leaves out start and end: the text tower would pool the wrong token, and nobody would see."""
    if len(tokens.encode([""])[0]) < 2:  # noqa: PLR2004
        raise CheckpointError(f"{folder / 'tokenizer.json'} adds no start and end to a text: it is not that of a CLIP")
    return tokens


def files_of(folder: Path) -> list[Path]:
    """The files that decide what a text's ids are: part of a model's fingerprint. Empty: the bundled table does."""
    if (folder / "tokenizer.json").is_file():
        return [folder / "tokenizer.json"]
    pair = [folder / "vocab.json", folder / "merges.txt"]
    return pair if all(path.is_file() for path in pair) else []


def _plain(tokenizer: Tokenizer) -> Tokenizer:
    """Cutting and padding are ours: a tokenizer.json may do either unseen."""
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _from_vocabulary(folder: Path) -> Tokenizer:
    vocabulary = json.loads((folder / "vocab.json").read_bytes())
    lines = (folder / "merges.txt").read_text("utf-8").splitlines()
    pairs = [tuple(line.split()) for line in lines if line and not line.startswith("#version")]
    return _clip(vocabulary, pairs, "<|startoftext|>", "<|endoftext|>")


def _bundled() -> Tokenizer:
    table = gzip.decompress((files("glimpse") / "clip_bpe_merges.txt.gz").read_bytes()).decode("utf-8")
    pairs = [tuple(line.split()) for line in table.splitlines() if line]
    letters = _byte_letters()
    words = [*letters, *(f"{letter}</w>" for letter in letters), *("".join(pair) for pair in pairs)]
    start, end = "<start_of_text>", "<end_of_text>"
    return _clip({word: i for i, word in enumerate([*words, start, end])}, pairs, start, end)


def _byte_letters() -> list[str]:
    """The letters that stand for the 256 bytes, in the order of GPT-2's table: printable ones first, then the rest."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = 256 - len(printable)
    return [chr(byte) for byte in printable] + [chr(256 + i) for i in range(others)]


def _clip(vocabulary: dict[str, int], pairs: Sequence[tuple[str, ...]], start: str, end: str) -> Tokenizer:
    """CLIP's tokenizer, in the terms of the tokenizers library."""
    tokenizer = Tokenizer(
        models.BPE(vocab=vocabulary, merges=[(a, b) for a, b in pairs], end_of_word_suffix="</w>", unk_token=end)
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.RobertaProcessing(
        (end, vocabulary[end]), (start, vocabulary[start]), trim_offsets=False, add_prefix_space=False
    )
    return tokenizer


def _clean_web_text(text: str) -> str:
    """As open_clip cleans: entities of web pages, twice (it also runs ftfy, which mends text decoded wrongly)."""
    return re.sub(r"\s+", " ", html.unescape(html.unescape(text))).strip()
