"""Training batches: fresh scenes, their captions, and everything that is known about both.

A batch is families of near-duplicates: quads (A over B, B over A, A left of B, B left of A) and
scenes with a sibling changed in one respect. Which caption is true of which scene is known, so
that a true one is never used as a negative. It does not know the network.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import numpy as np
import torch
from tokenizers import Tokenizer

from .captions import Caption, Fact, caption, facts
from .scenes import GROUNDS, Scene, ground_number, sample, sibling, swapped, thumbnail, turned
from .things import THINGS

NONE = len(THINGS)  # in a role: nothing stands there
UNKNOWN = -100  # in a role: not said, or not clear; torch's cross entropy skips it
ROLES = {
    "top": NONE + 1,
    "bottom": NONE + 1,
    "left": NONE + 1,
    "right": NONE + 1,
    "ground": len(GROUNDS),
    "count": 3,
    "size": 3,
}
OTHER_KINDS = ("single", "single", "single", "count", "three", "vertical", "horizontal")


@dataclass(frozen=True, slots=True)
class Mix:
    """What a batch is made of: `quads` families of four pairs; siblings fill the rest."""

    size: int
    quads: int
    turned: bool = True  # whether captions say under and right of
    pictures: bool = True  # whether the scenes are drawn at all
    things: int = len(THINGS)
    kinds: tuple[str, ...] = OTHER_KINDS


def batches(tokenizer: Tokenizer, mix: Mix, seed: int) -> Iterator[dict[str, torch.Tensor]]:
    """An endless stream, the same for the same seed."""
    rng = Random(seed)
    while True:
        yield batch(tokenizer, families(mix, rng), mix, rng)


def families(mix: Mix, rng: Random) -> list[Scene]:
    scenes: list[Scene] = []
    for _ in range(mix.quads):
        one = sample(rng, rng.choice(("vertical", "horizontal")), things=mix.things)
        scenes += [one, swapped(one), turned(one), turned(swapped(one))]
    while len(scenes) < mix.size:
        one = sample(rng, rng.choice(mix.kinds), things=mix.things)
        scenes += [one, sibling(one, rng, mix.things)]
    return scenes


def batch(tokenizer: Tokenizer, scenes: list[Scene], mix: Mix, rng: Random) -> dict[str, torch.Tensor]:
    captions = [caption(scene, rng, turned=mix.turned) for scene in scenes]
    known = [facts(scene) for scene in scenes]
    arrays = {
        "ids": encode(tokenizer, [c.text for c in captions]),  # (n, length)
        "true": np.array([[c.claims <= f for c in captions] for f in known]),  # (scene, caption)
        "image_roles": np.array([scene_roles(scene) for scene in scenes]),  # (n, roles)
        "text_roles": np.array([caption_roles(c) for c in captions]),
        "image_things": _present(f for f in known),  # (n, things)
        "text_things": _present(c.claims for c in captions),
    }
    if mix.pictures:
        drawn = [thumbnail(scene) for scene in scenes]
        arrays["pixels"] = np.stack([pixels for pixels, _ in drawn])  # (n, 96, 96, 3) uint8
        arrays["patches"] = np.stack([patches for _, patches in drawn]).astype(np.int64)  # (n, 64)
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def encode(tokenizer: Tokenizer, texts: list[str], context: int = 32) -> np.ndarray:
    """(n, longest) int64 token ids padded with the end mark."""
    rows = [row.ids[:context] for row in tokenizer.encode_batch(texts)]
    end = tokenizer.get_vocab_size() - 1
    ids = np.full((len(rows), max(map(len, rows))), end, np.int64)
    for place, row in zip(ids, rows, strict=True):
        place[: len(row)] = row
        place[-1] = end  # also where a long text was cut
    return ids


def scene_roles(scene: Scene) -> list[int]:
    """The true class of each of `ROLES`."""
    ground, count, size = ground_number(scene.background), UNKNOWN, UNKNOWN
    sides = [UNKNOWN] * 4
    a, b = scene.placed[0].thing, scene.placed[-1].thing
    if scene.kind in ("vertical", "horizontal"):
        sides = [a, b, NONE, NONE] if scene.kind == "vertical" else [NONE, NONE, a, b]
    if scene.kind in ("single", "count"):
        count = len(scene.placed) - 1
    if scene.kind == "single":
        named = {fact[0] for fact in facts(scene)}
        size = 0 if "big" in named else 2 if "small" in named else 1
    return [*sides, ground, count, size]


def caption_roles(said: Caption) -> list[int]:
    """What the caption says of each of `ROLES`."""
    roles = dict.fromkeys(ROLES, UNKNOWN)
    for fact in said.claims:
        roles.update(_said(fact))
    return list(roles.values())


def _said(fact: Fact) -> dict[str, int]:
    roles: dict[str, int] = {}
    match fact:
        case ("over", int(a), int(b)):
            roles = {"top": a, "bottom": b, "left": NONE, "right": NONE}
        case ("left", int(a), int(b)):
            roles = {"top": NONE, "bottom": NONE, "left": a, "right": b}
        case ("ground", str(kind)):
            roles = {"ground": GROUNDS.index(kind if kind in GROUNDS else "blend")}
        case ("count", _, int(number)):
            roles = {"count": number - 1}
        case ("big" | "small" as size, _):
            roles = {"size": 0 if size == "big" else 2}
    return roles


def _present(rows: object) -> np.ndarray:
    found = [[fact[1] for fact in row if fact[0] == "thing"] for row in rows]  # type: ignore[attr-defined]
    table = np.zeros((len(found), len(THINGS)), np.float32)
    for place, things in zip(table, found, strict=True):
        place[things] = 1
    return table
