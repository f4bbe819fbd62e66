"""Words → token ids, by the checkpoint's own tokenizer, cut to what the text tower can take and never silently.

The checkpoint's `tokenizer.json` decides; else its `vocab.json` and `merges.txt`; else, where CLIP's own will do (open_clip's
checkpoints often have none), its byte pairs, bundled (openai/CLIP, MIT; see NOTICE). Uses the `tokenizers` library; knows no
model.
"""

import gzip
import html
import json
import re
import shutil
import string
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from glimpse.errors import CheckpointError
from glimpse.layouts import TOKENIZER, TOKENIZER_CONFIG
from glimpse.values import Ids, TextRules

Padding = Literal["free", "full", "none"]
_JSON = "tokenizer.json"

# How OpenAI's SimpleTokenizer cuts a text into words.
_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
_SHOWN = 60  # characters of a text named in a warning


class TruncationWarning(UserWarning):
    """A text had more tokens than the model takes; its end was left out."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """A tokenizer, and what a model wants of it.

    Attributes:
        tokenizer: of the tokenizers library.
        context: the most tokens that a text may have.
        clean: what is done to a text first.
        padding: as `TextRules` has it.
        pad_id: what stands after a text.
        drop_id: an id that is replaced by padding; None replaces nothing.
    """

    tokenizer: Tokenizer
    context: int
    clean: Callable[[str], str] = str
    padding: Padding = "free"
    pad_id: int = 0
    drop_id: int | None = None

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Turn texts into ids, start and end included; warns with `TruncationWarning`, naming what was cut."""
        encoded = self.tokenizer.encode_batch_fast([self.clean(text) for text in texts])
        cut = (self._cut(text, encoding.ids) for text, encoding in zip(texts, encoded, strict=True))
        return [[self.pad_id if one == self.drop_id else one for one in ids] for ids in cut]

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

    def batches(self, encoded: Sequence[Sequence[int]], most: int) -> Iterator[tuple[list[int], Ids]]:
        """Group texts that may run together: (places, int64 (n, tokens)), n ≤ most; what each text becomes is untouched.

        Where anything may follow a text, those of like length share a group, cut to its longest. Where the model looks at
        the padding, all are padded to the whole context; where it must have none, only texts of one length share a group.
        """
        order = sorted(range(len(encoded)), key=lambda place: len(encoded[place]))
        for start, stop in self._groups([len(encoded[place]) for place in order], most):
            places = order[start:stop]
            tokens = self.context if self.padding == "full" else len(encoded[places[-1]])
            ids = np.full((len(places), tokens), self.pad_id, np.int64)
            for row, place in zip(ids, places, strict=True):
                row[: len(encoded[place])] = encoded[place]
            yield places, ids

    def _groups(self, lengths: Sequence[int], most: int) -> Iterator[tuple[int, int]]:
        """Cut sorted lengths into groups (start, stop)."""
        start = 0
        for stop in range(1, len(lengths) + 1):
            whole = stop == len(lengths) or stop - start == most
            if whole or (self.padding == "none" and lengths[stop] != lengths[start]):
                yield start, stop
                start = stop


def load(folder: Path, context: int, rules: TextRules = TextRules()) -> Tokens:  # noqa: B008  (it is frozen)
    """Take the tokenizer of a checkpoint folder, or CLIP's own where it has none and that will do.

    Raises:
        CheckpointError: the tokenizer's files are missing or cannot be read.
    """
    try:
        if (folder / _JSON).is_file():
            return _from_json(folder, context, rules)
        if (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file() and not rules.tokenizer:
            return Tokens(_from_vocabulary(folder), context, padding=rules.padding)
    except CheckpointError:
        raise
    except Exception as error:  # the library raises bare Exception
        raise CheckpointError(f"the tokenizer files of {folder} cannot be read: fetch them again") from error
    if rules.tokenizer:
        raise CheckpointError(
            f"{folder} has no {_JSON}, and CLIP's own does not fit this model: add the one of {rules.tokenizer}"
        )
    return Tokens(_bundled(), context, _clean_web_text, rules.padding)


def _from_json(folder: Path, context: int, rules: TextRules) -> Tokens:
    """The checkpoint's own; refused where it leaves something out: the tower would compute something else unseen."""
    tokenizer = Tokenizer.from_file(str(folder / _JSON))
    # Of CLIP's own, 0 is neither an end nor the largest id, and what open_clip pads with, whatever a tokenizer.json says.
    pad_id = _padding_id(folder, tokenizer) if rules.tokenizer and rules.padding != "free" else 0
    _plain(tokenizer)
    ends = tokenizer.encode("").ids
    if len(ends) < (2 if rules.pool == "end" else 1):
        raise CheckpointError(f"{folder / _JSON} adds no start and end to a text: it is not that of a CLIP")
    if pad_id is None:
        raise CheckpointError(f"nothing in {folder} says what texts are padded with: add its {TOKENIZER_CONFIG}")
    drop_id = ends[-1] if rules.drop_end else None
    return Tokens(tokenizer, context, _CLEAN[rules.clean], rules.padding, pad_id, drop_id)


def _padding_id(folder: Path, tokenizer: Tokenizer) -> int | None:
    """What texts are padded with: what the tokenizer's own config says, or tokenizer.json itself."""
    for name in (TOKENIZER_CONFIG, "special_tokens_map.json"):
        said = json.loads((folder / name).read_bytes()).get("pad_token") if (folder / name).is_file() else None
        token = said.get("content") if isinstance(said, dict) else said
        found = None if token is None else tokenizer.token_to_id(token)
        if found is not None:
            return found
    return int(tokenizer.padding["pad_id"]) if tokenizer.padding else None


def files_of(folder: Path, rules: TextRules = TextRules()) -> list[Path]:  # noqa: B008  (it is frozen)
    """The files that decide what a text's ids are: part of a model's fingerprint. Empty: the bundled table does."""
    if (folder / _JSON).is_file():
        said = (TOKENIZER_CONFIG, "special_tokens_map.json") if rules.tokenizer and rules.padding != "free" else ()
        return [folder / _JSON, *(folder / name for name in said if (folder / name).is_file())]  # they name the padding
    pair = [folder / "vocab.json", folder / "merges.txt"]
    return pair if all(path.is_file() for path in pair) else []


def save(folder: Path, target: Path) -> None:
    """Write the tokenizer of a checkpoint folder where another program looks for it, CLIP's own where it has none."""
    target.mkdir(parents=True, exist_ok=True)
    there = [name for name in TOKENIZER if (folder / name).is_file()]
    for name in there:
        shutil.copyfile(folder / name, target / name)
    if _JSON not in there:
        (_bundled() if not files_of(folder) else _from_vocabulary(folder)).save(str(target / _JSON))


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
    return _spaced(html.unescape(html.unescape(text)))


def _canonical(text: str) -> str:
    """As open_clip's `clean="canonicalize"`: underscores are spaces, no punctuation, lower case."""
    return _bare(html.unescape(html.unescape(text)).replace("_", " "))


def _bare(text: str) -> str:
    """As transformers' SiglipTokenizer: lower case without ASCII punctuation."""
    return _spaced(text.lower().translate(_NO_PUNCTUATION))


def _spaced(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
_CLEAN: Mapping[str, Callable[[str], str]] = {
    "": str,
    "web": _clean_web_text,
    "canonicalize": _canonical,
    "siglip": _bare,
    "lower": str.lower,
}
