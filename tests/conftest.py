import gzip
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import glimpse
from glimpse.collection import Collection
from glimpse.demo import MODEL
from glimpse.encoder import Encoder
from glimpse.values import ModelCard

DATA = Path(__file__).parent / "data"
SHARED = Path(__file__).parents[2] / "shared"  # pictures that are not part of the product
GOLDENS = tuple(sorted(path.parent.name for path in (DATA / "golden").glob("*/golden.npz")))
CLIP_END, ROBERTA_END = 49407, 2


@pytest.fixture(scope="session", autouse=True)
def _own_folders(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nothing of the person who runs the tests is read or written."""
    home = tmp_path_factory.mktemp("home")
    os.environ |= {"GLIMPSE_CACHE": str(home / "cache"), "GLIMPSE_DATA": str(home / "data"), "HF_HUB_OFFLINE": "1"}


@dataclass(frozen=True)
class Golden:
    """A reference checkpoint with what transformers or open_clip made of its pictures and texts.

    `ids` are as long as what the text tower must see: up to the end where nobody looks further, the whole context where the
    padding counts, none of it where the reference masks it.
    """

    folder: Path
    texts: list[str]
    pixels: np.ndarray  # (n, size, size, 3) uint8
    images: np.ndarray  # (n, dim) unit rows
    rows: np.ndarray  # (texts, dim) unit rows
    ids: list[list[int]]
    card: ModelCard


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _unpack(name: str, folder: Path) -> None:
    for path in (DATA / "golden" / name).iterdir():
        if path.suffix == ".gz":
            (folder / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
        else:
            shutil.copyfile(path, folder / path.name)
    if name.startswith("hf-clip"):
        packed = (DATA / "golden" / "tokenizer.json.gz").read_bytes()
        (folder / "tokenizer.json").write_bytes(gzip.decompress(packed))


def _normalised_to_uint8(values: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...]) -> np.ndarray:
    shape = (1, 3, 1, 1)
    pixels = (values * np.reshape(std, shape) + np.reshape(mean, shape)) * 255
    assert np.abs(pixels - np.rint(pixels)).max() < 1e-3  # nothing is lost on the way back
    return np.rint(pixels).astype(np.uint8).transpose(0, 2, 3, 1)


def _seen(row: list[int], card: ModelCard) -> list[int]:
    end = {"free": CLIP_END if card.end_id is None else card.end_id, "none": ROBERTA_END}.get(card.words.padding)
    return row if end is None else row[: row.index(end) + 1]


@pytest.fixture(scope="session")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Golden]:
    known: dict[str, Golden] = {}

    def get(name: str) -> Golden:
        if name not in known:
            folder = tmp_path_factory.mktemp(name)
            _unpack(name, folder)
            arrays = np.load(folder / "golden.npz")
            card = glimpse.load(folder).card
            known[name] = Golden(
                folder=folder,
                texts=json.loads((folder / "golden.json").read_bytes())["texts"],
                pixels=_normalised_to_uint8(arrays["pixel_values"], card.pixels.mean, card.pixels.std),
                images=unit(arrays["image_features"]),
                rows=unit(arrays["text_features"]),
                ids=[_seen(list(map(int, row)), card) for row in arrays["input_ids"]],
                card=card,
            )
        return known[name]

    return get


@pytest.fixture(scope="session")
def golden_pictures() -> list[Path]:
    return sorted((DATA / "golden" / "pictures").glob("*.png"))


@pytest.fixture(scope="session")
def tiny(golden: Callable[[str], Golden]) -> Encoder:
    """A random model: for all that needs no meaning."""
    return glimpse.load(golden("hf-clip-gelu").folder)


@pytest.fixture(scope="session")
def demo() -> Encoder:
    """The bundled model: for all that needs meaning."""
    assert MODEL.is_dir()
    return glimpse.load("demo")


@pytest.fixture
def photos(tmp_path: Path, tiny: Encoder):
    with Collection(tmp_path / "photos.db", tiny) as collection:
        yield collection


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """A folder with four pictures in two folders, and one file that is none."""
    folder = tmp_path / "album"
    (folder / "inner").mkdir(parents=True)
    for place, name in enumerate(("a.png", "b.jpg", "inner/c.webp", "inner/d.gif")):
        noise(place).save(folder / name)
    (folder / "notes.txt").write_text("no picture")
    return folder


def noise(seed: int, size: tuple[int, int] = (70, 50)) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(pixels)


def shared(name: str) -> Path:
    """A folder beside the checkout, or a skip that says so."""
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"{name} is only where the team keeps its test data")
    return folder
