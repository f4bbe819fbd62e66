"""How many pictures a second a graphics card embeds: glimpse on torch beside transformers and open_clip, in one run.

Towers alone, at several sizes of batch, and whole paths from JPEG files. Each reads its own best case: ours gets uint8 pictures
in main memory and gives its rows back there, batch by batch; of the others the pixels are on the card already, ready in
bfloat16, and the rows stay there until the end. The best plain product of bfloat16 matrices in the same run stands for what the
card can do; a tower is counted with the arithmetic of every token in every block, although ours leaves out in the last one what
nobody reads. Needs torch, numpy, pillow, safetensors and tokenizers; of the others, those that are installed are compared with.

`--device cpu --models tiny` tries the script where there is no card.
"""

import argparse
import importlib.util
import os
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import checkpoint
import glimpse
import measure
import pictures
from measure import Agreement, Comparison, Figure, Result, Work
from peak import tower_flops

MODELS = ("ViT-B-32", "ViT-L-14", "ViT-L-14-336", "ViT-H-14")
BATCHES = (64, 256, 1024)
PRECISION = "bfloat16"
SIDES = {"cuda": (4096, 8192, 16384), "cpu": (1024, 2048)}  # of the square matrices
PRODUCTS = 8  # in one measurement
DRAWN = 64  # different pictures, again and again: what is in them changes no time
SAME = 0.99  # cosine between two libraries' rows, both in bfloat16, with random weights

SHARE_OF_PEAK = 0.55  # of models from ViT-L on, in batches from LARGE on
LARGE = 256
AGAINST_PEERS = 1.15
SHARE_OF_SLOWER = 0.85  # end to end, of the tower's and the decoder's speed the lower one

OPEN_CLIP = {  # with the activation that the checkpoint has, too
    "ViT-B-32": "ViT-B-32-quickgelu",
    "ViT-L-14": "ViT-L-14-quickgelu",
    "ViT-L-14-336": "ViT-L-14-336-quickgelu",
    "ViT-H-14": "ViT-H-14",
}

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Other:
    """A library to compare with: its tower over what is on the card, and its way from files."""

    name: str
    embed: Callable[[Any], Any]  # pixel values (n, 3, size, size) on the device → rows there
    values: Callable[[Pixels], Any]  # uint8 (n, size, size, 3) → pixel values
    prepare: Callable[[Sequence[Path]], Any]  # files → pixel values


def main() -> None:
    asked = _arguments()
    _require(asked.device)
    measure.prepare()
    os.environ["HF_HUB_OFFLINE"] = "1"  # the checkpoints are on disk: nothing to ask the hub for
    paths = pictures.take(asked.count, asked.pictures)
    figures: list[Figure] = []
    comparisons: list[Comparison] = []
    agreements: list[Agreement] = []
    for model in asked.models:
        measure.say(model)
        one = _Model(model, asked, paths)
        times = measure.in_turn(one.contestants(), asked.rounds)
        figures += one.figures(times)
        comparisons += one.comparisons(times)
        agreements += one.agreements()
    own = "own JPEGs" if asked.pictures else "generated 640 × 480 JPEGs"
    setup = {"models": ", ".join(asked.models), "precision": PRECISION, "rounds": asked.rounds}
    setup |= {"pictures": f"{len(paths)} {own}", "way": os.environ.get("GLIMPSE_TORCH", "graphs")}
    result = Result(
        "gpu",
        setup,
        figures,
        comparisons,
        agreements=agreements,
        peer="beside",
        machine=measure.machine() | _card(asked.device),
        versions=measure.versions() | _versions(),
    )
    measure.finish(result, keep=asked.keep)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=MODELS, choices=checkpoint.SIZES)
    parser.add_argument("--batches", nargs="+", type=int, default=BATCHES, help="pictures in a batch")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--pictures", type=Path, help="a folder of your own JPEGs; default: generated ones")
    parser.add_argument("--count", type=int, default=512, help="how many files")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-keep", dest="keep", action="store_false", help="print only, write no results")
    return parser.parse_args()


def _require(device: str) -> None:
    """Leave with a sentence where there is nothing to measure, and name the libraries that cannot be compared with."""
    if importlib.util.find_spec("torch") is None:
        measure.say("torch is not installed: pip install 'glimpse-search[torch]'")
        sys.exit(2)
    import torch

    if device != "cpu" and not torch.cuda.is_available():
        measure.say(f"there is no {device} here, for CUDA shows no graphics card: run this where there is one")
        sys.exit(2)
    if device != "cpu" and int(device.partition(":")[2] or 0) >= torch.cuda.device_count():
        measure.say(f"there is no {device} here: CUDA shows {torch.cuda.device_count()} graphics cards")
        sys.exit(2)
    missing = [name for name in ("transformers", "open_clip") if importlib.util.find_spec(name) is None]
    if missing:
        measure.say(f"not installed, and so not compared with: {', '.join(missing)}")


def _card(device: str) -> dict[str, Any]:
    import torch

    return {} if device == "cpu" else {"card": torch.cuda.get_device_name(device), "cuda": torch.version.cuda}


def _versions() -> dict[str, str]:
    return {"open_clip_torch": version("open_clip_torch")} if importlib.util.find_spec("open_clip") else {}


def _wait(device: str) -> None:
    import torch

    if device != "cpu":
        torch.cuda.synchronize(device)


# One model ------------------------------------------------------------------------------------------------------------


class _Model:
    """All contestants over one model, and what became of them."""

    def __init__(self, model: str, asked: argparse.Namespace, paths: Sequence[Path]) -> None:
        folder = checkpoint.make(model)
        self._model, self._device, self._batches, self._paths = model, asked.device, asked.batches, paths
        self._encoder = glimpse.load(folder, runtime="torch", precision=PRECISION, device=asked.device)
        self._count = max(asked.batches)  # pictures in one measurement of a tower, whatever the batch
        side = self._encoder.card.pixels.size
        drawn = np.random.default_rng(0).integers(0, 256, (DRAWN, side, side, 3), np.uint8)
        self._pixels = np.resize(drawn, (self._count, side, side, 3))
        self._others = _others(folder, model, asked.device)

    # Contestants ------------------------------------------------------------------------------------------------------

    def contestants(self) -> dict[str, Work]:
        """All that is measured, by name."""
        return _products(self._device) | self._towers() | self._from_files()

    def _towers(self) -> dict[str, Work]:
        import torch

        found: dict[str, Work] = {}
        for other in self._others:
            values = other.values(self._pixels[:DRAWN]).to(self._device, torch.bfloat16)
            ready = values.repeat(-(-self._count // len(values)), 1, 1, 1)[: self._count]
            found |= {_tower(other.name, batch): partial(self._embed, other, ready, batch) for batch in self._batches}
        pixels = torch.from_numpy(self._pixels).to(self._device)  # where the others' are, too
        ours = {_tower("glimpse", batch): partial(self._embed_ours, pixels, batch) for batch in self._batches}
        return ours | {_memory("glimpse", batch): partial(self._embed_copied, batch) for batch in self._batches} | found

    def _embed_ours(self, pixels: Any, batch: int) -> None:
        import torch

        run = self._encoder._image_tower  # noqa: SLF001  (what users call copies pictures to the card)
        torch.cat([run.on_device(part) for part in pixels.split(batch)]).cpu()

    def _embed_copied(self, batch: int) -> None:
        for start in range(0, self._count, batch):
            self._encoder.embed(self._pixels[start : start + batch])

    def _embed(self, other: Other, values: Any, batch: int) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            rows: NDArray[np.float32] = torch.cat([other.embed(part) for part in values.split(batch)]).cpu().numpy()
        return rows

    def _from_files(self) -> dict[str, Work]:
        batch = min(LARGE, len(self._paths))
        found: dict[str, Work] = {"decoding alone": self._decode}
        found[_files("glimpse")] = partial(self._encoder.images, self._paths, batch=batch)
        return found | {_files(other.name): partial(self._whole_path, other, batch) for other in self._others}

    def _decode(self) -> None:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for _ in pool.map(self._encoder.prepare, self._paths):
                pass

    def _whole_path(self, other: Other, batch: int) -> None:
        import torch

        for start in range(0, len(self._paths), batch):
            values = other.prepare(self._paths[start : start + batch]).to(self._device, torch.bfloat16)
            self._embed(other, values, batch)

    # What was found ---------------------------------------------------------------------------------------------------

    def figures(self, times: Mapping[str, Sequence[float]]) -> list[Figure]:
        """Speeds of all."""
        return [
            _product_figure(f"{self._model}: {name}", taken, _flops(name))
            if name.startswith("product")
            else measure.rate_figure(f"{self._model}: {name}", "images/s", taken, self._pictures(name))
            for name, taken in times.items()
        ]

    def _pictures(self, name: str) -> int:
        return self._count if "batches of" in name else len(self._paths)

    def comparisons(self, times: Mapping[str, Sequence[float]]) -> list[Comparison]:
        """What is held against the card's limit, the other libraries and the slower of two stages."""
        found = [self._share_of_peak(times, batch) for batch in self._batches]
        if self._others:
            found += [self._against_others(times, batch) for batch in self._batches]
            found.append(self._files_against_others(times))
        return [*found, self._share_of_slower(times)]

    def _share_of_peak(self, times: Mapping[str, Sequence[float]], batch: int) -> Comparison:
        flops = self._count * tower_flops(self._encoder.card)
        ours = [flops / taken / 1e12 for taken in times[_tower("glimpse", batch)]]
        speeds = {
            name: [_flops(name) / one / 1e12 for one in taken] for name, taken in times.items() if "product" in name
        }
        best = max(speeds, key=lambda name: statistics.median(speeds[name]))
        counts = batch >= LARGE and self._encoder.card.image.width >= 1024
        what = f"{self._model}, share of the matrix product, batches of {batch}"
        return _compared(what, "TFLOP/s", ours, speeds[best], best, SHARE_OF_PEAK if counts else None)

    def _against_others(self, times: Mapping[str, Sequence[float]], batch: int) -> Comparison:
        best = measure.fastest({name: times[name] for name in (_tower(other.name, batch) for other in self._others)})
        ours, theirs = (measure.rates(times[name], self._count) for name in (_tower("glimpse", batch), best))
        return _compared(f"{self._model}, towers, batches of {batch}", "images/s", ours, theirs, best, AGAINST_PEERS)

    def _files_against_others(self, times: Mapping[str, Sequence[float]]) -> Comparison:
        best = measure.fastest({name: times[name] for name in (_files(other.name) for other in self._others)})
        ours, theirs = (measure.rates(times[name], len(self._paths)) for name in (_files("glimpse"), best))
        return _compared(f"{self._model}, from JPEG files", "images/s", ours, theirs, best, None)

    def _share_of_slower(self, times: Mapping[str, Sequence[float]]) -> Comparison:
        near = min(self._batches, key=lambda batch: abs(batch - LARGE))
        stages = {
            name: measure.rates(times[name], self._pictures(name))
            for name in ("decoding alone", _tower("glimpse", near))
        }
        slower = min(stages, key=lambda name: statistics.median(stages[name]))
        ours = measure.rates(times[_files("glimpse")], len(self._paths))
        what = f"{self._model}, from JPEG files, share of the slower stage"
        return _compared(what, "images/s", ours, stages[slower], slower, SHARE_OF_SLOWER)

    def agreements(self) -> list[Agreement]:
        """Whether transformers, which has the same weights, finds the same; open_clip's are its own."""
        rows = self._encoder.embed(self._pixels[:DRAWN])
        found = []
        for other in self._others:
            if other.name == "transformers":
                theirs = self._embed(other, other.values(self._pixels[:DRAWN]).to(self._device), DRAWN)
                found.append(Agreement(f"{self._model}, {PRECISION}", measure.lowest_cosine(rows, theirs), SAME))
        return found


def _tower(name: str, batch: int) -> str:
    return f"{name} tower, batches of {batch}"


def _memory(name: str, batch: int) -> str:
    return f"{name} tower and copies, batches of {batch}"


def _files(name: str) -> str:
    return f"{name} from JPEG files"


def _compared(
    what: str, unit: str, ours: Sequence[float], theirs: Sequence[float], peer_is: str, target: float | None
) -> Comparison:
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    medians = statistics.median(ours), statistics.median(theirs)
    return Comparison(what, unit, *medians, peer_is, statistics.median(ratios), ratios, target)


# The card's limit -----------------------------------------------------------------------------------------------------


def _products(device: str) -> dict[str, Work]:
    return {f"product of {side} × {side}": _product(side, device) for side in SIDES[device.partition(":")[0]]}


def _product(side: int, device: str) -> Work:
    import torch

    a, b = torch.randn(2, side, side, device=device).to(torch.bfloat16)
    into = torch.empty_like(a)

    def work() -> None:
        for _ in range(PRODUCTS):
            torch.matmul(a, b, out=into)
        _wait(device)

    return work


def _flops(name: str) -> float:
    """Multiplications and additions of one measurement of a product, told by its name."""
    return PRODUCTS * 2.0 * int(name.rpartition(" ")[2]) ** 3


def _product_figure(name: str, times: Sequence[float], flops: float) -> Figure:
    reached = [flops / taken / 1e12 for taken in times]
    return Figure(name, "TFLOP/s", statistics.median(reached), reached)


# The others -----------------------------------------------------------------------------------------------------------


def _others(folder: Path, model: str, device: str) -> list[Other]:
    found = [_transformers(folder, device)] if importlib.util.find_spec("transformers") else []
    if _open_clip_has(OPEN_CLIP.get(model)):
        found.append(_open_clip(OPEN_CLIP[model], device))
    return found


def _open_clip_has(name: str | None) -> bool:
    if name is None or not importlib.util.find_spec("open_clip"):
        return False
    import open_clip

    return name in open_clip.list_models()


def _transformers(folder: Path, device: str) -> Other:
    import torch

    import peer

    loaded = peer.load(folder, PRECISION)
    loaded.model.to(device)

    def embed(values: Any) -> Any:
        rows = loaded.model.get_image_features(pixel_values=values).pooler_output
        return torch.nn.functional.normalize(rows.float(), dim=-1)

    return Other("transformers", embed, loaded.values, loaded.prepare)


def _open_clip(name: str, device: str) -> Other:
    import open_clip
    import torch
    from PIL import Image

    model, _, transform = open_clip.create_model_and_transforms(name, precision="bf16", device=device)
    model.eval()

    def embed(values: Any) -> Any:
        return model.encode_image(values, normalize=True).float()

    def values(pixels: Pixels) -> Any:
        return torch.stack([transform(Image.fromarray(one)) for one in pixels])

    def prepare(paths: Sequence[Path]) -> Any:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return torch.stack(list(pool.map(lambda path: transform(Image.open(path)), paths)))

    return Other("open_clip", embed, values, prepare)


if __name__ == "__main__":
    main()
