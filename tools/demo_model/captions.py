"""What is true of a scene, and sentences that say some of it.

A fact is a tuple: ('thing', 3), ('count', 3, 2), ('over', 3, 9), ('left', 3, 9), ('beside', 3, 9),
('big', 3), ('small', 3), ('ground', 'beach'). A `Caption` is a text with the facts it claims; it
is true of every scene that has them all, which is how false negatives are told from negatives.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

from .scenes import BIG, SMALL, Placed, Scene
from .things import MASS, THINGS, plural, with_article

Fact = tuple[str | int, ...]

WORDS = {
    "over": (("over", "above", "on top of"), ("under", "below", "beneath", "underneath")),
    "left": (("left of", "to the left of", "on the left of"), ("right of", "to the right of", "on the right of")),
}
BESIDE = ("next to", "beside", "and", "with", "near")
VERBS = ("flying", "standing", "sitting", "placed", "that is", "which is", "is")  # filling, without a claim
NUMBERS = {1: "one", 2: "two", 3: "three"}
SIZES = {"big": ("big", "large", "huge"), "small": ("small", "little", "tiny")}
WHERE = {
    "beach": ("on the beach", "on a beach", "at the seaside", "on the sand"),
    "meadow": ("in a meadow", "on the grass", "in a green field", "in the meadow"),
    "snow": ("in the snow", "in winter", "on the snow", "in a snowy landscape"),
    "night": ("at night", "under the stars", "in the dark", "by moonlight"),
    "desert": ("in the desert", "in a desert", "among sand dunes"),
    "sea": ("at sea", "on the water", "on the ocean", "in the sea"),
    "street": ("in the street", "in the city", "on a city street", "on the road", "in town"),
    "forest": ("in the forest", "in the woods", "in a forest", "among fir trees"),
    "mountains": ("in the mountains", "in front of mountains", "in the hills"),
    "sunset": ("at sunset", "in the evening", "at dusk", "in the sunset"),
}
WRAPPERS = (
    "{}", "{}", "{}", "a photo of {}", "a picture of {}", "an image of {}", "a drawing of {}", "there is {}",
    "there is {} in the image", "there is {} in the picture", "this is {}", "we see {}", "an emoji of {}",
    "an image with {}", "here is {}", "a picture with {} in it", "an image showing {}",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Caption:
    text: str
    claims: frozenset[Fact]


def facts(scene: Scene) -> frozenset[Fact]:
    """Everything a caption could claim of the scene and be right."""
    found: set[Fact] = {("ground", scene.background.kind)}
    counts: dict[int, int] = {}
    for placed in scene.placed:
        found.add(("thing", placed.thing))
        counts[placed.thing] = counts.get(placed.thing, 0) + 1
    found.update(("count", thing, number) for thing, number in counts.items())
    if len(scene.placed) == 1:
        found.update(_size_facts(scene.placed[0]))
    for a in scene.placed:
        found.update(fact for b in scene.placed if a.thing != b.thing for fact in relations(a, b))
    return frozenset(found)


def _size_facts(placed: Placed) -> list[Fact]:
    if placed.size >= BIG:
        return [("big", placed.thing)]
    return [("small", placed.thing)] if placed.size <= SMALL else []


def relations(a: Placed, b: Placed) -> list[Fact]:
    """How `a` stands to `b`; nothing where neither direction clearly wins."""
    right, down = b.x - a.x, b.y - a.y
    if down > 0.25 and down > 1.2 * abs(right):
        return [("over", a.thing, b.thing)]
    if abs(right) > 0.25 and abs(right) > 1.2 * abs(down):
        return [("beside", a.thing, b.thing), *([("left", a.thing, b.thing)] if right > 0 else [])]
    return []


# --- sentences


def caption(scene: Scene, rng: Random, *, turned: bool = True) -> Caption:
    """One sentence, name or phrase that is true of the scene.

    Without `turned`, relations are only said as over and left of, never as under or right of.
    """
    draw = rng.random()
    if draw < 0.03:
        return _finish(*_only_ground(scene, rng), rng)
    text, claims = SPEAKERS[scene.kind](scene, rng) if scene.kind in SPEAKERS else _pair(scene, rng, turned=turned)
    if rng.random() < 0.35:
        where, claim = ground(scene.background.kind, rng)
        text, claims = f"{text} {where}", [*claims, claim]
    return _finish(text, claims, rng)


def _finish(text: str, claims: Iterable[Fact], rng: Random) -> Caption:
    several = text.startswith(("two ", "three "))
    text = rng.choice(WRAPPERS).format(text)
    if several:
        text = text.replace("there is", "there are").replace("this is", "these are")
    return Caption(text + "." * (rng.random() < 0.3), frozenset(claims))


def noun(thing: int, rng: Random, adjective: str = "") -> str:
    """'a dog', 'the puppy', 'hound', 'a big dog'."""
    names = THINGS[thing].names
    name = names[0] if rng.random() < 0.5 else rng.choice(names)
    draw = rng.random()
    if draw < 0.12:
        return f"{adjective} {name}".strip()
    if draw < 0.2 and name not in MASS:
        return f"the {adjective} {name}".replace("  ", " ")
    if adjective:
        return f"{adjective} {name}" if name in MASS else f"a {adjective} {name}"
    return with_article(name)


def ground(kind: str, rng: Random) -> tuple[str, Fact]:
    """'on a red background', 'on the beach', and what it claims."""
    if kind in WHERE:
        return rng.choice(WHERE[kind]), ("ground", kind)
    shown = kind.replace("+", " and ")
    article = "an" if shown[0] == "o" else "a"
    form = rng.choice(
        ("on {} {} background", "in front of {} {} background", "with {} {} background", "against {} {} background")
    )
    return form.format(article, shown), ("ground", kind)


def _only_ground(scene: Scene, rng: Random) -> tuple[str, list[Fact]]:
    kind = scene.background.kind
    if kind in WHERE:
        return rng.choice((f"the {kind}", kind)), [("ground", kind)]
    return f"a {kind.replace('+', ' and ')} background", [("ground", kind)]


def _single(scene: Scene, rng: Random) -> tuple[str, list[Fact]]:
    placed = scene.placed[0]
    sized = _size_facts(placed)
    if sized and rng.random() < 0.3:
        return noun(placed.thing, rng, rng.choice(SIZES[str(sized[0][0])])), [("thing", placed.thing), *sized]
    if rng.random() < 0.06 and plural(THINGS[placed.thing].names[0]):
        return f"one {THINGS[placed.thing].names[0]}", [("thing", placed.thing), ("count", placed.thing, 1)]
    return noun(placed.thing, rng), [("thing", placed.thing)]


def _count(scene: Scene, rng: Random) -> tuple[str, list[Fact]]:
    thing = scene.placed[0].thing
    plurals = [form for name in THINGS[thing].names if (form := plural(name))]
    if not plurals or rng.random() < 0.15:
        return noun(thing, rng), [("thing", thing)]
    form = plurals[0] if rng.random() < 0.5 else rng.choice(plurals)
    if rng.random() < 0.1:
        return form, [("thing", thing)]
    number = len(scene.placed)
    return f"{NUMBERS[number]} {form}", [("thing", thing), ("count", thing, number)]


def _pair(scene: Scene, rng: Random, *, turned: bool) -> tuple[str, list[Fact]]:
    a, b = (placed.thing for placed in scene.placed)
    both: list[Fact] = [("thing", a), ("thing", b)]
    draw = rng.random()
    if draw < 0.08:
        return noun(a, rng), both[:1]
    if draw < 0.22:
        first, second = rng.sample((a, b), 2)
        word = rng.choice(BESIDE if scene.kind == "horizontal" else ("and", "with"))
        claims = [*both, ("beside", a, b)] if word in BESIDE[:2] else both
        return f"{noun(first, rng)} {word} {noun(second, rng)}", claims
    relation = "over" if scene.kind == "vertical" else "left"
    return relate(relation, noun(a, rng), noun(b, rng), rng, turned=turned), [*both, (relation, a, b)]


def relate(relation: str, first: str, second: str, rng: Random, *, turned: bool = True) -> str:
    """`first` over (or left of) `second`; if `turned`, half of the time said from the other side."""
    straight, reverse = WORDS[relation]
    verb = f" {rng.choice(VERBS)}" if rng.random() < 0.12 else ""
    draw = rng.random()
    if draw < 0.45 or not turned:
        return f"{first}{verb} {rng.choice(straight)} {second}"
    if draw < 0.9:
        return f"{second}{verb} {rng.choice(reverse)} {first}"
    if relation == "over":
        return f"{first} at the top and {second} at the bottom"
    return f"{first} on the left and {second} on the right"


def _three(scene: Scene, rng: Random) -> tuple[str, list[Fact]]:
    chosen = rng.sample([placed.thing for placed in scene.placed], rng.choice((2, 3, 3)))
    nouns = [noun(thing, rng) for thing in chosen]
    return f"{', '.join(nouns[:-1])} and {nouns[-1]}", [("thing", thing) for thing in chosen]


SPEAKERS = {"single": _single, "count": _count, "three": _three}
