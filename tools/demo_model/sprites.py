"""Cut-outs of things: one RGBA picture for each glyph of the emoji font, and a drawn carriage.

Knows the font and how to cut and scale; it does not know names, scenes or backgrounds.
"""

import os
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from .things import CARRIAGE

FONT = Path(os.environ.get("DEMO_FONT", "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"))
FONT_SIZE = 109  # the one bitmap size the font holds
SHADOW = 70  # opacity, of 255


@cache
def _font() -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(FONT), FONT_SIZE)


@cache
def cut_out(glyph: str, *, mirrored: bool = False, shadow: bool = False) -> Image.Image:
    """The glyph as RGBA, cropped to what is drawn; `shadow` puts a soft one under its feet."""
    if shadow:
        return _with_shadow(cut_out(glyph, mirrored=mirrored))
    if mirrored:
        return cut_out(glyph).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if glyph == CARRIAGE:
        return _carriage()
    canvas = Image.new("RGBA", (220, 200))
    ImageDraw.Draw(canvas).text((30, 30), glyph, font=_font(), embedded_color=True)
    box = canvas.getchannel("A").point(lambda alpha: 255 * (alpha > 8)).getbbox()
    if box is None:
        raise ValueError(f"{FONT} does not draw {glyph!r}")
    return canvas.crop(box)


def scaled(sprite: Image.Image, longest: float) -> Image.Image:
    """`sprite` with its longer side `longest` pixels long, premultiplied so that edges stay clean."""
    ratio = longest / max(sprite.size)
    size = (max(1, round(sprite.width * ratio)), max(1, round(sprite.height * ratio)))
    return sprite.convert("RGBa").resize(size, Image.Resampling.BICUBIC).convert("RGBA")


@cache
def small(glyph: str, longest: int, *, mirrored: bool, shadow: bool) -> np.ndarray:
    """(height, width, 4) uint8 with colours premultiplied by alpha, for quick composition."""
    sprite = scaled(cut_out(glyph, mirrored=mirrored, shadow=shadow), longest)
    return np.asarray(sprite.convert("RGBa").convert("RGBa")).copy()


def _with_shadow(sprite: Image.Image) -> Image.Image:
    """A little darkness where the thing stands; the cut-out grows downwards by a tenth."""
    width, height = sprite.size
    deep = max(8, height // 8)
    canvas = Image.new("RGBA", (width, height + deep // 2))
    veil = Image.new("L", canvas.size)
    ImageDraw.Draw(veil).ellipse((width * 0.08, height - deep * 0.7, width * 0.92, height + deep * 0.35), fill=SHADOW)
    canvas.putalpha(veil.filter(ImageFilter.GaussianBlur(deep / 6)))
    canvas.alpha_composite(sprite)
    return canvas


def _carriage() -> Image.Image:
    """A horse-drawn carriage in the glyphs' flat style, drawn four times too large and reduced."""
    canvas = Image.new("RGBA", (1120, 960))
    draw = ImageDraw.Draw(canvas)
    wood, dark, brass, leather = "#8d3b2b", "#5d2418", "#f2b632", "#43352f"
    draw.line([(150, 700), (30, 560), (0, 560)], fill=dark, width=26, joint="curve")  # the shaft
    draw.polygon([(548, 300), (1012, 300), (1000, 520), (560, 520)], fill=leather)
    draw.pieslice((500, 40, 1060, 580), 180, 360, fill=leather)  # the canopy
    for x in (640, 800, 950):
        draw.line([(780, 50), (x, 310)], fill="#6b574d", width=10)
    draw.rectangle((560, 320, 960, 560), fill="#b9d9e8")  # the window
    draw.line([(760, 320), (760, 560)], fill=wood, width=24)
    draw.polygon([(140, 520), (1040, 520), (1000, 720), (860, 770), (330, 770), (180, 660)], fill=wood)
    draw.rounded_rectangle((120, 500, 1060, 552), 24, fill=brass)
    draw.rounded_rectangle((500, 590, 880, 700), 30, outline=brass, width=14)
    draw.rounded_rectangle((150, 400, 400, 510), 40, fill="#a52a2a")  # the coachman's seat
    draw.rounded_rectangle((150, 330, 210, 510), 28, fill="#a52a2a")
    draw.ellipse((420, 560, 480, 620), fill=brass)  # the lamp
    _wheel(draw, (300, 770), 165, dark, brass)
    _wheel(draw, (850, 745), 205, dark, brass)
    return canvas.reduce(4)


def _wheel(draw: ImageDraw.ImageDraw, centre: tuple[int, int], radius: int, rim: str, spoke: str) -> None:
    x, y = centre
    for angle in np.linspace(0, np.pi, 6, endpoint=False):
        dx, dy = radius * np.cos(angle), radius * np.sin(angle)
        draw.line([(x - dx, y - dy), (x + dx, y + dy)], fill=spoke, width=18)
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=rim, width=34)
    draw.ellipse((x - 42, y - 42, x + 42, y + 42), fill=rim)
