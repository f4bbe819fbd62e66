import io
from fractions import Fraction

import numpy as np
import pytest
from clips import (
    av,
    clip,
    near,
    sampled,
    scene,
)

ROTATIONS = [
    (90, False, False),
    (180, False, False),
    (270, False, False),
    (0, True, False),
    (0, False, True),
    (90, True, False),
]


@pytest.mark.parametrize(("degrees", "across", "down"), ROTATIONS)
def test_the_right_way_up(degrees, across, down):
    upright = clip("mov", "qtrle", [scene(1)] * 3, pixels="rgb24")
    turned = clip(
        "mov", "qtrle", [scene(1)] * 3, pixels="rgb24",
        prepare=lambda stream: stream.set_display_rotation(degrees, hflip=across, vflip=down),
    )  # fmt: skip
    (_, plain_picture), = sampled(upright)  # fmt: skip
    (_, picture), = sampled(turned)  # fmt: skip
    with av.open(io.BytesIO(turned)) as container:
        frame = next(container.decode(video=0))
        a, b, _, c, d = np.frombuffer(bytes(frame.side_data["DISPLAYMATRIX"]), np.int32)[:5] // 65536
    stored = np.asarray(plain_picture)
    ys, xs = np.mgrid[: stored.shape[0], : stored.shape[1]]
    x, y = a * xs + c * ys, b * xs + d * ys
    expected = np.zeros(((np.ptp(y) + 1), (np.ptp(x) + 1), 3), np.uint8)
    expected[y - y.min(), x - x.min()] = stored
    assert np.array_equal(np.asarray(picture), expected)


def test_turned_upright_before_it_is_compared():
    lying = [np.ascontiguousarray(np.rot90(scene(5))) for _ in range(3)]
    (_, picture), = sampled(clip(frames=lying, prepare=lambda stream: stream.set_display_rotation(-90)))  # fmt: skip
    assert picture.size == (96, 64)
    assert near(picture, scene(5)) < 25


@pytest.mark.parametrize(
    ("aspect", "size"), [((4, 3), (128, 64)), ((1, 2), (96, 128)), ((1, 1), (96, 64)), ((5000, 1), (96, 64))]
)
def test_pixels_are_made_square(aspect, size):
    def prepare(stream):
        stream.codec_context.sample_aspect_ratio = Fraction(*aspect)

    (_, picture), = sampled(clip(frames=[scene(1)] * 2, prepare=prepare))  # fmt: skip
    assert picture.size == size


def test_pixels_are_stretched_before_the_picture_is_turned():
    def prepare(stream):
        stream.codec_context.sample_aspect_ratio = Fraction(2)
        stream.set_display_rotation(90)

    (_, picture), = sampled(clip(frames=[scene(1)] * 2, prepare=prepare))  # fmt: skip
    assert picture.size == (64, 192)


def corners(height: int = 64, width: int = 96) -> np.ndarray:
    colours = np.array([[(200, 40, 30), (30, 180, 60)], [(20, 60, 220), (128, 128, 128)]], np.uint8)
    return np.kron(colours, np.ones((height // 2, width // 2, 1), np.uint8))


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv444p10le", "yuv422p"])
@pytest.mark.parametrize("spread", [1, 2])  # limited, full
@pytest.mark.parametrize(
    ("matrix", "tag", "height"), [(1, 1, 64), (5, 5, 64), (5, 6, 64), (9, 9, 64), (5, 2, 64), (1, 2, 720)]
)
def test_colours(pixels, spread, matrix, tag, height):
    """Tagged films as their tags say; those without: high definition as BT.709, else as BT.601."""
    array = corners(height)
    frame = av.VideoFrame.from_ndarray(array, format="rgb24")
    frame = frame.reformat(format=pixels, dst_colorspace=matrix, dst_color_range=spread)

    def prepare(stream):
        stream.codec_context.colorspace, stream.codec_context.color_range = tag, spread

    def fill(frame):
        frame.colorspace, frame.color_range = tag, spread

    (_, picture), = sampled(clip("matroska", "ffv1", [frame], pixels=pixels, prepare=prepare, fill=fill))  # fmt: skip
    inside = np.s_[height // 4 :: height // 2, 24::48]
    assert np.abs(np.asarray(picture, np.int16)[inside] - array.astype(np.int16)[inside]).max() <= 4
