"""Named tensors of safetensors files, read one at a time as float32.

Knows the file format through the safetensors library, and nothing of models.
"""

import json
import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from glimpse.errors import CheckpointError
from glimpse.runtimes import Array

FLOATS = {"F16", "BF16", "F32", "F64"}


class Tensors:
    """The tensors of one checkpoint, over all its shards; opens nothing for longer than a read."""

    def __init__(self, files: Iterable[Path]) -> None:
        """Read the headers.

        Raises:
            CheckpointError: a file is missing or is not a safetensors file.
        """
        self._files: dict[str, Path] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        for file in files:
            self._read_header(file)

    def _read_header(self, file: Path) -> None:
        try:
            with safe_open(file, "np") as tensors:
                for name in tensors.keys():  # noqa: SIM118  (the handle is no mapping)
                    self._files[name] = file
                    self.shapes[name] = tuple(tensors.get_slice(name).get_shape())
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{file} is not a whole safetensors file: fetch it again") from error

    def read(self, name: str) -> Array:
        """One tensor as float32, whatever it is stored in."""
        file = self._files[name]
        with safe_open(file, "np") as tensors:
            kind = tensors.get_slice(name).get_dtype()
            if kind not in FLOATS:
                raise CheckpointError(f"{file}: tensor {name} holds {kind}, not floating-point numbers")
            if kind == "BF16":  # numpy has no such type
                return _bfloat16(file, name, self.shapes[name])
            return np.asarray(tensors.get_tensor(name), np.float32)


def _bfloat16(file: Path, name: str, shape: tuple[int, ...]) -> Array:
    """Widen bfloat16, the upper half of a float32, from the bytes that the header names."""
    with file.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        start, _ = json.loads(stream.read(length))[name]["data_offsets"]
    halves = np.memmap(file, np.uint16, "r", offset=8 + length + start, shape=shape)
    return (halves.astype(np.uint32) << 16).view(np.float32)
