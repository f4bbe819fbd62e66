"""ONNX files for the peers that read such files, made of a checkpoint once and kept.

ONNX Runtime gets the graph that glimpse exports, which takes uint8 pictures and was the quickest of those tried: transformers'
own, exported by torch, and that one with its nodes fused. fastembed prepares pictures itself, so it gets transformers' graph.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import glimpse
from measure import bench_folder, say

PREPROCESSOR = "preprocessor_config.json"
OPSET = 17


def float32(checkpoint: Path) -> Path:
    """The image tower as glimpse exports it: uint8 (n, size, size, 3) → float32 (n, dim) unit rows."""
    folder = _kept(checkpoint, "exported", lambda part: glimpse.load(checkpoint).export(part))
    return folder / "visual" / "model.onnx"


def int8(checkpoint: Path) -> Path:
    """The same with its matrix products quantised dynamically: ONNX Runtime's quickest."""
    return _kept(checkpoint, "int8", lambda part: _quantise(float32(checkpoint), part)) / "model.onnx"


def of_transformers(checkpoint: Path) -> Path:
    """A folder with transformers' image tower and its preprocessor: float32 (n, 3, size, size) → (n, dim)."""
    return _kept(checkpoint, "transformers", lambda part: _export(checkpoint, part))


def _kept(checkpoint: Path, kind: str, make: Callable[[Path], Any]) -> Path:
    """A folder that is made once: whole, or not at all."""
    folder = bench_folder() / "graphs" / f"{checkpoint.name}-{kind}"
    if not folder.is_dir():
        say(f"making {folder.name}")
        part = folder.with_name(f"{folder.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        make(part)
        part.rename(folder)
    return folder


def _quantise(graph: Path, part: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(graph, part / "model.onnx", weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul"])


def _export(checkpoint: Path, part: Path) -> None:
    import torch
    from transformers import CLIPVisionModelWithProjection

    model = CLIPVisionModelWithProjection.from_pretrained(checkpoint).eval()
    side = model.config.image_size
    torch.onnx.export(
        model,  # its first output are the rows
        (torch.zeros(2, 3, side, side),),
        part / "model.onnx",
        input_names=["pixel_values"],
        output_names=["image_embeds"],
        dynamic_axes={"pixel_values": {0: "n"}},
        opset_version=OPSET,
        dynamo=False,  # the newer exporter wants another library
    )
    shutil.copy(checkpoint / PREPROCESSOR, part)
