"""The bundled pictures: hand-placed scenes that make a good first contact sheet.

Each is one line of `ALBUM`: file name, background and its seed, the things as
(name, x, y, size, turned?), and a caption. Knows nothing of the model.
"""

import json
from pathlib import Path

from .backgrounds import PLACES, Background
from .scenes import Placed, Scene, picture
from .things import BY_NAME

QUALITY = 76
Spot = tuple[str, float, float, float] | tuple[str, float, float, float, bool]
Entry = tuple[str, str, int, list[Spot], str]

TUTORIAL = (
    "airplane-over-car",
    "car-over-airplane",
    "horse-and-carriage",
    "bus-in-the-street",
    "two-cats-in-the-meadow",
)

ALBUM: list[Entry] = [
    ("airplane-over-car", "street", 3, [("airplane", 0.5, 0.25, 0.44), ("car", 0.5, 0.78, 0.42)], "An airplane over a car in the street."),
    ("car-over-airplane", "blue+turquoise", 1, [("car", 0.5, 0.26, 0.42), ("airplane", 0.5, 0.74, 0.46)], "A car over an airplane."),
    ("horse-and-carriage", "meadow", 9, [("horse", 0.22, 0.64, 0.44), ("carriage", 0.73, 0.62, 0.56)], "A horse with a carriage in a meadow."),
    ("bus-in-the-street", "street", 8, [("bus", 0.5, 0.68, 0.62)], "A bus in the street."),
    ("two-cats-in-the-meadow", "meadow", 4, [("cat", 0.27, 0.68, 0.40), ("cat", 0.74, 0.70, 0.38, True)], "Two cats in a meadow."),
    ("dog-on-the-beach", "beach", 2, [("dog", 0.5, 0.66, 0.52)], "A dog on the beach."),
    ("crab-and-seashell-on-the-beach", "beach", 5, [("crab", 0.28, 0.74, 0.36), ("seashell", 0.74, 0.76, 0.32)], "A crab next to a seashell on the beach."),
    ("palm-tree-on-the-beach", "beach", 11, [("palm tree", 0.5, 0.5, 0.78)], "A palm tree on the beach."),
    ("volleyball-on-the-beach", "beach", 14, [("volleyball", 0.55, 0.74, 0.32)], "A volleyball on the beach."),
    ("sailboat-at-sea", "sea", 3, [("sailboat", 0.5, 0.5, 0.62)], "A sailboat at sea."),
    ("whale-at-sea", "sea", 6, [("whale", 0.5, 0.62, 0.62)], "A whale in the sea."),
    ("dolphin-and-ship", "sea", 10, [("ship", 0.28, 0.42, 0.42), ("dolphin", 0.73, 0.70, 0.38)], "A dolphin and a ship at sea."),
    ("three-ducks-on-the-water", "sea", 15, [("duck", 0.2, 0.6, 0.27), ("duck", 0.5, 0.72, 0.28), ("duck", 0.8, 0.6, 0.27)], "Three ducks on the water."),
    ("penguin-in-the-snow", "snow", 2, [("penguin", 0.5, 0.60, 0.60)], "A penguin in the snow."),
    ("snowman-and-christmas-tree", "snow", 7, [("snowman", 0.27, 0.64, 0.44), ("christmas tree", 0.74, 0.58, 0.52)], "A snowman and a Christmas tree in the snow."),
    ("fox-in-the-snow", "snow", 9, [("fox", 0.5, 0.60, 0.50)], "A fox in the snow."),
    ("ice-skate-in-winter", "snow", 12, [("ice skate", 0.5, 0.6, 0.5)], "An ice skate in winter."),
    ("owl-at-night", "night", 2, [("owl", 0.5, 0.58, 0.58)], "An owl at night."),
    ("rocket-at-night", "night", 5, [("rocket", 0.5, 0.5, 0.66)], "A rocket at night."),
    ("flying-saucer-over-cow", "night", 8, [("flying saucer", 0.5, 0.25, 0.44), ("cow", 0.5, 0.76, 0.42)], "A flying saucer over a cow at night."),
    ("castle-at-night", "night", 12, [("castle", 0.5, 0.58, 0.68)], "A castle at night."),
    ("pumpkin-and-ghost", "night", 15, [("pumpkin", 0.27, 0.66, 0.40), ("ghost", 0.73, 0.46, 0.44)], "A pumpkin and a ghost at night."),
    ("camel-in-the-desert", "desert", 2, [("camel", 0.5, 0.62, 0.58)], "A camel in the desert."),
    ("cactus-in-the-desert", "desert", 6, [("cactus", 0.5, 0.55, 0.66)], "A cactus in the desert."),
    ("snake-in-the-desert", "desert", 11, [("snake", 0.5, 0.72, 0.42)], "A snake among sand dunes."),
    ("taxi-in-the-city", "street", 12, [("taxi", 0.5, 0.70, 0.54)], "A taxi in the city."),
    ("bicycle-and-traffic-light", "street", 16, [("bicycle", 0.30, 0.70, 0.46), ("traffic light", 0.77, 0.56, 0.48)], "A bicycle next to a traffic light."),
    ("police-car-and-ambulance", "street", 21, [("police car", 0.25, 0.72, 0.42), ("ambulance", 0.76, 0.71, 0.44)], "A police car to the left of an ambulance."),
    ("elephant-in-the-meadow", "meadow", 6, [("elephant", 0.5, 0.62, 0.62)], "An elephant in a green field."),
    ("three-sheep-in-the-meadow", "meadow", 12, [("sheep", 0.2, 0.66, 0.27), ("sheep", 0.5, 0.74, 0.30), ("sheep", 0.82, 0.66, 0.27)], "Three sheep in the meadow."),
    ("butterfly-over-sunflower", "meadow", 15, [("butterfly", 0.5, 0.24, 0.36), ("sunflower", 0.5, 0.72, 0.50)], "A butterfly over a sunflower."),
    ("tractor-in-the-meadow", "meadow", 19, [("tractor", 0.5, 0.64, 0.56)], "A tractor in a field."),
    ("house-and-tree", "meadow", 22, [("house", 0.28, 0.60, 0.46), ("tree", 0.75, 0.58, 0.50)], "A house to the left of a tree."),
    ("rabbit-and-carrot", "meadow", 26, [("rabbit", 0.28, 0.68, 0.42), ("carrot", 0.74, 0.72, 0.36)], "A rabbit and a carrot on the grass."),
    ("kite-over-dog", "meadow", 30, [("kite", 0.5, 0.25, 0.42), ("dog", 0.5, 0.76, 0.40)], "A kite over a dog."),
    ("bear-in-the-forest", "forest", 3, [("bear", 0.5, 0.60, 0.52)], "A bear in the forest."),
    ("deer-in-the-woods", "forest", 7, [("deer", 0.5, 0.60, 0.62)], "A deer in the woods."),
    ("squirrel-and-mushroom", "forest", 11, [("squirrel", 0.28, 0.70, 0.42), ("mushroom", 0.74, 0.72, 0.38)], "A squirrel and a mushroom in the forest."),
    ("tent-in-the-forest", "forest", 16, [("tent", 0.5, 0.68, 0.54)], "A tent in the forest."),
    ("eagle-in-the-mountains", "mountains", 2, [("eagle", 0.5, 0.42, 0.58)], "An eagle in the mountains."),
    ("goat-in-the-mountains", "mountains", 6, [("goat", 0.5, 0.62, 0.54)], "A goat in the mountains."),
    ("helicopter-in-the-mountains", "mountains", 9, [("helicopter", 0.5, 0.42, 0.56)], "A helicopter in front of mountains."),
    ("giraffe-at-sunset", "sunset", 3, [("giraffe", 0.5, 0.54, 0.76)], "A giraffe at sunset."),
    ("balloon-at-sunset", "sunset", 7, [("balloon", 0.5, 0.40, 0.56)], "A balloon at sunset."),
    ("zebra-and-lion-at-sunset", "sunset", 11, [("zebra", 0.27, 0.64, 0.44), ("lion", 0.75, 0.66, 0.38)], "A zebra and a lion at sunset."),
    ("pizza-on-red", "red", 3, [("pizza", 0.5, 0.5, 0.66)], "A pizza on a red background."),
    ("banana-on-purple", "purple", 5, [("banana", 0.5, 0.5, 0.62)], "A banana on a purple background."),
    ("guitar-on-orange", "orange", 2, [("guitar", 0.5, 0.5, 0.72)], "A guitar on an orange background."),
    ("strawberry-on-pink", "pink", 4, [("strawberry", 0.5, 0.5, 0.6)], "A strawberry on a pink background."),
    ("two-doughnuts-on-turquoise", "turquoise", 6, [("doughnut", 0.26, 0.5, 0.40), ("doughnut", 0.74, 0.5, 0.40)], "Two doughnuts on a turquoise background."),
    ("robot-on-grey", "grey", 3, [("robot", 0.5, 0.5, 0.62)], "A robot on a grey background."),
    ("diamond-on-black", "black", 5, [("diamond", 0.5, 0.5, 0.52)], "A diamond on a black background."),
    ("birthday-cake-and-gift", "pink+purple", 1, [("birthday cake", 0.27, 0.52, 0.44), ("gift", 0.74, 0.54, 0.40)], "A birthday cake and a gift."),
    ("crown-over-frog", "green+yellow", 2, [("crown", 0.5, 0.26, 0.40), ("frog", 0.5, 0.72, 0.46)], "A crown over a frog."),
    ("books-and-cup-of-coffee", "orange+brown", 1, [("pile of books", 0.27, 0.54, 0.44), ("cup of coffee", 0.74, 0.54, 0.42)], "A pile of books to the left of a cup of coffee."),
    ("apple-lemon-and-grapes", "yellow+white", 0, [("apple", 0.5, 0.27, 0.36), ("lemon", 0.25, 0.73, 0.36), ("bunch of grapes", 0.75, 0.73, 0.36)], "An apple, a lemon and a bunch of grapes."),
    ("soccer-ball-on-green", "green", 8, [("soccer ball", 0.5, 0.52, 0.56)], "A soccer ball on a green background."),
    ("parrot-and-pineapple", "turquoise+yellow", 3, [("parrot", 0.28, 0.5, 0.46), ("pineapple", 0.74, 0.5, 0.46)], "A parrot and a pineapple."),
]  # fmt: skip

FLYING = {
    "airplane",
    "kite",
    "butterfly",
    "flying saucer",
    "rocket",
    "eagle",
    "helicopter",
    "balloon",
    "ghost",
    "crown",
}
AFLOAT = {"sailboat", "whale", "ship", "dolphin", "duck"}


def scene(entry: Entry) -> Scene:
    """The entry's scene; what stands on the ground of a landscape gets a shadow."""
    _, kind, seed, spots, _ = entry
    placed = tuple(_placed(spot, outdoors=kind in PLACES) for spot in spots)
    return Scene("album", Background(kind, seed), placed)


def _placed(spot: Spot, *, outdoors: bool) -> Placed:
    name, x, y, size = spot[:4]
    shadow = outdoors and name not in FLYING | AFLOAT
    return Placed(BY_NAME[name].index, x, y, size, mirrored=len(spot) == 5, shadow=shadow)


def write(folder: Path) -> None:
    """All JPEGs and `captions.json`: file → caption, and the files that stand for the tutorial's."""
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("*.jpg"):
        stale.unlink()
    for entry in ALBUM:
        picture(scene(entry)).save(folder / f"{entry[0]}.jpg", quality=QUALITY, optimize=True)
    listed = {
        "captions": {f"{entry[0]}.jpg": entry[4] for entry in ALBUM},
        "tutorial": [f"{name}.jpg" for name in TUTORIAL],
    }
    (folder / "captions.json").write_text(json.dumps(listed, indent=2) + "\n")
