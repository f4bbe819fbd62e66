import io

import numpy as np
import pytest
from PIL import Image, ImageCms

import glimpse
from conftest import GOLDENS, noise, shared
from glimpse.pixels import least, prepare, upright
from glimpse.values import PixelRules

RULES = PixelRules(size=32, resize_to=32)


@pytest.mark.parametrize("name", GOLDENS)
def test_parity_equals_the_reference_byte_for_byte(name, golden, golden_pictures):
    reference = golden(name)
    encoder = glimpse.load(reference.folder, parity=True)
    for path, expected in zip(golden_pictures, reference.pixels, strict=True):
        assert np.array_equal(encoder.prepare(path), expected), path.name


@pytest.mark.parametrize(
    "size", [(32, 32), (33, 32), (97, 260), (301, 200), (35, 33), (500, 501), (20, 9), (1, 1), (3, 900)]
)
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_shortest_side_follows_torchvision(size, interpolation):
    """The same steps, written out: truncated long side, horizontal pass first, offsets rounded to even."""
    picture = noise(1, size)
    width, height = size
    short = 32
    to = (short, int(short * height / width)) if width <= height else (int(short * width / height), short)
    kind = {"bicubic": Image.BICUBIC, "bilinear": Image.BILINEAR}[interpolation]
    expected = picture.resize((to[0], height), kind).resize(to, kind)
    left, top = round((to[0] - 32) / 2), round((to[1] - 32) / 2)
    expected = expected.crop((left, top, left + 32, top + 32))
    rules = PixelRules(size=32, resize_to=32, interpolation=interpolation)
    assert np.array_equal(prepare(picture, rules), np.asarray(expected))


@pytest.mark.parametrize("parity", [False, True])
@pytest.mark.parametrize("size", [(1, 60_000), (60_000, 1), (2, 65_000)])
def test_a_thin_picture_does_not_fill_the_memory(size, parity):
    picture = Image.new("RGB", size, "blue")
    picture.paste("red", (size[0] // 4, size[1] // 4, size[0] - size[0] // 4, size[1] - size[1] // 4))
    pixels = prepare(picture, PixelRules(size=224, resize_to=224), parity=parity)
    assert (pixels == (255, 0, 0)).all()  # its middle


def test_a_high_picture_squashed_does_not_fill_the_memory():
    picture = Image.new("RGB", (1, 400_000), "red")  # across first it would have 150 million pixels
    pixels = prepare(picture, PixelRules(size=378, resize_to=378, resize_mode="squash"))
    assert (pixels == (255, 0, 0)).all()


def test_squash_keeps_every_edge():
    picture = Image.new("RGB", (100, 40), "white")
    picture.paste("red", (0, 0, 50, 40))
    squashed = prepare(picture, PixelRules(size=20, resize_to=20, resize_mode="squash", interpolation="nearest"))
    assert (squashed[:, :10] == (255, 0, 0)).all()
    assert (squashed[:, 10:] == 255).all()


def test_longest_pads_with_black_in_the_middle():
    framed = prepare(Image.new("RGB", (100, 50), "white"), PixelRules(size=20, resize_to=20, resize_mode="longest"))
    assert (framed[5:15] == 255).all()
    assert (framed[:5] == 0).all()
    assert (framed[15:] == 0).all()


def test_a_larger_resize_is_cropped():
    picture = noise(3, (64, 64))
    cropped = prepare(picture, PixelRules(size=32, resize_to=64))
    assert np.array_equal(cropped, np.asarray(picture)[16:48, 16:48])


# What a picture means


def flat(mode: str, colour, **info) -> np.ndarray:
    picture = Image.new(mode, (40, 40), colour)
    picture.info.update(info)
    return np.unique(np.asarray(upright(picture)).reshape(-1, 3), axis=0)


@pytest.mark.parametrize(
    ("mode", "colour", "seen"),
    [
        ("RGB", (10, 20, 30), (10, 20, 30)),
        ("L", 77, (77, 77, 77)),
        ("1", 1, (255, 255, 255)),
        ("1", 0, (0, 0, 0)),
        ("LA", (0, 0), (255, 255, 255)),
        ("LA", (50, 255), (50, 50, 50)),
        ("RGBA", (200, 0, 0, 0), (255, 255, 255)),
        ("RGBA", (200, 0, 0, 255), (200, 0, 0)),
        ("RGBA", (0, 0, 0, 51), (204, 204, 204)),
        ("CMYK", (0, 0, 0, 255), (0, 0, 0)),
        ("CMYK", (0, 255, 255, 0), (255, 0, 0)),
        ("YCbCr", (76, 85, 255), (254, 0, 0)),
        ("I;16", 65535, (255, 255, 255)),
        ("I;16", 257 * 100, (100, 100, 100)),
        ("I", 65535, (255, 255, 255)),
        ("I", 25700, (100, 100, 100)),
        ("F", 0.5, (128, 128, 128)),
        ("HSV", (0, 255, 255), (255, 0, 0)),
        ("LAB", (255, 128, 128), (255, 255, 255)),
    ],
)
def test_modes(mode, colour, seen):
    found = flat(mode, colour)
    assert len(found) == 1
    assert np.abs(found[0].astype(int) - seen).max() <= 2


def test_wide_numbers_are_scaled_by_their_own_range():
    ramp = Image.fromarray(np.linspace(-5, 100_000, 1600).reshape(40, 40).astype(np.float32))
    gray = np.asarray(upright(ramp))
    assert (gray.min(), gray.max()) == (0, 255)


def test_numbers_at_both_ends_of_float32_and_no_numbers():
    wild = np.zeros((40, 40), np.float32)
    wild[0, 0], wild[0, 1], wild[0, 2], wild[0, 3] = -3e38, 3e38, np.nan, np.inf
    gray = np.asarray(upright(Image.fromarray(wild)))
    assert (gray[0, 0, 0], gray[0, 1, 0]) == (0, 255)
    assert gray[5, 5, 0] in (127, 128)


def test_16_bit_colour_is_scaled(tmp_path):
    pixels = np.zeros((8, 8), np.uint16)
    pixels[:, 4:] = 0x8000
    Image.fromarray(pixels).save(tmp_path / "deep.png")
    with Image.open(tmp_path / "deep.png") as picture:
        assert picture.mode.startswith("I")
        seen = np.asarray(upright(picture))
    assert set(np.unique(seen)) == {0, 128}


def test_palette_with_a_transparent_colour_is_laid_over_white():
    picture = Image.new("P", (10, 10), 0)
    picture.putpalette([0, 0, 0, 250, 0, 0])
    picture.paste(1, (0, 0, 5, 10))
    picture.info["transparency"] = 0
    seen = np.asarray(upright(picture))
    assert (seen[:, :5] == (250, 0, 0)).all()
    assert (seen[:, 5:] == 255).all()


def test_rgb_with_a_transparent_colour_is_laid_over_white():
    assert flat("RGB", (1, 2, 3), transparency=(1, 2, 3)).tolist() == [[255, 255, 255]]


def test_an_animated_file_is_its_first_frame(tmp_path):
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    with Image.open(tmp_path / "a.gif") as picture:
        assert (np.asarray(upright(picture)) == (255, 0, 0)).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_and_parity_ignores_it(orientation):
    scene = Image.new("RGB", (60, 40), "white")
    scene.paste("red", (0, 0, 30, 20))  # top left
    turned = scene.transpose(
        {
            2: Image.Transpose.FLIP_LEFT_RIGHT,
            3: Image.Transpose.ROTATE_180,
            4: Image.Transpose.FLIP_TOP_BOTTOM,
            5: Image.Transpose.TRANSPOSE,
            6: Image.Transpose.ROTATE_90,
            7: Image.Transpose.TRANSVERSE,
            8: Image.Transpose.ROTATE_270,
        }[orientation]
    ) if orientation > 1 else scene  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    turned.save(file, "PNG", exif=exif)
    picture = Image.open(file)
    assert np.array_equal(np.asarray(upright(picture)), np.asarray(scene))
    as_stored = prepare(Image.open(file), RULES, parity=True)
    assert np.array_equal(as_stored, prepare(turned, RULES))


def test_broken_exif_is_no_reason_to_fail():
    picture = noise(1)
    picture.info["exif"] = b"Exif\0\0MM\0\x2a garbage"
    assert np.array_equal(np.asarray(upright(picture)), np.asarray(noise(1)))


def srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def swapped() -> bytes:
    """A profile whose red is sRGB's blue, and the other way round: the two tags that name the primaries change places."""
    exchanged = srgb().replace(b"rXYZ", b"tmp?").replace(b"bXYZ", b"rXYZ").replace(b"tmp?", b"bXYZ")
    return exchanged.replace("sRGB".encode("utf-16-be"), "mine".encode("utf-16-be"))


def test_a_colour_profile_is_applied_and_parity_ignores_it():
    red = Image.new("RGB", (40, 40), (255, 0, 0))
    red.info["icc_profile"] = swapped()
    assert np.abs(np.asarray(upright(red)).reshape(-1, 3).astype(int) - (0, 0, 255)).max() <= 2
    assert (prepare(red, RULES, parity=True) == (255, 0, 0)).all()


def test_srgb_broken_profiles_and_those_for_other_modes_change_nothing():
    for profile in (srgb(), b"no profile at all", ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()):
        assert flat("RGB", (10, 20, 30), icc_profile=profile).tolist() == [[10, 20, 30]]
    assert flat("L", 77, icc_profile=swapped()).tolist() == [[77, 77, 77]]


def test_a_profile_that_only_calls_itself_srgb_is_applied():
    named = swapped().replace("mine".encode("utf-16-be"), "sRGB".encode("utf-16-be"))
    red = flat("RGB", (255, 0, 0), icc_profile=named)
    assert np.abs(red[0].astype(int) - (0, 0, 255)).max() <= 2


def test_a_transparent_gray_of_16_bits_is_laid_over_white():
    deep = Image.fromarray(np.array([[0, 30000]], np.uint16))
    deep.info["transparency"] = 0
    assert np.asarray(upright(deep))[0, :, 0].tolist() == [255, 117]


def test_a_profile_survives_transparency():
    clear = Image.new("RGBA", (40, 40), (255, 0, 0, 255))
    clear.paste((0, 0, 0, 0), (0, 0, 20, 40))
    clear.info["icc_profile"] = swapped()
    seen = np.asarray(upright(clear)).astype(int)
    assert np.abs(seen[:, 30] - (0, 0, 255)).max() <= 2
    assert (seen[:, 10] >= 254).all()


def test_parity_leaves_alpha_alone():
    ghost = Image.new("RGBA", (40, 40), (10, 20, 30, 0))
    assert (prepare(ghost, RULES) == 255).all()
    first = PixelRules(size=32, resize_to=32, convert="first")
    assert (prepare(ghost, first, parity=True) == (10, 20, 30)).all()


def test_open_clip_converts_last_and_transformers_first():
    palette = noise(4).quantize(8)
    first = prepare(palette, PixelRules(32, 32, convert="first"), parity=True)
    last = prepare(palette, PixelRules(32, 32, convert="last"), parity=True)
    assert np.array_equal(first, prepare(palette.convert("RGB"), RULES))
    assert len(np.unique(last.reshape(-1, 3), axis=0)) <= 8  # a palette is resized by its nearest colours


@pytest.mark.parametrize("way", ["Landscape", "Portrait"])
def test_all_turned_photographs_look_alike(way):
    folder = shared("data/exif")
    small = [
        np.asarray(upright(Image.open(path)).convert("L").resize((24, 24))).astype(float)
        for path in sorted(folder.glob(f"{way}_[1-8].jpg"))
    ]
    assert len(small) == 8
    for one in small[1:]:
        assert np.corrcoef(small[0].ravel(), one.ravel())[0, 1] > 0.95


# Pictures that were decoded smaller than they are


@pytest.mark.parametrize(
    ("mode", "size", "needed"),
    [
        ("shortest", (1000, 500), (200, 100)),
        ("shortest", (500, 1000), (100, 200)),
        ("squash", (1000, 500), (100, 100)),
        ("longest", (1000, 500), (100, 50)),
        ("longest", (5000, 1), (100, 2)),
    ],
)
def test_how_small_a_picture_may_get(mode, size, needed):
    assert least(PixelRules(size=50, resize_to=50, resize_mode=mode), 2.0)(*size) == needed


def photograph(size) -> Image.Image:
    """Smooth, with a grid of edges: what shifts shows, what is only blurred a little does not."""
    y, x = np.mgrid[: size[1], : size[0]]
    waves = [128 + 60 * np.sin(x / a) * np.cos(y / b) for a, b in ((37, 53), (71, 29), (43, 67))]
    return Image.fromarray((np.stack(waves, -1) + 40 * ((x // 90 + y // 70) % 2)[..., None]).astype(np.uint8))


@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_part_of_a_pixel_at_the_end_is_no_picture_whichever_way_it_is_turned(orientation, mode):
    """1,001 × 705 pixels become 126 × 89: taken for whole, the far side would be off by most of a pixel."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    photograph((1001, 705)).save(file, "JPEG", exif=exif, quality=95)
    rules = PixelRules(size=56, resize_to=56, resize_mode=mode)
    exact = prepare(Image.open(file), rules).astype(int)
    picture = Image.open(file)
    picture.draft(None, (125, 88))
    assert picture.size == (126, 89)
    smaller = prepare(picture, rules, shown=(1001 / 8, 705 / 8)).astype(int)
    assert np.abs(smaller - exact).max() <= 12
    assert np.abs(smaller - exact).mean() < 1
    as_if_whole = prepare(picture, rules).astype(int)
    assert np.abs(as_if_whole - exact).mean() > 2 * np.abs(smaller - exact).mean()


def test_transparency_is_resized_within_the_box_too():
    picture = Image.new("RGBA", (9, 9), (255, 0, 0, 255))
    picture.paste((0, 0, 255, 255), (8, 0, 9, 9))  # no part of what is shown
    shown = prepare(picture, PixelRules(size=8, resize_to=8, interpolation="nearest"), parity=True, shown=(8, 9))
    assert (shown == (255, 0, 0)).all()
