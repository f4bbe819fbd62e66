"""What it does to vectors to decode JPEGs smaller than they are: by how much larger than the model's input they are left.

Folders of one's own pictures are measured as they are and, with `--large`, blown up to 12 megapixels; the demo's pictures always are.
A folder may hold `captions.json` (file name → {"captions": [...]}), else some everyday captions are looked for. Towers compute in
float32: whatever differs comes from decoding.
"""

import argparse
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

import checkpoint
import glimpse
import measure
import pictures
from glimpse import inputs, pixels, verify
from glimpse.demo import PICTURES
from glimpse.values import Pixels, Rows
from measure import Drift, Result

MARGINS = (1.0, 1.5, 2.0, 3.0, 4.0)
LARGE = 12_000_000  # pixels
QUALITY = 90
GATE = (0.999, 0.99, 0.98)  # mean cosine, its 0.1 percentile, top-10 overlap


@dataclass(frozen=True, slots=True)
class Set:
    """Pictures, as bytes of JPEGs, and what is looked for among them."""

    name: str
    files: Sequence[bytes]
    texts: Sequence[str]


def main() -> None:
    asked = _arguments()
    measure.prepare()
    models = {
        asked.model: glimpse.load(checkpoint.make(asked.model), precision="float32"),
        "demo": glimpse.load("demo", precision="float32"),
    }
    sets = [one for place in [PICTURES, *asked.folders] for one in _sets(place, asked.large)]
    drifts = [one for name, encoder in models.items() for these in sets for one in _drifts(name, encoder, these)]
    measure.finish(
        Result(
            question=checkpoint.result_name("fidelity", asked.model),
            setup={
                "models": f"{asked.model} (random weights), demo, in float32",
                "pictures": ", ".join(f"{len(one.files)} of {one.name}" for one in sets),
                "gate": "cosine ≥ {} on average and ≥ {} at the 0.1 percentile, top 10 ≥ {}".format(*GATE),
                "glimpse's margin": f"{pixels.MARGIN:g}",
            },
            drifts=drifts,
        ),
        keep=asked.keep,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="*", type=Path, help="folders with JPEGs")
    parser.add_argument("--model", default=checkpoint.DEFAULT, choices=checkpoint.SIZES)
    parser.add_argument(
        "--large", action="store_true", help="also blow the pictures of the folders up to 12 megapixels"
    )
    parser.add_argument("--no-keep", dest="keep", action="store_false", help="print only, write no results")
    return parser.parse_args()


def _sets(place: Path, large: bool) -> list[Set]:  # noqa: FBT001  (as asked on the command line)
    files, name = pictures.take(10_000, place), "the demo" if place == PICTURES else place.name
    as_they_are = Set(name, [file.read_bytes() for file in files], _texts(place))
    if place == PICTURES or not large:
        return [as_they_are]
    return [as_they_are, Set(f"{name} at 12 megapixels", [blown_up(file) for file in files], as_they_are.texts)]


def _texts(place: Path) -> Sequence[str]:
    try:
        known = json.loads((place / "captions.json").read_bytes())
    except FileNotFoundError:
        return verify.CAPTIONS
    if place == PICTURES:
        return list(known["captions"].values())
    return [caption for one in known.values() for caption in one["captions"]]


def blown_up(file: Path, area: int = LARGE) -> bytes:
    """The same picture with so many pixels, as a JPEG."""
    with Image.open(file) as picture:
        times = math.sqrt(area / (picture.width * picture.height))
        size = round(times * picture.width), round(times * picture.height)
        larger = io.BytesIO()
        picture.convert("RGB").resize(size, Image.Resampling.BICUBIC).save(larger, "jpeg", quality=QUALITY)
    return larger.getvalue()


def _drifts(name: str, encoder: glimpse.Encoder, these: Set) -> list[Drift]:
    texts = encoder.texts(these.texts)
    ready = [_by_margin(encoder, file) for file in these.files]
    exact = [one[None] for one in ready]
    rows = encoder.embed(np.stack(exact))
    return [
        _drift(
            f"{name}: {these.name}, margin {margin:g}", encoder, (rows, texts), exact, [one[margin] for one in ready]
        )
        for margin in MARGINS
    ]


def _by_margin(encoder: glimpse.Encoder, file: bytes) -> Mapping[float | None, Pixels]:
    """One picture made ready exactly (None) and with every margin."""
    rules = encoder.card.pixels
    smaller = {None: None} | {margin: pixels.least(rules, margin) for margin in MARGINS}
    decoded = {margin: inputs.opened(file, least) for margin, least in smaller.items()}
    return {margin: pixels.prepare(picture, rules, shown=shown) for margin, (picture, shown) in decoded.items()}


def _drift(
    what: str, encoder: glimpse.Encoder, reference: tuple[Rows, Rows], exact: Sequence[Pixels], some: Sequence[Pixels]
) -> Drift:
    measure.say(what)
    reduced = [place for place, one in enumerate(some) if not np.array_equal(one, exact[place])]
    rows = reference[0].copy()
    if reduced:
        rows[reduced] = encoder.embed(np.stack([some[place] for place in reduced]))
    found = verify.drift(reference, (rows, reference[1]))
    passes = all(reached >= least for reached, least in zip(found, GATE, strict=True))
    return Drift(what, len(reduced) / len(some), *found, passes)


if __name__ == "__main__":
    main()
