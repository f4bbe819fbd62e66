"""Scenes: which things stand where, how big, on what background; and the two ways to draw them.

A `Scene` is a frozen value; `picture` draws it as 480 × 360 for people, `thumbnail` straight at
the model's 96 pixels for training (what ordinary CLIP preprocessing makes of `picture`, only
faster). `sample` invents scenes. Things stay in the central square, which the centre crop keeps.
It does not know words: what may be said of a scene is `captions.py`.
"""

from dataclasses import dataclass, replace
from functools import cache
from random import Random

import numpy as np
from PIL import Image

from . import sprites
from .backgrounds import COLOURS, HEIGHT, PLACES, WIDTH, Background, paint
from .things import THINGS

SIDE = 96  # pixels of the model's picture
PATCH = 12
BIG, SMALL = 0.62, 0.36  # a lone thing is called big from, small up to this part of the side
TRAINING_SEEDS = 40  # backgrounds of each kind seen in training; held-out scenes use other seeds
HELD_OUT_SEED = 1_000_000


@dataclass(frozen=True, slots=True)
class Placed:
    """One thing in a scene: centre (x, y) and longer side `size` as parts of the central square."""

    thing: int
    x: float
    y: float
    size: float
    variant: int = 0  # which of the thing's glyphs
    mirrored: bool = False
    shadow: bool = False

    @property
    def glyph(self) -> str:
        glyphs = THINGS[self.thing].glyphs
        return glyphs[self.variant % len(glyphs)]


@dataclass(frozen=True, slots=True)
class Scene:
    """`kind` says how it was composed: 'single', 'count', 'vertical', 'horizontal' or 'three'."""

    kind: str
    background: Background
    placed: tuple[Placed, ...]


# --- drawing


def picture(scene: Scene) -> Image.Image:
    """(480 × 360) RGB."""
    image = paint(scene.background)
    for placed in scene.placed:
        sprite = sprites.scaled(
            sprites.cut_out(placed.glyph, mirrored=placed.mirrored, shadow=placed.shadow), placed.size * HEIGHT
        )
        left = (WIDTH - HEIGHT) / 2 + placed.x * HEIGHT - sprite.width / 2
        image.paste(sprite, (round(left), round(placed.y * HEIGHT - sprite.height / 2)), sprite)
    return image


@cache
def _small_background(background: Background) -> np.ndarray:
    """(96, 96, 3) uint8: the background as preprocessing would show it."""
    wide = paint(background).resize((WIDTH * SIDE // HEIGHT, SIDE), Image.Resampling.BICUBIC)
    left = (wide.width - SIDE) // 2
    return np.asarray(wide.crop((left, 0, left + SIDE, SIDE))).copy()


def thumbnail(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """The scene at the model's size, (96, 96, 3) uint8, and what fills each patch, (64,) int16.

    A patch holds a thing's index where the thing covers two fifths of it, otherwise
    len(THINGS) + the background's number.
    """
    pixels = _small_background(scene.background).copy()
    patches = np.full((SIDE // PATCH) ** 2, len(THINGS) + ground_number(scene.background), np.int16)
    for placed in scene.placed:
        sprite = sprites.small(
            placed.glyph, 2 * round(placed.size * SIDE / 2), mirrored=placed.mirrored, shadow=placed.shadow
        )
        cover = _lay(pixels, sprite, placed)
        patches[cover.reshape(8, PATCH, 8, PATCH).mean(axis=(1, 3)).reshape(-1) > 0.4 * 255] = placed.thing
    return pixels, patches


def _lay(pixels: np.ndarray, sprite: np.ndarray, placed: Placed) -> np.ndarray:
    """Composite `sprite` onto `pixels` in place; returns its alpha, (96, 96) float32."""
    height, width = sprite.shape[:2]
    top, left = round(placed.y * SIDE - height / 2), round(placed.x * SIDE - width / 2)
    y0, x0, y1, x1 = max(0, top), max(0, left), min(SIDE, top + height), min(SIDE, left + width)
    part = sprite[y0 - top : y1 - top, x0 - left : x1 - left]
    under = pixels[y0:y1, x0:x1]
    keep = 255 - part[..., 3:].astype(np.uint16)
    under[...] = part[..., :3] + ((under * keep + 127) // 255).astype(np.uint8)
    cover = np.zeros((SIDE, SIDE), np.float32)
    cover[y0:y1, x0:x1] = part[..., 3]
    return cover


GROUNDS: tuple[str, ...] = (*COLOURS, *PLACES, "blend")


def ground_number(background: Background) -> int:
    """The background's number in `GROUNDS`; all blends share one."""
    return GROUNDS.index(background.kind if background.kind in GROUNDS else "blend")


# --- inventing


def held_out_pair(a: int, b: int) -> bool:
    """Whether two things never meet in training (one pair in ten), whatever their order."""
    low, high = sorted((a, b))
    return (low * 7919 + high * 104_729) % 97 < 10


def sample(rng: Random, kind: str, *, held_out: bool = False, things: int = len(THINGS)) -> Scene:
    """A scene of this kind among the first `things` things.

    With `held_out` its background is one never trained on, and a pair is one never trained on.
    """
    background = sample_background(rng, held_out=held_out)
    shadow = background.is_place and rng.random() < 0.5
    if kind == "single":
        placed = [_place(rng, rng.randrange(things), *_lone(rng), shadow=shadow)]
    elif kind == "count":
        thing, variant, mirrored = rng.randrange(things), rng.randrange(2), rng.random() < 0.5
        places = _crowd(rng, rng.choice((2, 2, 3)))
        placed = [Placed(thing, x, y, size, variant, mirrored, shadow) for x, y, size in places]
    elif kind == "three":
        chosen = _meeting(rng, 3, things, held_out=False)
        placed = [
            _place(rng, thing, x, y, size, shadow=shadow)
            for thing, (x, y, size) in zip(chosen, _crowd(rng, 3), strict=True)
        ]
    else:
        chosen = _meeting(rng, 2, things, held_out=held_out)
        placed = [
            _place(rng, thing, x, y, size, shadow=shadow)
            for thing, (x, y, size) in zip(chosen, _pair(rng, kind), strict=True)
        ]
    return Scene(kind, background, tuple(placed))


def sample_background(rng: Random, *, held_out: bool = False) -> Background:
    seed = rng.randrange(TRAINING_SEEDS) + HELD_OUT_SEED * held_out
    draw = rng.random()
    if draw < 0.40:
        return Background(rng.choice(tuple(COLOURS)), seed)
    if draw < 0.85:
        return Background(rng.choice(PLACES), seed)
    one, other = rng.sample(tuple(COLOURS), 2)
    return Background(f"{one}+{other}", seed % 4)


def _meeting(rng: Random, count: int, things: int, *, held_out: bool) -> list[int]:
    """Different things that may (or, held out, may not) have met in training."""
    while True:
        chosen = rng.sample(range(things), count)
        met = [not held_out_pair(a, b) for i, a in enumerate(chosen) for b in chosen[:i]]
        if all(met) != held_out:
            return chosen


def _place(rng: Random, thing: int, x: float, y: float, size: float, *, shadow: bool) -> Placed:
    return Placed(thing, x, y, size, rng.randrange(2), rng.random() < 0.5, shadow)


def _lone(rng: Random) -> tuple[float, float, float]:
    size = rng.choice((rng.uniform(0.24, 0.35), rng.uniform(0.38, 0.60), rng.uniform(0.64, 0.84)))
    room = (0.98 - size) / 2
    return 0.5 + rng.uniform(-room, room), 0.5 + rng.uniform(-room, room), size


def _pair(rng: Random, kind: str) -> list[tuple[float, float, float]]:
    """First above second, or first to the left of second, clearly apart."""
    along = (rng.uniform(0.24, 0.28), rng.uniform(0.72, 0.76))
    shift = rng.uniform(-0.16, 0.16)
    across = [0.5 + shift + rng.uniform(-0.08, 0.08) for _ in along]
    sizes = [rng.uniform(0.36, 0.46) for _ in along]
    spots = zip(across, along, strict=True) if kind == "vertical" else zip(along, across, strict=False)
    return [(x, y, size) for (x, y), size in zip(spots, sizes, strict=True)]


def _crowd(rng: Random, count: int) -> list[tuple[float, float, float]]:
    """Two or three places that do not overlap: a row, a slanted pair or a triangle."""
    size = rng.uniform(0.30, 0.40) if count == 2 else rng.uniform(0.27, 0.34)
    if count == 2:
        rise = rng.uniform(-0.22, 0.22)
        spots = [(0.26, 0.5 - rise), (0.74, 0.5 + rise)]
    elif rng.random() < 0.4:
        y = rng.uniform(0.35, 0.65)
        spots, size = [(0.17, y), (0.5, y), (0.83, y)], min(size, 0.29)
    else:
        spots = [(0.5, 0.26), (0.25, 0.72), (0.75, 0.72)]
        if rng.random() < 0.5:
            spots = [(x, 1 - y) for x, y in spots]
    rng.shuffle(spots)
    near = 0.03
    return [
        (x + rng.uniform(-near, near), y + rng.uniform(-near, near), size * rng.uniform(0.93, 1.05)) for x, y in spots
    ]


# --- siblings: the same scene with one thing about it changed, the hardest negatives


def swapped(scene: Scene) -> Scene:
    """The two things of a pair in each other's place."""
    first, second = scene.placed
    there = replace(second, x=first.x, y=first.y, size=first.size)
    return replace(scene, placed=(there, replace(first, x=second.x, y=second.y, size=second.size)))


def turned(scene: Scene) -> Scene:
    """A pair laid on its side: what was above is now to the left, and the other way round."""
    kind = "horizontal" if scene.kind == "vertical" else "vertical"
    return replace(scene, kind=kind, placed=tuple(replace(p, x=p.y, y=p.x) for p in scene.placed))


def sibling(scene: Scene, rng: Random, things: int = len(THINGS)) -> Scene:
    """Another background, another thing, or (for a lone thing) another size, at random."""
    change = rng.random()
    if change < 0.35:
        return replace(scene, background=sample_background(rng))
    if scene.kind == "single" and change < 0.6:
        x, y, size = _lone(rng)
        return replace(scene, placed=(replace(scene.placed[0], x=x, y=y, size=size),))
    if scene.kind == "count":
        first, places = scene.placed[0], _crowd(rng, 5 - len(scene.placed))
        return replace(scene, placed=tuple(replace(first, x=x, y=y, size=size) for x, y, size in places))
    return _with_another(scene, rng, things)


def _with_another(scene: Scene, rng: Random, things: int) -> Scene:
    place = rng.randrange(len(scene.placed))
    others = {p.thing for i, p in enumerate(scene.placed) if i != place}
    while True:
        thing = rng.randrange(things)
        if thing not in others and not any(held_out_pair(thing, other) for other in others):
            break
    new = replace(scene.placed[place], thing=thing)
    return replace(scene, placed=(*scene.placed[:place], new, *scene.placed[place + 1 :]))
