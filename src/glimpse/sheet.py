"""A contact sheet: a row of pictures for each query, best first, as one picture."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from glimpse.values import Hit

TILE = (240, 180)
GAP, TITLE, LABEL = 16, 44, 26
_INK, _SOFT, _PAPER = (28, 30, 34), (104, 110, 120), (250, 250, 248)


def contact_sheet(answers: Sequence[tuple[str, Sequence[Hit]]]) -> Image.Image:
    """Draw queries with the pictures found for them; the hits' keys are paths of files."""
    columns = max((len(hits) for _, hits in answers), default=1)
    row = TITLE + TILE[1] + LABEL + GAP
    sheet = Image.new("RGB", (GAP + columns * (TILE[0] + GAP), GAP + len(answers) * row), _PAPER)
    for place, (query, hits) in enumerate(answers):
        _draw_row(sheet, GAP + place * row, query, hits)
    return sheet


def _draw_row(sheet: Image.Image, top: int, query: str, hits: Sequence[Hit]) -> None:
    draw = ImageDraw.Draw(sheet)
    draw.text((GAP, top + 8), f"“{query}”", fill=_INK, font=ImageFont.load_default(24))
    for place, hit in enumerate(hits):
        left = GAP + place * (TILE[0] + GAP)
        with Image.open(hit.key) as picture:
            tile = ImageOps.fit(ImageOps.exif_transpose(picture).convert("RGB"), TILE, Image.Resampling.LANCZOS)
        sheet.paste(tile, (left, top + TITLE))
        label = f"{hit.score:.3f}  {Path(hit.key).stem}"
        draw.text((left, top + TITLE + TILE[1] + 5), label, fill=_SOFT, font=ImageFont.load_default(14))
