"""How others turn picture files into rows, each the way its documentation has it, or a careful engineer would.

The first functions load a model and give what embeds files, paths → rows (n, dim); the others give a tower alone, to be used by
`in_threads`. Knows nothing of glimpse.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Rows = NDArray[np.float32]
Index = Callable[[Sequence[Path]], Rows]
Tower = Callable[[NDArray[np.uint8]], Rows]

SIDE = 224  # of what CLIPs are given
MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)
FASTEMBED = "Qdrant/clip-ViT-B-32-vision"  # the name under which it knows the shape of a CLIP; the files are ours


def sentence_transformers(folder: Path, precision: str) -> Index:
    """`encode` as it comes: it decodes and prepares 32 pictures at a time in the thread that calls it."""
    from sentence_transformers import SentenceTransformer

    model: Any = SentenceTransformer(str(folder), device="cpu", model_kwargs={"dtype": precision})

    def embed(paths: Sequence[Path]) -> Rows:
        found = model.encode([Image.open(path) for path in paths], convert_to_tensor=True, show_progress_bar=False)
        return np.asarray(found.float().numpy(), np.float32)

    return embed


def fastembed(folder: Path) -> Index:
    """`ImageEmbedding.embed` as it comes, from a folder with `model.onnx`."""
    from fastembed import ImageEmbedding

    model = ImageEmbedding(FASTEMBED, specific_model_path=str(folder))
    return lambda paths: np.stack(list(model.embed(list(paths))))


def transformers(folder: Path, precision: str, *, compiled: bool = False) -> Tower:
    """CLIPModel on torch."""
    import torch

    import peer

    loaded = peer.load(folder, precision)
    plain = loaded.model.get_image_features
    tower = torch.compile(plain, dynamic=False) if compiled else plain  # once for each size of batch
    mean, deviation = (torch.tensor(one).view(1, 3, 1, 1) for one in (MEAN, DEVIATION))

    @torch.inference_mode()
    def embed(pixels: NDArray[np.uint8]) -> Rows:
        values = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(255).sub_(mean).div_(deviation)
        found = tower(pixel_values=values.to(loaded.dtype)).pooler_output
        return np.asarray(torch.nn.functional.normalize(found.float(), dim=-1).numpy(), np.float32)

    return embed


def onnx_runtime(graph: Path) -> Tower:
    """ONNX Runtime on a graph that takes uint8 pictures, with the threads and optimisations that it chooses."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda pixels: np.asarray(session.run(None, {name: pixels})[0], np.float32)


def in_threads(paths: Sequence[Path], tower: Tower, batch: int, *, ahead: bool) -> Rows:
    """Picture files → rows: threads decode a batch, while the tower has the one before (`ahead`), or before it has its turn.

    Which is quicker depends on whether the library's own threads bear others beside them.
    """
    parts = [paths[start : start + batch] for start in range(0, len(paths), batch)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        decoded = (list(pool.map(_prepared, part)) for part in parts)
        stacked = _one_ahead(pool, parts) if ahead else decoded
        return np.concatenate([tower(np.stack(pictures)) for pictures in stacked])


def _one_ahead(pool: ThreadPoolExecutor, parts: Sequence[Sequence[Path]]) -> Iterator[list[NDArray[np.uint8]]]:
    waiting = pool.map(_prepared, parts[0])
    for following in [*parts[1:], []]:
        submitted = pool.map(_prepared, following)
        yield list(waiting)
        waiting = submitted


def _prepared(path: Path) -> NDArray[np.uint8]:
    """A picture resized to its shorter side, bicubic, and cropped in its middle: uint8 (size, size, 3), as CLIP's own code does."""
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    shorter = min(picture.size)
    width, height = (int(SIDE * side / shorter) for side in picture.size)
    left, top = (width - SIDE) // 2, (height - SIDE) // 2
    resized = picture.resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(resized.crop((left, top, left + SIDE, top + SIDE)))
