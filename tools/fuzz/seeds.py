"""Small good files: of every format that glimpse opens and this Pillow and this PyAV write, and what the team keeps beside the checkout."""

import contextlib
import io
from collections.abc import Iterator
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from glimpse.decoders import image

SHARED = Path(__file__).parents[3] / "shared" / "data"
LARGEST = 20_000  # bytes of a seed: larger ones are slower, and no richer

MODES = ("RGB", "RGBA", "L", "LA", "P", "1", "CMYK", "I;16", "F", "YCbCr")
VARIANTS: dict[str, list[dict[str, Any]]] = {
    "JPEG": [{"progressive": True}, {"quality": 5, "subsampling": 0}, {"restart_marker_blocks": 2}],
    "PNG": [{"compress_level": 0}, {"save_all": True}],
    "WEBP": [{"lossless": True}, {"save_all": True}, {"quality": 10}],
    "GIF": [{"save_all": True}, {"interlace": 0}],
    "TIFF": [
        {"compression": name} for name in ("tiff_lzw", "jpeg", "group4", "tiff_deflate", "packbits", "zstd", "webp")
    ],
    "BMP": [{"compression": "bmp_rle"}],
    "TGA": [{"compression": "tga_rle"}],
    "SGI": [{"bpc": 2}],
    "DDS": [{"pixel_format": name} for name in ("DXT1", "DXT5", "BC2", "BC3", "BC5")],
    "JPEG2000": [{"no_jp2": True}, {"irreversible": True, "tile_size": (16, 16)}],
    "AVIF": [{"save_all": True}],
}
FILMS = (
    ("mp4", "libx264"), ("mp4", "mpeg4"), ("mov", "mjpeg"), ("matroska", "libx264"), ("webm", "libvpx"), ("avi", "mpeg4"),
    ("mpegts", "libx264"), ("mpeg", "mpeg2video"), ("flv", "flv1"), ("ogg", "libvpx"), ("asf", "wmv2"), ("mxf", "mpeg2video"),
)  # fmt: skip
FRAGMENTS = {"movflags": "frag_keyframe+empty_moov"}


def pictures() -> list[bytes]:
    """Each format in every mode that it has, and its other ways of being written."""
    found = {data: None for name in image.formats() for data in _of_format(name)}  # in order, each once
    return list(found)


def _of_format(name: str) -> Iterator[bytes]:
    for mode in MODES:
        with contextlib.suppress(OSError, KeyError, ValueError, TypeError):
            yield saved(picture(mode), name)
    for options in VARIANTS.get(name, []):
        for mode in ("RGB", "L", "1"):
            with contextlib.suppress(OSError, KeyError, ValueError, TypeError):
                more = (
                    {"append_images": [picture(mode, seed=2), picture(mode, seed=3)]} if "save_all" in options else {}
                )
                yield saved(picture(mode), name, **options, **more)
    if name in {"JPEG", "PNG", "WEBP", "TIFF", "AVIF"}:
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        exif = Image.Exif()
        exif[0x112], exif[0x10E] = 6, "a description"
        yield saved(picture("RGB"), name, exif=exif, icc_profile=profile)


def picture(mode: str = "RGB", size: tuple[int, int] = (24, 20), seed: int = 1) -> Image.Image:
    """A gradient with some noise in it."""
    noise = np.random.default_rng(seed).integers(0, 60, (size[1], size[0], 3))
    slope = np.linspace(0, 190, size[0])[None, :, None]
    rgb = Image.fromarray((noise + slope).astype(np.uint8))
    return rgb.convert("L").convert(mode) if mode in {"I;16", "F", "LA"} else rgb.convert(mode)


def saved(made: Image.Image, name: str, **options: Any) -> bytes:
    """The file."""
    file = io.BytesIO()
    made.save(file, name, **options)
    return file.getvalue()


def films() -> list[bytes]:
    """One of each container, and an MP4 in fragments; none without PyAV."""
    if find_spec("av") is None:
        return []
    found = []
    for container, codec in FILMS:
        with contextlib.suppress(OSError, ValueError):  # a codec that this FFmpeg has not
            found.append(film(container, codec))
    return [*found, film("mp4", "mpeg4", **FRAGMENTS)]


def film(container: str = "mp4", codec: str = "libx264", *, frames: int = 12, side: int = 64, **muxing: str) -> bytes:
    """Frames that change, 25 a second."""
    import av

    file = io.BytesIO()
    with av.open(file, "w", format=container, options=muxing) as output:
        stream = output.add_stream(codec, rate=25)
        stream.width, stream.height, stream.gop_size = side, side, 6
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for number in range(frames):
            frame = av.VideoFrame.from_image(picture(size=(side, side), seed=1 + number // 4))
            frame.pts, frame.time_base = number, Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return file.getvalue()


def shared(folder: str, largest: int = LARGEST) -> list[bytes]:
    """Small files of the team's test data, where there are any."""
    paths = sorted((SHARED / folder).glob("*")) if (SHARED / folder).is_dir() else []
    return [path.read_bytes() for path in paths if 0 < path.stat().st_size <= largest and path.suffix != ".json"]


def of_target(target: str) -> list[bytes]:
    """Seeds for "pictures" or for "footage"."""
    return [*pictures(), *shared("odd")] if target == "pictures" else [*films(), *shared("video", 40_000)]
