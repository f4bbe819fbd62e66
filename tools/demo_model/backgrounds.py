"""What is behind the things: plain colours, blends of two, and simple landscapes.

A `Background` is a name and a seed; `paint` turns it into a 480 × 360 picture, always the same
one. It does not know what will stand in front.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

WIDTH, HEIGHT = 480, 360
Colour = tuple[float, float, float]

COLOURS: dict[str, Colour] = {
    "red": (222, 44, 44),
    "blue": (36, 92, 214),
    "green": (52, 160, 72),
    "yellow": (250, 215, 58),
    "orange": (246, 136, 30),
    "purple": (128, 62, 178),
    "pink": (246, 158, 196),
    "white": (248, 248, 248),
    "black": (24, 24, 28),
    "grey": (142, 146, 152),
    "brown": (126, 80, 48),
    "turquoise": (64, 200, 196),
}
PLACES = ("beach", "meadow", "snow", "night", "desert", "sea", "street", "forest", "mountains", "sunset")


@dataclass(frozen=True, slots=True)
class Background:
    """`kind` is a colour ('red'), a blend ('blue+pink') or a place ('beach'); `seed` varies it."""

    kind: str
    seed: int

    @property
    def is_plain(self) -> bool:
        return self.kind in COLOURS

    @property
    def is_place(self) -> bool:
        return self.kind in PLACES


def paint(background: Background) -> Image.Image:
    """(480 × 360) RGB."""
    rng = Random(f"{background.kind}/{background.seed}")
    if background.is_place:
        return PAINTERS[background.kind](rng)
    if background.is_plain:
        base = _shade(COLOURS[background.kind], rng, 12)
        return _gradient(_towards(base, (255, 255, 255), 0.06), _towards(base, (0, 0, 0), 0.06))
    top, bottom = (_shade(COLOURS[name], rng, 12) for name in background.kind.split("+"))
    return _gradient(top, bottom, rng.uniform(-0.5, 0.5))


def _shade(colour: Colour, rng: Random, spread: float) -> Colour:
    light = rng.uniform(-spread, spread)
    return tuple(min(255.0, max(0.0, c + light + rng.uniform(-spread, spread) / 2)) for c in colour)  # type: ignore[return-value]


def _towards(colour: Colour, other: Colour, part: float) -> Colour:
    return tuple(a + (b - a) * part for a, b in zip(colour, other, strict=True))  # type: ignore[return-value]


def _gradient(top: Colour, bottom: Colour, slant: float = 0.0) -> Image.Image:
    """From `top` to `bottom`; `slant` tilts it."""
    y = np.linspace(0, 1, HEIGHT)[:, None] + slant * np.linspace(-0.5, 0.5, WIDTH)[None, :]
    part = np.clip((y - y.min()) / (y.max() - y.min()), 0, 1)[..., None]  # (height, width, 1)
    pixels = np.asarray(top) * (1 - part) + np.asarray(bottom) * part
    return Image.fromarray(pixels.round().astype(np.uint8))


def _layer(picture: Image.Image, draw_on: Callable[[ImageDraw.ImageDraw, int], None], blur: float = 0.0) -> None:
    """Draw on a twice as large transparent sheet, reduce it and lay it over `picture`."""
    sheet = Image.new("RGBA", (2 * WIDTH, 2 * HEIGHT), (255, 255, 255, 0))
    draw_on(ImageDraw.Draw(sheet), 2)
    sheet = sheet.reduce(2)
    if blur:
        sheet = sheet.convert("RGBa").filter(ImageFilter.GaussianBlur(blur)).convert("RGBA")
    picture.paste(sheet, (0, 0), sheet)


def _ints(colour: Colour, alpha: int = 255) -> tuple[int, ...]:
    return (*(int(c) for c in colour), alpha)


def _disc(picture: Image.Image, x: float, y: float, radius: float, colour: Colour, glow: float) -> None:
    """A sun or a moon with its glow."""
    box = (x - radius, y - radius, x + radius, y + radius)
    wide = tuple(c + d for c, d in zip(box, (-glow, -glow, glow, glow), strict=True))
    _layer(picture, lambda d, s: d.ellipse([c * s for c in wide], fill=_ints(colour, 110)), blur=glow / 2)
    _layer(picture, lambda d, s: d.ellipse([c * s for c in box], fill=_ints(colour)), blur=0.6)


def _clouds(picture: Image.Image, rng: Random, count: int, colour: Colour = (255, 255, 255), low: float = 90) -> None:
    def puffs(draw: ImageDraw.ImageDraw, s: int) -> None:
        for _ in range(count):
            x, y, r = rng.uniform(0, WIDTH), rng.uniform(20, low), rng.uniform(12, 22)
            for dx, dy, k in ((-1.6, 0.3, 0.7), (-0.6, -0.2, 1.0), (0.6, -0.35, 1.1), (1.6, 0.25, 0.75)):
                cx, cy, q = x + dx * r, y + dy * r, r * k
                draw.ellipse(
                    ((cx - q) * s, (cy - q * 0.7) * s, (cx + q) * s, (cy + q * 0.7) * s), fill=_ints(colour, 225)
                )

    _layer(picture, puffs, blur=1.6)


def _hills(
    picture: Image.Image, rng: Random, level: float, swing: float, colour: Colour, *, rough: bool = False
) -> None:
    """Everything below a wavy (or jagged) line."""
    knots = 9 if rough else 4
    xs = np.linspace(-20, WIDTH + 20, knots * 2 + 1)
    ys = np.array([level + (rng.uniform(-swing, 0) if i % 2 else rng.uniform(0, swing * 0.4)) for i in range(len(xs))])
    fine = np.linspace(-20, WIDTH + 20, 200)
    line = np.interp(fine, xs, ys)
    if not rough:
        line = np.convolve(np.pad(line, 15, mode="edge"), np.hanning(31) / np.hanning(31).sum(), mode="valid")

    def area(draw: ImageDraw.ImageDraw, s: int) -> None:
        points = [(x * s, y * s) for x, y in zip(fine, line, strict=True)]
        draw.polygon([*points, ((WIDTH + 20) * s, HEIGHT * s), (-20 * s, HEIGHT * s)], fill=_ints(colour))

    _layer(picture, area)


def _ground(picture: Image.Image, level: float, top: Colour, bottom: Colour) -> None:
    """A level ground that darkens or lightens towards us."""
    level = int(level)
    band = _gradient(top, bottom).resize((WIDTH, HEIGHT - level))
    picture.paste(band, (0, level))


def _beach(rng: Random) -> Image.Image:
    picture = _gradient(_shade((92, 180, 240), rng, 14), (214, 240, 250))
    _disc(picture, rng.uniform(40, 440), rng.uniform(36, 70), 22, (255, 246, 200), 26)
    _clouds(picture, rng, rng.randint(0, 3), low=70)
    sea, sand = rng.uniform(130, 165), rng.uniform(205, 235)
    _ground(picture, sea, _shade((26, 128, 190), rng, 10), (92, 205, 214))
    _hills(picture, rng, sand, 9, (240, 250, 250))
    _hills(picture, rng, sand + 9, 9, _shade((243, 218, 160), rng, 8))
    return picture


def _meadow(rng: Random) -> Image.Image:
    picture = _gradient(_shade((104, 186, 245), rng, 14), (226, 244, 252))
    _disc(picture, rng.uniform(40, 440), rng.uniform(40, 70), 24, (255, 240, 170), 24)
    _clouds(picture, rng, rng.randint(1, 4))
    _hills(picture, rng, rng.uniform(175, 200), 34, _shade((128, 190, 96), rng, 10))
    _hills(picture, rng, rng.uniform(215, 240), 26, _shade((98, 176, 74), rng, 10))

    def flowers(draw: ImageDraw.ImageDraw, s: int) -> None:
        for _ in range(46):
            x, y = rng.uniform(0, WIDTH), rng.uniform(252, 355)
            r = 1.2 + (y - 245) / 60
            draw.ellipse(
                ((x - r) * s, (y - r) * s, (x + r) * s, (y + r) * s), fill=rng.choice(["#ffffff", "#ffe45e", "#ffb3d1"])
            )

    _layer(picture, flowers)
    return picture


def _snow(rng: Random) -> Image.Image:
    picture = _gradient(_shade((150, 190, 222), rng, 12), (226, 236, 244))
    _hills(picture, rng, rng.uniform(165, 185), 40, _shade((206, 222, 236), rng, 6))
    _hills(picture, rng, rng.uniform(215, 240), 24, (244, 249, 253))

    def flakes(draw: ImageDraw.ImageDraw, s: int) -> None:
        for _ in range(70):
            x, y, r = rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT), rng.uniform(1.2, 3.6)
            draw.ellipse(((x - r) * s, (y - r) * s, (x + r) * s, (y + r) * s), fill=(255, 255, 255, 220))

    _layer(picture, flakes, blur=0.5)
    return picture


def _stars(picture: Image.Image, rng: Random, count: int, low: float) -> None:
    def dots(draw: ImageDraw.ImageDraw, s: int) -> None:
        for _ in range(count):
            x, y, r = rng.uniform(0, WIDTH), rng.uniform(0, low), rng.uniform(0.5, 1.7)
            draw.ellipse(((x - r) * s, (y - r) * s, (x + r) * s, (y + r) * s), fill=(255, 250, 225, 235))

    _layer(picture, dots)


def _night(rng: Random) -> Image.Image:
    picture = _gradient(_shade((8, 12, 40), rng, 6), _shade((44, 52, 110), rng, 8))
    _stars(picture, rng, 90, 270)
    _disc(picture, rng.uniform(40, 440), rng.uniform(40, 80), 24, (250, 244, 214), 22)
    _hills(picture, rng, rng.uniform(265, 285), 36, (22, 28, 62))
    _hills(picture, rng, rng.uniform(300, 320), 20, (12, 16, 40))
    return picture


def _desert(rng: Random) -> Image.Image:
    picture = _gradient(_shade((120, 190, 228), rng, 12), (253, 232, 190))
    _disc(picture, rng.uniform(40, 440), rng.uniform(40, 75), 26, (255, 236, 150), 30)
    _hills(picture, rng, rng.uniform(180, 200), 44, _shade((226, 160, 92), rng, 8))
    _hills(picture, rng, rng.uniform(215, 240), 34, _shade((236, 182, 108), rng, 8))
    _hills(picture, rng, rng.uniform(275, 300), 26, _shade((244, 200, 128), rng, 8))
    return picture


def _sea(rng: Random) -> Image.Image:
    picture = _gradient(_shade((112, 186, 238), rng, 14), (222, 240, 250))
    _clouds(picture, rng, rng.randint(1, 4), low=80)
    level = rng.uniform(140, 175)
    _ground(picture, level, (54, 146, 204), (10, 66, 136))

    def waves(draw: ImageDraw.ImageDraw, s: int) -> None:
        for _ in range(44):
            y = rng.uniform(level + 8, HEIGHT - 5)
            x, r = rng.uniform(0, WIDTH), 6 + (y - level) / 9
            draw.arc(
                ((x - r) * s, (y - r / 4) * s, (x + r) * s, (y + r / 3) * s),
                200,
                340,
                fill=(190, 226, 246, 190),
                width=4,
            )

    _layer(picture, waves)
    return picture


def _street(rng: Random) -> Image.Image:
    picture = _gradient(_shade((150, 200, 236), rng, 12), (236, 242, 246))
    floor = 250

    def houses(draw: ImageDraw.ImageDraw, s: int) -> None:
        x = -10.0
        while x < WIDTH:
            wide, tall = rng.uniform(46, 84), rng.uniform(70, 190)
            wall = _shade(rng.choice([(188, 172, 160), (168, 180, 196), (204, 186, 156), (178, 160, 170)]), rng, 8)
            draw.rectangle((x * s, (floor - tall) * s, (x + wide) * s, floor * s), fill=_ints(wall))
            for wx in np.arange(x + 8, x + wide - 12, 16):
                for wy in np.arange(floor - tall + 10, floor - 18, 22):
                    glass = (246, 226, 150) if rng.random() < 0.25 else (122, 150, 176)
                    draw.rectangle((wx * s, wy * s, (wx + 8) * s, (wy + 12) * s), fill=glass)
            x += wide + rng.choice([0, 0, 3])

    _layer(picture, houses)
    _ground(picture, floor, (176, 178, 180), (166, 168, 172))
    _ground(picture, floor + 22, (92, 95, 102), (70, 72, 80))

    def dashes(draw: ImageDraw.ImageDraw, s: int) -> None:
        shift = rng.uniform(0, 60)
        for x in np.arange(-60 + shift, WIDTH, 80):
            draw.rectangle((x * s, 318 * s, (x + 44) * s, 324 * s), fill=(240, 236, 220))

    _layer(picture, dashes)
    return picture


def _forest(rng: Random) -> Image.Image:
    picture = _gradient(_shade((176, 214, 186), rng, 10), (206, 230, 196))
    for level, shade in ((235, (112, 164, 128)), (258, (70, 128, 92)), (285, (38, 92, 62))):

        def firs(draw: ImageDraw.ImageDraw, s: int, level: int = level, shade: Colour = shade) -> None:
            x = rng.uniform(-30, 0)
            while x < WIDTH + 30:
                tall, half = rng.uniform(110, 190), rng.uniform(22, 34)
                fill = _ints(_shade(shade, rng, 7))
                for k in range(3):
                    top = level - tall + k * tall * 0.25
                    w, h = half * (0.6 + 0.2 * k), tall * 0.5
                    draw.polygon(
                        [(x * s, top * s), ((x - w) * s, (top + h) * s), ((x + w) * s, (top + h) * s)], fill=fill
                    )
                x += rng.uniform(30, 62)

        _layer(picture, firs)
    _hills(picture, rng, 276, 12, _shade((66, 112, 58), rng, 7))
    return picture


def _mountains(rng: Random) -> Image.Image:
    picture = _gradient(_shade((136, 178, 226), rng, 14), (240, 226, 226))
    _hills(picture, rng, rng.uniform(165, 185), 110, _shade((158, 160, 192), rng, 8), rough=True)
    _hills(picture, rng, rng.uniform(215, 230), 95, _shade((112, 118, 158), rng, 8), rough=True)
    _hills(picture, rng, rng.uniform(270, 285), 60, _shade((74, 84, 118), rng, 8), rough=True)
    return picture


def _sunset(rng: Random) -> Image.Image:
    picture = _gradient(_shade((92, 58, 132), rng, 10), _shade((255, 158, 84), rng, 10))
    level = rng.uniform(225, 255)
    _disc(picture, rng.uniform(80, 400), level - 18, 40, (255, 226, 140), 40)
    _clouds(picture, rng, rng.randint(1, 3), colour=(226, 120, 130), low=110)
    _ground(picture, level, (196, 92, 96), (62, 36, 92))
    return picture


PAINTERS: dict[str, Callable[[Random], Image.Image]] = {
    "beach": _beach,
    "meadow": _meadow,
    "snow": _snow,
    "night": _night,
    "desert": _desert,
    "sea": _sea,
    "street": _street,
    "forest": _forest,
    "mountains": _mountains,
    "sunset": _sunset,
}
