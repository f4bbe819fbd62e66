"""A picture → the model's input, uint8 (size, size, 3), by the rules of the model's card.

What a picture means comes first (`upright`): EXIF orientation is applied, transparency is laid over white, ICC profiles and
CMYK go to sRGB, 16-bit and wider numbers are scaled to 8 bits, never clipped. Then its shape (`fit`): Pillow's antialiased
resize and torchvision's rounding, byte for byte what transformers' (on Pillow), AutoGluon's and open_clip's transforms
give. `parity=True` leaves out the first part, as those do: no orientation, no transparency, no profile.
A decoder that can make a picture smaller while it decodes is told how small it may get (`least`, `least_of_thumbnail`).

Knows no file and no model.
"""

import contextlib
import io
import math
from collections.abc import Iterator, Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageOps

from glimpse.errors import BadItem
from glimpse.values import FAILURE_CODES, Interpolation, Least, PixelRules

_RESAMPLING: Mapping[Interpolation, Image.Resampling] = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
MAX_RESIZED = 2**25  # pixels: 224 × 149,796, or a ratio of sides of 668 at that size
KEPT_RATIO = 64
Box = tuple[float, float, float, float]  # left, top, right, bottom, in pixels

MARGIN = 1.5  # times what a picture is resized to: no side is decoded to less; measured, see docs/pictures.md
_THUMBNAIL_MARGIN = 2.0  # as Pillow's own `thumbnail` has it
SAME_COLOUR = 2  # of 255
_WHITE = (255, 255, 255, 255)
_16_BIT = 65535


def prepare(
    picture: Image.Image, rules: PixelRules, *, parity: bool = False, shown: tuple[float, float] | None = None
) -> NDArray[np.uint8]:
    """Make a decoded picture ready for the image tower: uint8 (size, size, 3).

    Args:
        picture: in any mode of Pillow's.
        rules: from the model's card.
        parity: do as the reference libraries do, which ignore orientation, transparency and profiles.
        shown: how much of width and height is the picture, where it was decoded smaller than it is and its last column or row is
            a part of a pixel. None: all.

    Raises:
        BadItem: the picture cannot be converted ("corrupt", "memory").
    """
    with _explained():
        box = shown and _box(picture.size, shown, 1 if parity else _orientation(picture))
        if not parity:
            picture = fit(upright(picture), rules, box)
        elif rules.convert == "first":
            picture = fit(picture.convert("RGB"), rules, box)
        else:
            picture = fit(picture, rules, box).convert("RGB")
        return np.asarray(picture)


def thumbnail(picture: Image.Image, side: int) -> NDArray[np.uint8]:
    """A small form for a person: upright, sRGB, no side longer than `side` pixels: uint8 (height, width, 3).

    Raises:
        BadItem: the picture cannot be converted ("corrupt", "memory").
    """
    with _explained():
        small = upright(picture)
        small.thumbnail((side, side), Image.Resampling.LANCZOS)
        return np.asarray(small)


def least(rules: PixelRules, margin: float = MARGIN) -> Least:
    """How small a picture may be decoded for `prepare`: each side, for one that is squashed shrinks less in one of them.

    Widths and heights may be exchanged, as orientation does: no rule tells one from the other.
    """

    def least_of(width: int, height: int) -> tuple[int, int]:
        to_width, to_height = _resized(width, height, rules)
        return math.ceil(margin * to_width), math.ceil(margin * to_height)

    return least_of


def least_of_thumbnail(side: int) -> Least:
    """How small a picture may be decoded for `thumbnail`."""

    def least_of(width: int, height: int) -> tuple[int, int]:
        share = _THUMBNAIL_MARGIN * side / max(width, height)
        return math.ceil(share * width), math.ceil(share * height)

    return least_of


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Name what goes wrong; of a damaged picture Pillow may raise anything, failed assertions too."""
    try:
        yield
    except MemoryError as error:
        raise BadItem("memory", FAILURE_CODES["memory"]) from error
    except Exception as error:
        raise BadItem("corrupt", FAILURE_CODES["corrupt"]) from error


# What a picture means -------------------------------------------------------------------------------------------------


def upright(picture: Image.Image) -> Image.Image:
    """What a person sees when the picture is shown on white: RGB, in sRGB, the right way up."""
    if _orientation(picture) != 1:  # else Pillow would make a copy
        with contextlib.suppress(Exception):
            picture = ImageOps.exif_transpose(picture)
    return _to_rgb(_to_8_bit(picture))


def _orientation(picture: Image.Image) -> int:
    try:
        found: int = picture.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # noqa: BLE001  (EXIF that cannot be read says nothing about the picture)
        return 1
    return found


def _box(size: tuple[int, int], shown: tuple[float, float], orientation: int) -> Box:
    """Where the picture is within its pixels once it is upright: what is no part of it, at the right and below, turns with it."""
    (width, height), (right, below) = size, (size[0] - shown[0], size[1] - shown[1])
    if orientation in (5, 6, 7, 8):  # columns became rows
        width, height, right, below = height, width, below, right
    left, above = right * (orientation in (2, 3, 6, 7)), below * (orientation in (3, 4, 7, 8))
    return left, above, left + width - right, above + height - below


def _to_8_bit(picture: Image.Image) -> Image.Image:
    """Scale the modes that hold more than 8 bits: "I;16" and its relatives, "I" and "F"."""
    if picture.mode.startswith("I;16"):
        values, clear = np.asarray(picture), picture.info.get("transparency")
        gray = Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))  # rounded
        if isinstance(clear, int):
            gray.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
        return gray
    if picture.mode in ("I", "F"):
        unit = _to_unit_range(np.asarray(picture).astype(np.float32))
        return Image.fromarray(np.rint(unit * 255).astype(np.uint8))
    return picture


def _to_unit_range(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale to 0…1: numbers within 0…1 stay, those within 16 bits are divided by 65535, others by their own range."""
    values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    if low >= 0 and high <= 1:
        return values
    if low >= 0 and high <= _16_BIT:
        return np.asarray(values / _16_BIT, np.float32)
    span = high / 2 - low / 2  # halves, for the numbers may reach to both ends of float32
    return np.asarray((values / 2 - low / 2) / span if span > 0 else np.zeros_like(values), np.float32)


def _to_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode == "P":
        picture = picture.convert("RGBA" if "transparency" in picture.info else "RGB")
    if picture.has_transparency_data:
        picture = _over_white(picture)
    return _to_srgb(picture)


def _over_white(picture: Image.Image) -> Image.Image:
    layer = picture.convert("RGBA")
    flat = Image.alpha_composite(Image.new("RGBA", layer.size, _WHITE), layer).convert("RGB")
    # A profile of gray numbers says nothing about RGB ones, and Pillow keeps no info through compositing.
    if picture.mode in ("RGB", "RGBA") and "icc_profile" in picture.info:
        flat.info["icc_profile"] = picture.info["icc_profile"]
    return flat


def _to_srgb(picture: Image.Image) -> Image.Image:
    profile = b"" if picture.mode == "1" else picture.info.get("icc_profile") or b""
    if picture.mode == "LAB":
        profile = _LAB
    if profile and (transform := _transform(profile, picture.mode)):
        with contextlib.suppress(ImageCms.PyCMSError, ValueError):
            return ImageCms.applyTransform(picture, transform) or picture
    return picture if picture.mode == "RGB" else picture.convert("RGB")


_LAB = b"LAB"


@lru_cache(maxsize=64)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """How to come from a profile to sRGB; None where it is sRGB already, broken, or made for another mode."""
    try:
        source = ImageCms.createProfile("LAB") if profile is _LAB else ImageCms.ImageCmsProfile(io.BytesIO(profile))
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
        return None if mode == "RGB" and _changes_nothing(transform) else transform
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether colours stay what they are but for rounding: sRGB under any of its many names."""
    steps = np.arange(0, 256, 15).astype(np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(-1, 18, 3)
    shown = np.asarray(ImageCms.applyTransform(Image.fromarray(colours), transform))
    return bool(np.abs(shown.astype(int) - colours).max() <= SAME_COLOUR)


# The shape of a picture -----------------------------------------------------------------------------------------------


def fit(picture: Image.Image, rules: PixelRules, box: Box | None = None) -> Image.Image:
    """Resize and crop or pad to size × size, in the picture's own mode; of the picture, what is in the box."""
    whole = _without_ends(picture, rules)
    if box is None or whole is not picture:  # of what was cut off, the part of a pixel was the end
        box = (0, 0, *whole.size)
    size = _resized(box[2] - box[0], box[3] - box[1], rules)
    return _centre(_resize(whole, size, _RESAMPLING[rules.interpolation], box), rules.size)


def _without_ends(picture: Image.Image, rules: PixelRules) -> Image.Image:
    """Cut the ends off a picture so thin that, with its short side at the model's size, it would fill the memory.

    The centre crop would leave them out anyway; one of 1 × 60,000 pixels is of few bytes, and of gigabytes once resized.
    """
    width, height = _resized(picture.width, picture.height, rules)
    if width * height <= MAX_RESIZED:
        return picture
    reach = KEPT_RATIO * min(picture.size) // 2
    x, y = picture.width // 2, picture.height // 2
    return picture.crop(
        (max(0, x - reach), max(0, y - reach), min(picture.width, x + reach), min(picture.height, y + reach))
    )


_PREMULTIPLIED = {"RGBA": "RGBa", "LA": "La"}


def _resize(picture: Image.Image, size: tuple[int, int], resampling: Image.Resampling, box: Box) -> Image.Image:
    """Resize what is in the box across, then down.

    Pillow up to 12 always did; Pillow 13 takes the cheaper order, and the two round differently (by up to 7 of 255): the
    models were trained, and the references made, with the former.
    """
    premultiplied = _PREMULTIPLIED.get(picture.mode)
    if premultiplied:  # what Pillow does around a resize, once instead of twice
        return _resize(picture.convert(premultiplied), size, resampling, box).convert(picture.mode)
    (width, height), (left, top, right, bottom) = picture.size, box
    if size[0] * height > MAX_RESIZED:  # so high that across first would fill the memory
        down = picture.resize((width, size[1]), resampling, (0, top, width, bottom))
        return down.resize(size, resampling, (left, 0, right, size[1]))
    across = picture.resize((size[0], height), resampling, (left, 0, right, height))
    return across.resize(size, resampling, (0, top, size[0], bottom))


def _resized(width: float, height: float, rules: PixelRules) -> tuple[int, int]:
    to = rules.resize_to
    if rules.resize_mode == "squash":
        return to, to
    if rules.resize_mode == "longest":  # open_clip's ResizeKeepRatio(longest=1)
        longest = max(width, height)
        return max(1, round(width * to / longest)), max(1, round(height * to / longest))
    # torchvision's Resize: the long side is truncated
    return (to, int(to * height / width)) if width <= height else (int(to * width / height), to)


def _centre(picture: Image.Image, size: int) -> Image.Image:
    """Cut out the middle, after padding with black what is too small: torchvision's CenterCrop."""
    width, height = picture.size
    if width < size or height < size:
        padded = Image.new(picture.mode, (max(width, size), max(height, size)))
        padded.paste(picture, (max(0, (size - width) // 2), max(0, (size - height) // 2)))
        picture, (width, height) = padded, padded.size
    left, top = round((width - size) / 2), round((height - size) / 2)  # to even, as torchvision rounds
    return picture if (width, height) == (size, size) else picture.crop((left, top, left + size, top + size))
