"""A checkpoint with random weights, in the Hugging Face layout that glimpse and transformers both load.

How long a tower takes does not depend on what its weights are, so no download is needed. `checkpoint.py ViT-L-14` makes one
and prints its folder; what is there already is used again.
"""

import argparse
import json
import math
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import AddedToken

from glimpse import tokens
from measure import bench_folder, say

START, END = "<|startoftext|>", "<|endoftext|>"
CONTEXT, VOCABULARY = 77, 49408
SEED = 0
DEFAULT = "ViT-B-32"


@dataclass(frozen=True, slots=True)
class Size:
    """The sizes of OpenAI's models (Radford et al. 2021, table 20), and of others; mlps are four times the width."""

    dim: int
    pixels: int
    patch: int
    image_width: int
    image_layers: int
    text_width: int
    text_layers: int = 12
    head: int = 64  # width of one in the image tower; 64 in the text tower always
    activation: str = "quick_gelu"
    precision: str = "float32"  # of the file


SIZES = {
    "ViT-B-32": Size(512, 224, 32, 768, 12, 512),
    "ViT-B-16": Size(512, 224, 16, 768, 12, 512),
    "ViT-L-14": Size(768, 224, 14, 1024, 24, 768),
    "ViT-L-14-336": Size(768, 336, 14, 1024, 24, 768),
    "ViT-H-14": Size(1024, 224, 14, 1280, 32, 1024, 24, head=80, activation="gelu", precision="bfloat16"),  # LAION's
    "tiny": Size(64, 32, 8, 64, 2, 64, 2),  # to try a script
}


def result_name(question: str, size: str) -> str:
    """What a result is kept under: the question, and the size where it is not the usual one."""
    return question if size == DEFAULT else f"{question}-{size}"


def make(name: str = DEFAULT) -> Path:
    """Make a checkpoint, or take the one that is there; returns its folder."""
    folder = bench_folder() / "checkpoints" / name
    if not folder.is_dir():
        say(f"making a {name} with random weights")
        folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(dir=folder.parent))
        try:
            _write(unfinished, SIZES[name])
            unfinished.rename(folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def _write(folder: Path, size: Size) -> None:
    _write_json(folder / "config.json", _config(size))
    _write_json(folder / "preprocessor_config.json", _preprocessor(size))
    _write_tokenizer(folder)
    _save(_tensors(size), folder / "model.safetensors", size.precision)


def _save(tensors: "dict[str, Array]", file: Path, precision: str) -> None:
    if precision == "float32":
        save_file(tensors, file, {"format": "pt"})
        return
    import torch
    from safetensors import torch as halves  # numpy has no bfloat16

    kind = getattr(torch, precision)
    found = {name: torch.from_numpy(array).to(kind if array.ndim else torch.float32) for name, array in tensors.items()}
    halves.save_file(found, file, {"format": "pt"})


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2), "utf-8")


# Configs --------------------------------------------------------------------------------------------------------------


def _config(size: Size) -> dict[str, Any]:
    image = _tower(size.image_width, size.image_layers, size.head, size.activation)
    image |= {"image_size": size.pixels, "patch_size": size.patch}
    text = _tower(size.text_width, size.text_layers, 64, size.activation) | {
        "vocab_size": VOCABULARY,
        "max_position_embeddings": CONTEXT,
    }
    ends = {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1}  # as OpenAI's checkpoints say, wrongly
    return {
        "architectures": ["CLIPModel"],
        "dtype": size.precision,
        "model_type": "clip",
        "projection_dim": size.dim,
        "logit_scale_init_value": 2.6592,
        "text_config": text | ends | {"model_type": "clip_text_model", "projection_dim": size.dim},
        "vision_config": image | {"model_type": "clip_vision_model", "projection_dim": size.dim},
    }


def _tower(width: int, layers: int, head: int, activation: str) -> dict[str, Any]:
    return {
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_attention_heads": width // head,
        "num_hidden_layers": layers,
        "hidden_act": activation,
        "layer_norm_eps": 1e-5,
    }


def _preprocessor(size: Size) -> dict[str, Any]:
    return {
        "image_processor_type": "CLIPImageProcessor",
        "do_resize": True,
        "size": {"shortest_edge": size.pixels},
        "resample": 3,
        "do_center_crop": True,
        "crop_size": {"height": size.pixels, "width": size.pixels},
        "do_normalize": True,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
    }


# Tokenizer ------------------------------------------------------------------------------------------------------------


def _write_tokenizer(folder: Path) -> None:
    """Write CLIP's own tokenizer in all the forms that are around, from the table that glimpse brings."""
    bundled = json.loads(tokens.load(folder, CONTEXT).tokenizer.to_str())["model"]  # the folder has none yet
    words = sorted(bundled["vocab"], key=bundled["vocab"].__getitem__)[:-2]
    _write_json(folder / "vocab.json", {word: i for i, word in enumerate([*words, START, END])})
    merges = "\n".join(" ".join(pair) for pair in bundled["merges"])
    (folder / "merges.txt").write_text(f"#version: 0.2\n{merges}\n", "utf-8")
    whole = tokens.load(folder, CONTEXT).tokenizer
    whole.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in (START, END)])
    whole.save(str(folder / "tokenizer.json"))
    special = {"bos_token": START, "eos_token": END, "pad_token": END, "unk_token": END}
    kind = {"tokenizer_class": "CLIPTokenizer", "model_max_length": CONTEXT}
    _write_json(folder / "tokenizer_config.json", special | kind)
    _write_json(folder / "special_tokens_map.json", special)


# Weights --------------------------------------------------------------------------------------------------------------

Array = NDArray[np.float32]
Draw = Callable[..., Array]  # (deviation, *shape), numbers around 0


def _tensors(size: Size) -> dict[str, Array]:
    """Every tensor of the model, spread as CLIP's initialisation is, so that activations stay in a trained model's range."""
    random = np.random.default_rng(SEED)

    def draw(deviation: float, *shape: int) -> Array:
        return random.standard_normal(shape, np.float32) * np.float32(deviation)

    return {
        **_image_ends(draw, size),
        **_blocks(draw, "vision_model", size.image_width, size.image_layers),
        **_text_ends(draw, size),
        **_blocks(draw, "text_model", size.text_width, size.text_layers),
        "logit_scale": np.array(math.log(100), np.float32),
    }


def _image_ends(draw: Draw, size: Size) -> dict[str, Array]:
    width, at = size.image_width, "vision_model.embeddings"
    return {
        f"{at}.class_embedding": draw(width**-0.5, width),
        f"{at}.patch_embedding.weight": draw((3 * size.patch**2) ** -0.5, width, 3, size.patch, size.patch),
        f"{at}.position_embedding.weight": draw(width**-0.5, 1 + (size.pixels // size.patch) ** 2, width),
        **_norm(draw, "vision_model.pre_layrnorm", width),  # transformers' spelling
        **_norm(draw, "vision_model.post_layernorm", width),
        "visual_projection.weight": draw(width**-0.5, size.dim, width),
    }


def _text_ends(draw: Draw, size: Size) -> dict[str, Array]:
    width, at = size.text_width, "text_model.embeddings"
    return {
        f"{at}.token_embedding.weight": draw(0.02, VOCABULARY, width),
        f"{at}.position_embedding.weight": draw(0.01, CONTEXT, width),
        **_norm(draw, "text_model.final_layer_norm", width),
        "text_projection.weight": draw(width**-0.5, size.dim, width),
    }


def _blocks(draw: Draw, tower: str, width: int, layers: int) -> dict[str, Array]:
    found: dict[str, Array] = {}
    into_stream = width**-0.5 * (2 * layers) ** -0.5  # each block adds twice
    for i in range(layers):
        at = f"{tower}.encoder.layers.{i}"
        for letter in "qkv":
            found |= _linear(draw, f"{at}.self_attn.{letter}_proj", width**-0.5, width, width)
        found |= _linear(draw, f"{at}.self_attn.out_proj", into_stream, width, width)
        found |= _linear(draw, f"{at}.mlp.fc1", (2 * width) ** -0.5, 4 * width, width)
        found |= _linear(draw, f"{at}.mlp.fc2", into_stream, width, 4 * width)
        found |= _norm(draw, f"{at}.layer_norm1", width) | _norm(draw, f"{at}.layer_norm2", width)
    return found


def _linear(draw: Draw, name: str, deviation: float, out: int, width: int) -> dict[str, Array]:
    return {f"{name}.weight": draw(deviation, out, width), f"{name}.bias": draw(0.01, out)}


def _norm(draw: Draw, name: str, width: int) -> dict[str, Array]:
    return {f"{name}.weight": 1 + draw(0.05, width), f"{name}.bias": draw(0.01, width)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make a CLIP checkpoint with random weights.")
    parser.add_argument("size", nargs="?", default=DEFAULT, choices=SIZES)
    print(make(parser.parse_args().size))
