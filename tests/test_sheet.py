from PIL import Image

from conftest import noise
from glimpse.sheet import GAP, LABEL, TILE, TITLE, contact_sheet
from glimpse.values import Hit


def test_each_query_has_a_row_with_its_pictures(tmp_path):
    for name, colour in (("a", "red"), ("b", "blue")):
        Image.new("RGB", (300, 500), colour).save(tmp_path / f"{name}.png")
    hits = [Hit(str(tmp_path / f"{name}.png"), 0.5) for name in "ab"]
    sheet = contact_sheet([("first", hits), ("second", hits[:1])])
    row = TITLE + TILE[1] + LABEL + GAP
    assert sheet.size == (GAP + 2 * (TILE[0] + GAP), GAP + 2 * row)
    middle = GAP + TITLE + TILE[1] // 2
    assert sheet.getpixel((GAP + TILE[0] // 2, middle)) == (255, 0, 0)
    assert sheet.getpixel((2 * GAP + TILE[0] * 3 // 2, middle)) == (0, 0, 255)
    assert sheet.getpixel((GAP + TILE[0] // 2, middle + row)) == (255, 0, 0)
    assert sheet.getpixel((2 * GAP + TILE[0] * 3 // 2, middle + row)) == sheet.getpixel((1, 1))  # no second hit


def test_no_hits_is_a_sheet_too(tmp_path):
    noise(1).save(tmp_path / "x.png")
    assert contact_sheet([("nothing", [])]).width > 0
