"""How good the demo model is, on scenes and pairs of things it was never trained on.

Needs only numpy, Pillow, the font and something that turns pictures and words into unit vectors;
any encoder with `images(paths)` and `texts(words)` can be judged. Pictures are saved as 480 × 360
JPEG and read back by that encoder, so its own preprocessing is part of what is measured.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Protocol

import numpy as np

from .backgrounds import COLOURS
from .captions import SIZES, WORDS, Caption, caption, facts
from .scenes import HELD_OUT_SEED, Scene, held_out_pair, picture, sample, swapped
from .things import BY_NAME, THINGS, plural, with_article

SEED = 2_000_003  # far from every training seed
QUALITY = 85
KINDS = ("single", "single", "count", "vertical", "horizontal", "three")


class Encoder(Protocol):
    """What is judged."""

    def images(self, paths: Sequence[Path]) -> np.ndarray:
        """(n, dim) float32 unit rows."""
        ...

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """(m, dim) float32 unit rows."""
        ...


Figures = dict[str, float]


def evaluate(encoder: Encoder, folder: Path, *, small: bool = False) -> dict[str, Figures]:
    """All figures. Pictures are written to `folder`; `small` takes a fifth of them, for tests."""
    share = 5 if small else 1
    checks: dict[str, Callable[[Encoder, Path, int], Figures]] = {
        "retrieval": retrieval,
        "zero_shot": zero_shot,
        "background_colour": background_colour,
        "big_or_small": big_or_small,
        "counting": counting,
        "over_under": lambda e, f, n: relation(e, f, n, "vertical"),
        "left_right": lambda e, f, n: relation(e, f, n, "horizontal"),
        "over_or_beside": over_or_beside,
        "one_of_two": one_of_two,
    }
    sizes = {"retrieval": 500, "zero_shot": 4 * len(THINGS)}
    return {name: check(encoder, folder / name, sizes.get(name, 400) // share) for name, check in checks.items()}


def retrieval(encoder: Encoder, folder: Path, number: int) -> Figures:
    """One caption for each scene: is a scene it is true of first, or among the first five?"""
    rng = Random(SEED)
    scenes = [_scene(rng, KINDS[i % len(KINDS)]) for i in range(number)]
    captions = [_telling(scene, rng) for scene in scenes]
    scores = encoder.texts([c.text for c in captions]) @ _encode(encoder, scenes, folder).T  # (caption, scene)
    true = np.array([[c.claims <= facts(scene) for scene in scenes] for c in captions])
    best = np.argsort(-scores, axis=1)[:, :5]
    hits = np.take_along_axis(true, best, axis=1)
    own = best == np.arange(number)[:, None]
    return {
        "scenes": number,
        "recall_at_1": float(hits[:, 0].mean()),
        "recall_at_5": float(hits.any(axis=1).mean()),
        "own_scene_at_1": float(own[:, 0].mean()),
        "own_scene_at_5": float(own.any(axis=1).mean()),
    }


def _telling(scene: Scene, rng: Random) -> Caption:
    """A caption that names a thing, not the background alone."""
    while True:
        said = caption(scene, rng)
        if any(fact[0] == "thing" for fact in said.claims):
            return said


def zero_shot(encoder: Encoder, folder: Path, number: int) -> Figures:
    """One thing each, against all names; a synonym of the same thing is right."""
    rng = Random(SEED + 1)
    scenes = [_single(rng, i % len(THINGS)) for i in range(number)]
    names = list(BY_NAME)
    embedded = _prompts(encoder, [[with_article(n), f"a photo of {with_article(n)}", n] for n in names])
    images = _encode(encoder, scenes, folder)
    owner = np.array([BY_NAME[n].index for n in names])
    truth = np.array([scene.placed[0].thing for scene in scenes])
    ranked = owner[np.argsort(-(images @ embedded.T), axis=1)]
    plain = encoder.texts([f"a photo of {with_article(n)}" for n in names])
    one = owner[np.argmax(images @ plain.T, axis=1)]
    return {
        "scenes": number,
        "names": len(names),
        "things": len(THINGS),
        "top_1": float((ranked[:, 0] == truth).mean()),
        "top_5": float((ranked[:, :5] == truth[:, None]).any(axis=1).mean()),
        "top_1_one_prompt": float((one == truth).mean()),
    }


def background_colour(encoder: Encoder, folder: Path, number: int) -> Figures:
    """A thing before a plain colour, against all colours."""
    rng = Random(SEED + 2)
    colours = list(COLOURS)
    scenes: list[Scene] = []
    while len(scenes) < number:
        scene = _scene(rng, "single")
        scenes += [scene] if scene.background.is_plain else []
    labels = [f"{'an' if c[0] == 'o' else 'a'} {c} background" for c in colours]
    texts = [[f"{_named(scene)} on {label}" for label in labels] for scene in scenes]
    truth = [colours.index(scene.background.kind) for scene in scenes]
    return _choose(encoder, folder, scenes, texts, truth)


def big_or_small(encoder: Encoder, folder: Path, number: int) -> Figures:
    """A big or a small thing, against the two captions."""
    rng = Random(SEED + 3)
    scenes: list[Scene] = []
    truth: list[int] = []
    while len(scenes) < number:
        scene = _scene(rng, "single")
        size = next((fact[0] for fact in facts(scene) if fact[0] in SIZES), None)
        if size:
            scenes.append(scene)
            truth.append(list(SIZES).index(str(size)))
    names = [THINGS[scene.placed[0].thing].names[0] for scene in scenes]
    return _choose(encoder, folder, scenes, [[f"a {size} {name}" for size in SIZES] for name in names], truth)


def counting(encoder: Encoder, folder: Path, number: int) -> Figures:
    """One, two or three of a thing, against the three captions."""
    rng = Random(SEED + 4)
    scenes: list[Scene] = []
    while len(scenes) < number:
        scene = _scene(rng, "single" if len(scenes) % 3 == 0 else "count")
        scenes += [scene] if plural(THINGS[scene.placed[0].thing].names[0]) else []
    names = [THINGS[scene.placed[0].thing].names[0] for scene in scenes]
    texts = [[f"one {name}", f"two {plural(name)}", f"three {plural(name)}"] for name in names]
    return _choose(encoder, folder, scenes, texts, [len(scene.placed) - 1 for scene in scenes])


def relation(encoder: Encoder, folder: Path, number: int, kind: str) -> Figures:
    """A pair that never met in training, and the same pair swapped, against both orders.

    `per_caption` has chance 0.5; `both_right` asks for both pictures of a swapped pair, chance 0.25.
    """
    rng = Random(SEED + 5)
    scenes: list[Scene] = []
    texts: list[list[str]] = []
    words = WORDS["over" if kind == "vertical" else "left"]
    for i in range(number // 2):
        scene = sample(rng, kind, held_out=True)
        assert held_out_pair(*(placed.thing for placed in scene.placed))
        a, b = (with_article(THINGS[placed.thing].names[0]) for placed in scene.placed)
        word = words[i % 2][i // 2 % 3]
        both = [f"there is {a} {word} {b}", f"there is {b} {word} {a}"]
        scenes += [scene, swapped(scene)]
        texts += [both, both[::-1]] if i % 2 == 0 else [both[::-1], both]
    right = _right(encoder, folder, scenes, texts, [0] * len(scenes))
    return {
        "pictures": len(scenes),
        "per_caption": float(right.mean()),
        "both_right": float(right.reshape(-1, 2).all(axis=1).mean()),
    }


def over_or_beside(encoder: Encoder, folder: Path, number: int) -> Figures:
    """A pair that never met in training: one over the other, or side by side?"""
    rng = Random(SEED + 6)
    scenes = [sample(rng, ("vertical", "horizontal")[i % 2], held_out=True) for i in range(number)]
    named = [[with_article(THINGS[placed.thing].names[0]) for placed in scene.placed] for scene in scenes]
    texts = [[f"{a} over {b}", f"{a} left of {b}"] for a, b in named]
    return _choose(encoder, folder, scenes, texts, [i % 2 for i in range(number)])


def one_of_two(encoder: Encoder, folder: Path, number: int) -> Figures:
    """Among scenes of one and of two things: does a name alone find a pair that holds the thing?

    One half of the scenes are pairs and are asked for by one of their two things; the other half
    are lone things, which do not count as right unless they are that thing too.
    """
    rng = Random(SEED + 7)
    scenes = [_scene(rng, ("vertical", "single", "horizontal", "single")[i % 4]) for i in range(number)]
    asked = [rng.choice(scene.placed).thing for scene in scenes[::2]]
    scores = (
        encoder.texts([with_article(THINGS[thing].names[0]) for thing in asked]) @ _encode(encoder, scenes, folder).T
    )
    true = np.array([[thing in {placed.thing for placed in scene.placed} for scene in scenes] for thing in asked])
    hits = np.take_along_axis(true, np.argsort(-scores, axis=1)[:, :5], axis=1)
    return {
        "pictures": number,
        "recall_at_1": float(hits[:, 0].mean()),
        "recall_at_5": float(hits.any(axis=1).mean()),
    }


# --- helpers


def _scene(rng: Random, kind: str) -> Scene:
    """A scene with an unseen background; pairs half of the time with an unseen pair."""
    scene = sample(rng, kind, held_out=kind in ("vertical", "horizontal") and rng.random() < 0.5)
    background = replace(scene.background, seed=HELD_OUT_SEED + rng.randrange(10_000))
    return replace(scene, background=background)


def _single(rng: Random, thing: int) -> Scene:
    scene = _scene(rng, "single")
    return replace(scene, placed=(replace(scene.placed[0], thing=thing),))


def _named(scene: Scene) -> str:
    return with_article(THINGS[scene.placed[0].thing].names[0])


def _encode(encoder: Encoder, scenes: Sequence[Scene], folder: Path) -> np.ndarray:
    """Save, then embed: (n, dim)."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{i:04}.jpg" for i in range(len(scenes))]
    for path, scene in zip(paths, scenes, strict=True):
        picture(scene).save(path, quality=QUALITY)
    return encoder.images(paths)


def _prompts(encoder: Encoder, groups: Sequence[Sequence[str]]) -> np.ndarray:
    """The mean of each group's embeddings, made unit again: (groups, dim)."""
    flat = encoder.texts([text for group in groups for text in group])
    mean = flat.reshape(len(groups), len(groups[0]), -1).mean(axis=1)
    return mean / np.linalg.norm(mean, axis=1, keepdims=True)


def _right(
    encoder: Encoder, folder: Path, scenes: Sequence[Scene], texts: Sequence[Sequence[str]], truth: Sequence[int]
) -> np.ndarray:
    """For each scene, whether the true one of its own texts scores highest: (n,) bool."""
    images = _encode(encoder, scenes, folder)
    embedded = encoder.texts([text for row in texts for text in row]).reshape(len(scenes), len(texts[0]), -1)
    scores = np.einsum("nd,ntd->nt", images, embedded)
    right: np.ndarray = scores.argmax(axis=1) == np.asarray(truth)
    return right


def _choose(
    encoder: Encoder, folder: Path, scenes: Sequence[Scene], texts: Sequence[Sequence[str]], truth: Sequence[int]
) -> Figures:
    right = _right(encoder, folder, scenes, texts, truth)
    return {"pictures": len(scenes), "choices": len(texts[0]), "accuracy": float(right.mean())}


def save(figures: dict[str, Figures], path: Path) -> None:
    rounded = {name: {key: round(value, 4) for key, value in row.items()} for name, row in figures.items()}
    path.write_text(json.dumps(rounded, indent=2) + "\n")
