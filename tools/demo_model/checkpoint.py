"""The trained model as an ordinary Hugging Face CLIP folder, and that folder as an encoder.

Knows the layout's file names and how the demo model's pictures are prepared.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from .batches import encode
from .network import CLIP, Shape
from .vocabulary import END, START

MEAN, STD = 0.5, 0.5


def save(model: CLIP, tokenizer: Tokenizer, folder: Path) -> None:
    """Everything transformers would look for; weights in float16."""
    folder.mkdir(parents=True, exist_ok=True)
    shape = model.shape
    tensors = {name: value.half().contiguous() for name, value in model.state_dict().items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)  # safetensors keeps it to its owner
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    preprocessing = {
        "image_processor_type": "CLIPImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"shortest_edge": shape.side},
        "resample": 3,
        "do_center_crop": True,
        "crop_size": {"height": shape.side, "width": shape.side},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [MEAN] * 3,
        "image_std": [STD] * 3,
    }
    marks = {"bos_token": START, "eos_token": END, "pad_token": END, "unk_token": END}
    words = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": shape.context, **marks}
    files = {
        "config": shape.config() | {"torch_dtype": "float16"},
        "preprocessor_config": preprocessing,
        "tokenizer_config": words,
    }
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n")


def load(model: CLIP, folder: Path) -> None:
    """Put the folder's weights into `model`."""
    model.load_state_dict({k: v.float() for k, v in load_file(folder / "model.safetensors").items()})


class Trained:
    """The saved folder as what `evaluate.py` judges."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.model = CLIP(Shape(self.tokenizer.get_vocab_size())).eval()
        load(self.model, folder)

    @torch.no_grad()
    def images(self, paths: Sequence[Path]) -> np.ndarray:
        return np.concatenate([self._look(paths[i : i + 64]) for i in range(0, len(paths), 64)])

    @torch.no_grad()
    def texts(self, texts: Sequence[str]) -> np.ndarray:
        parts = [self._read(list(texts[i : i + 256])) for i in range(0, len(texts), 256)]
        return np.concatenate(parts)

    def _look(self, paths: Sequence[Path]) -> np.ndarray:
        pixels = np.stack([prepared(path, self.model.shape.side) for path in paths])
        return self.model.look(torch.from_numpy(pixels))[0].numpy()

    def _read(self, texts: list[str]) -> np.ndarray:
        return self.model.read(torch.from_numpy(encode(self.tokenizer, texts))).numpy()


def prepared(path: Path, side: int) -> np.ndarray:
    """CLIP's preprocessing: shortest side to `side`, centre crop, normalize; (3, side, side) float32."""
    image = Image.open(path).convert("RGB")
    ratio = side / min(image.size)
    image = image.resize((round(image.width * ratio), round(image.height * ratio)), Image.Resampling.BICUBIC)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    pixels = np.asarray(image.crop((left, top, left + side, top + side)), np.float32)
    return ((pixels / 255 - MEAN) / STD).transpose(2, 0, 1)
