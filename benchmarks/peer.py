"""transformers' CLIPModel on torch, used as its documentation says: what glimpse is compared with.

`sdpa` attention, `eval`, `inference_mode`, the processor that prepares pictures with Pillow. Knows nothing of
glimpse.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import AutoTokenizer, CLIPImageProcessorPil, CLIPModel
from transformers.utils import logging

Padding = Literal["max_length", "longest"]
Rows = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Peer:
    """A loaded model with what prepares pictures and texts for it."""

    model: Any
    processor: Any
    tokenizer: Any
    dtype: torch.dtype

    def images(self, paths: Sequence[Path], batch: int) -> Rows:
        """Picture files → unit rows (n, dim)."""
        starts = range(0, len(paths), batch)
        return np.concatenate([self.embed(self.prepare(paths[i : i + batch]), batch) for i in starts])

    def prepare(self, paths: Sequence[Path]) -> torch.Tensor:
        """Picture files → pixel values (n, 3, size, size), in the model's own precision."""
        pictures = [Image.open(path) for path in paths]
        return self.processor(pictures, return_tensors="pt")["pixel_values"].to(self.dtype)

    def values(self, pixels: NDArray[np.uint8]) -> torch.Tensor:
        """Cropped pictures (n, size, size, 3) → pixel values (n, 3, size, size)."""
        found = self.processor(list(pixels), do_resize=False, do_center_crop=False, return_tensors="pt")
        return found["pixel_values"].to(self.dtype)

    @torch.inference_mode()
    def embed(self, pixels: torch.Tensor, batch: int) -> Rows:
        """Pixel values → unit rows (n, dim)."""
        found = [self.model.get_image_features(pixel_values=part).pooler_output for part in pixels.split(batch)]
        return _unit(torch.cat(found))

    @torch.inference_mode()
    def texts(self, texts: Sequence[str], padding: Padding) -> Rows:
        """Texts → unit rows (n, dim)."""
        inputs = self.tokenizer(list(texts), padding=padding, truncation=True, return_tensors="pt")
        return _unit(self.model.get_text_features(**inputs).pooler_output)


def load(folder: Path, precision: str) -> Peer:
    """Load a checkpoint folder in "float32" or "bfloat16"."""
    logging.disable_progress_bar()
    dtype = getattr(torch, precision)
    model = CLIPModel.from_pretrained(folder, dtype=dtype, attn_implementation="sdpa").eval()
    return Peer(model, CLIPImageProcessorPil.from_pretrained(folder), AutoTokenizer.from_pretrained(folder), dtype)


def threads() -> int:
    """How many threads torch computes with."""
    return torch.get_num_threads()


def _unit(rows: torch.Tensor) -> Rows:
    return torch.nn.functional.normalize(rows.float(), dim=-1).numpy()
