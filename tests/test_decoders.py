import io
import json

import numpy as np
import pytest
from PIL import Image

from conftest import noise, shared
from glimpse.decoders import image
from glimpse.errors import BadItem
from glimpse.values import FAILURE_CODES


def encoded(kind, picture=None, **options) -> bytes:
    file = io.BytesIO()
    (picture or noise(1)).save(file, kind, **options)
    return file.getvalue()


def code_of(data: bytes) -> str:
    with pytest.raises(BadItem) as caught:
        image.decode(data)
    assert str(caught.value).startswith(FAILURE_CODES[caught.value.code])
    return caught.value.code


@pytest.mark.parametrize(
    "kind",
    ["PNG", "BMP", "TIFF", "GIF", "PPM", "TGA", "WEBP", "JPEG", "JPEG2000", "AVIF", "ICO", "PCX", "SGI", "QOI", "DDS"],
)
def test_formats_are_told_by_content(kind):
    picture = image.decode(encoded(kind, noise(1, (64, 64))))
    assert picture.size == (64, 64)
    if kind in {"PNG", "BMP", "TIFF", "PPM", "TGA", "SGI", "QOI"}:
        assert np.array_equal(np.asarray(picture.convert("RGB")), np.asarray(noise(1, (64, 64))))


@pytest.mark.parametrize("kind", ["EPS", "PDF", "SPIDER", "MSP", "XBM"])
def test_formats_that_are_not_on_the_list_are_not_opened(kind):
    picture = noise(1).convert({"EPS": "RGB", "PDF": "RGB", "SPIDER": "F"}.get(kind, "1"))
    assert code_of(encoded(kind, picture)) == "unsupported-format"


@pytest.mark.parametrize("data", [b"no picture", b"\0" * 100, b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"PK\3\4"])
def test_what_is_no_picture(data):
    assert code_of(data) == "unsupported-format"


def test_nothing():
    assert code_of(b"") == "empty"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF"])
def test_a_file_cut_short_fails_at_every_tenth(kind):
    whole = encoded(kind, noise(2, (90, 80)))
    for tenth in range(1, 10):
        assert code_of(whole[: len(whole) * tenth // 10]) in {"truncated", "corrupt", "unsupported-format"}


def test_a_damaged_picture():
    whole = bytearray(encoded("PNG"))
    whole[len(whole) // 2] ^= 0xFF
    assert code_of(bytes(whole)) in {"corrupt", "truncated"}


@pytest.mark.parametrize(
    "kind",
    ["PNG", "BMP", "TIFF", "GIF", "PPM", "TGA", "WEBP", "JPEG", "JPEG2000", "AVIF", "ICO", "PCX", "SGI", "QOI", "DDS"],
)
def test_the_head_of_a_picture_is_recognised(kind):
    assert image.recognises(encoded(kind, noise(1, (200, 200)))[: image.HEAD])


@pytest.mark.parametrize(
    "head",
    [b"\0\0\0 ftypisom\0\0\2\0isomiso2avc1mp41", b"PK\3\4" + b"\7" * 100, b"text " * 900, b"", b"\x1aE\xdf\xa3" * 9],
)
def test_footage_archives_and_texts_are_not(head):
    assert not image.recognises(head)


def test_a_huge_claimed_size_is_refused_before_decoding():
    whole = bytearray(encoded("BMP", noise(1, (8, 8))))
    whole[18:26] = (40_000).to_bytes(4, "little") + (5_000).to_bytes(4, "little")
    assert code_of(bytes(whole)) == "bomb"
    whole[18:26] = (60_000).to_bytes(4, "little") * 2
    assert code_of(bytes(whole)) == "bomb"  # Pillow itself refuses this one


def test_memory_that_is_not_there(monkeypatch):
    def fail(_):
        raise MemoryError

    data = encoded("PNG")
    monkeypatch.setattr(Image.Image, "load", fail)
    assert code_of(data) == "memory"


@pytest.mark.filterwarnings("ignore")  # odd files make Pillow warn
def test_every_odd_file_ends_as_the_manifest_says_or_with_a_code():
    """What Pillow opens, glimpse opens if the format is on the list; not the files made to take long or much."""
    folder = shared("data/odd")
    lenient = {"broken_data_stream.png", "chunk_no_fctl.png", "truncated_end_chunk.png"}  # read by a laxer Pillow
    for entry in json.loads((folder / "manifest.json").read_bytes()):
        name = entry["path"]
        if name.startswith(("timeout-", "oom-")) or name in lenient:
            continue
        data = (folder / name).read_bytes()
        if entry["status"] == "ok" and entry["format"] in (*image.formats(), "MPO"):  # JPEG's decoder opens those
            image.decode(data)
        else:
            code_of(data)


# JPEGs, decoded smaller than they are


def at_least(*size):
    return lambda *_: size


@pytest.mark.parametrize(
    ("needed", "size", "shown"),
    [
        ((251, 100), (500, 250), (500, 250)),  # of 1,000 × 500: half, for a quarter would be too little
        ((250, 125), (250, 125), (250, 125)),
        ((1, 1), (125, 63), (125, 62.5)),
        ((501, 1), (1000, 500), (1000, 500)),
        ((5000, 5000), (1000, 500), (1000, 500)),
    ],
)
def test_a_jpeg_is_decoded_to_no_less_than_is_asked_for(needed, size, shown):
    data = encoded("JPEG", noise(1, (1000, 500)))
    picture, part = image.reduced(image.opened(data), at_least(*needed))
    assert picture.size == size
    assert part == shown


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_every_kind_of_jpeg_can_be_made_smaller(mode, options):
    data = encoded("JPEG", noise(1, (400, 300)).resize((401, 299)).convert(mode), **options)
    picture, part = image.reduced(image.opened(data), at_least(100, 70))
    assert (picture.mode, picture.size, part) == (mode, (101, 75), (100.25, 74.75))


def test_pictures_of_several_frames_too():
    data = encoded("MPO", noise(1, (400, 300)), save_all=True, append_images=[noise(2, (400, 300))])
    assert image.opened(data).format == "MPO"
    picture, part = image.reduced(image.opened(data), at_least(100, 75))
    assert (picture.size, part) == ((100, 75), (100, 75))


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "GIF", "JPEG2000", "AVIF"])
def test_other_formats_are_decoded_in_full(kind):
    picture, part = image.reduced(image.opened(encoded(kind, noise(1, (400, 300)))), at_least(10, 10))
    assert (picture.size, part) == ((400, 300), None)


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_a_jpeg_cut_short_fails_in_small_as_it_does_in_full(options):
    whole = encoded("JPEG", noise(2, (900, 800)), **options)
    for tenth in range(1, 10):
        data = whole[: len(whole) * tenth // 10]
        assert code_in_small(data) == code_of(data)


def test_the_ceiling_is_of_the_full_size(monkeypatch):
    monkeypatch.setattr(image, "MAX_PIXELS", 10_000)
    data = encoded("JPEG", noise(1, (400, 300)))
    assert code_in_small(data) == "bomb"


def code_in_small(data: bytes) -> str:
    """How it fails, or "", where an eighth of each side is enough."""
    try:
        image.reduced(image.opened(data), at_least(1, 1))
    except BadItem as error:
        return error.code
    return ""


@pytest.mark.filterwarnings("ignore")  # odd files make Pillow warn
def test_odd_jpegs_end_in_small_as_they_do_in_full():
    looked_at = 0
    for path in sorted(shared("data/odd").rglob("*")):
        if path.name.startswith(("timeout-", "oom-")) or not path.is_file() or path.read_bytes()[:2] != b"\xff\xd8":
            continue
        looked_at += 1
        try:
            image.decode(path.read_bytes())
            code = ""
        except BadItem as error:
            code = error.code
        assert code_in_small(path.read_bytes()) == code, path.name
    assert looked_at > 20
