"""What a set of files is: Hugging Face's layout or open_clip's, whole or in shards, safe to open or not.

Only safetensors count; a pickle is refused with the reason. Reads configs, indices and the headers of tensor files. Knows
no network, no model's name and no tensor: `hub.py` brings the files here, and `models/formats` judges what they hold.
"""

import json
import os
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Literal

from glimpse.errors import CheckpointError

Config = Mapping[str, Any]
Layout = Literal["hugging_face", "open_clip", "onnx"]

CONFIG = "config.json"
OPEN_CLIP_CONFIG = "open_clip_config.json"
PREPROCESSOR = "preprocessor_config.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
TOKENIZER = ("tokenizer.json", TOKENIZER_CONFIG, "special_tokens_map.json", "vocab.json", "merges.txt")

CONFIGS: Mapping[Layout, str] = {"hugging_face": CONFIG, "open_clip": OPEN_CLIP_CONFIG}
# The file with the tensors; Hugging Face's may be in shards instead, which an index names.
WEIGHTS: Mapping[Layout, str] = {"hugging_face": "model.safetensors", "open_clip": "open_clip_model.safetensors"}
INDEX = "model.safetensors.index.json"
# Towers that are ONNX files (immich's layout).
GRAPHS: Mapping[Literal["image", "text"], str] = {"image": "visual/model.onnx", "text": "textual/model.onnx"}
# What else a layout may have.
NEEDED = (CONFIG, "visual/preprocess_cfg.json", "textual/tokenizer.json", *GRAPHS.values())  # of towers that are graphs
SMALL: Mapping[Layout, tuple[str, ...]] = {
    "onnx": (),
    "hugging_face": (CONFIG, PREPROCESSOR, *TOKENIZER),
    "open_clip": (OPEN_CLIP_CONFIG, *TOKENIZER),
}
_PICKLES = (".bin", ".pt", ".pth", ".ckpt")
_LARGEST_HEADER = 100_000_000  # bytes; the limit of the safetensors library itself


def checked(folder: Path) -> Layout:
    """Find the layout of a folder whose files with tensors are all there and whole.

    Raises:
        CheckpointError: no layout is complete, its weights are pickles, or a file is missing, broken or cut short.
    """
    layout = of_folder(folder)
    if layout != "onnx":
        tensor_files(folder, WEIGHTS[layout])
    return layout


def of_folder(folder: Path) -> Layout:
    """Find the layout of a folder.

    Raises:
        CheckpointError: no layout is complete, or its weights are pickles; says what is needed.
    """
    files = names_in(folder)
    layout = of_files(files, lambda: folder / CONFIG)
    if layout is None:
        raise no_checkpoint(str(folder), files)
    return layout


def of_files(files: Collection[str], config: Callable[[], Path], *, zoo: bool = False) -> Layout | None:
    """Choose the layout to use; None where none is complete.

    Args:
        files: names of the files there are.
        config: gets config.json; asked for only where both layouts are there.
        zoo: whether open_clip's config is known already, and need not be among the files.
    """
    open_clip = WEIGHTS["open_clip"] in files and (zoo or OPEN_CLIP_CONFIG in files)
    hugging_face = CONFIG in files and (WEIGHTS["hugging_face"] in files or INDEX in files)
    if open_clip and (zoo or not hugging_face or _model_type(config()) != "clip"):
        return "open_clip"  # timm's repositories also have a config.json, which is timm's own
    if hugging_face:
        return "hugging_face"
    return "onnx" if set(GRAPHS.values()) <= set(files) else None


def _model_type(path: Path) -> Any:
    config = read_json(path)
    return config.get("model_type") if isinstance(config, dict) else None


def no_checkpoint(where: str, files: Collection[str]) -> CheckpointError:
    """Say what files without a layout lack, or why a pickle will not do."""
    pickles = sorted(file for file in files if file.endswith(_PICKLES))
    if pickles and not any(file.endswith(".safetensors") for file in files):
        return CheckpointError(
            f"{where} has its weights only as a pickle ({pickles[0]}), which can run any code when it is loaded: "
            "convert it with the safetensors library, or name a repository or revision that has safetensors"
        )
    return CheckpointError(
        f"{where} holds no checkpoint: it needs {CONFIG} and {WEIGHTS['hugging_face']} (Hugging Face), "
        f"or {OPEN_CLIP_CONFIG} and {WEIGHTS['open_clip']} (open_clip), or {' and '.join(GRAPHS.values())} (ONNX)"
    )


def tensor_files(folder: Path, name: str) -> tuple[Path, ...]:
    """List the safetensors file of that name, or its shards, each held against its header.

    Raises:
        CheckpointError: a file is missing, broken or cut short; named.
    """
    files = tuple(folder / file for file in tensor_names(folder, name))
    for file in files:
        _verify(file)
    return files


def tensor_names(folder: Path, name: str) -> tuple[str, ...]:
    """List the names of the files with tensors, as a folder that has its configs says: `name`, or its shards."""
    index = folder / f"{name}.index.json"
    if (folder / name).is_file() or not index.is_file():
        return (name,)
    try:
        shards = sorted(set(read_json(index)["weight_map"].values()))
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{index.resolve()} names no shards: delete it and try again") from error
    for shard in shards:
        # The index comes from outside: it may name files beside itself and no others.
        if not isinstance(shard, str) or not re.fullmatch(r"[\w.-]+\.safetensors", shard):
            raise CheckpointError(f"{index} names {shard!r}, which is not a shard: use another checkpoint")
    return tuple(shards)


def names_in(folder: Path) -> set[str]:
    """List the names of a folder's files, and of those in the folders of towers that are graphs; none where there is none."""
    towers = {graph.partition("/")[0] for graph in GRAPHS.values()}
    return _names(folder) | {f"{tower}/{name}" for tower in towers for name in _names(folder / tower)}


def _names(folder: Path) -> set[str]:
    try:
        return {entry.name for entry in os.scandir(folder) if entry.is_file()}
    except OSError:
        return set()


def is_of_graphs(file: str) -> bool:
    """Whether a file of a repository belongs to towers that are graphs: configs, tokenizer, the graphs and their weights."""
    tower, _, name = file.rpartition("/")
    known = name.endswith((".json", ".txt", ".onnx", ".onnx.data", ".onnx_data"))
    return file in (CONFIG, "glimpse.json") or (
        known and tower in {graph.partition("/")[0] for graph in GRAPHS.values()}
    )


def read_json(path: Path) -> Any:
    """Read a JSON file of a checkpoint.

    Raises:
        CheckpointError: it cannot be read, or is not JSON; named.
    """
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path.resolve()} cannot be read as JSON: delete it and try again") from error


def _verify(path: Path) -> None:
    """Hold a safetensors file's length against what its header says."""
    real = path.resolve()  # in the hub's cache the file is a link, and deleting a link mends nothing
    try:
        expected, size = _expected_size(real), real.stat().st_size
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


def _expected_size(path: Path) -> int:
    """Add up the length's eight bytes, the header, and the tensors up to the last one's end."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(min(length, _LARGEST_HEADER)))
    ends = (tensor["data_offsets"][1] for key, tensor in header.items() if key != "__metadata__")
    expected: int = 8 + length + max(ends, default=0)
    return expected
