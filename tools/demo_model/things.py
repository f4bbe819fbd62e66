"""The table of things the demo model knows: which glyphs show a thing, and what it is called.

Knows glyphs and English names only; how a thing is drawn is `sprites.py`, what is said of it
is `captions.py`. The first name is the usual one, the others are synonyms; no name belongs to
two things. Glyphs that look poor when cut out (square edges, bare faces of people) are left out.
"""

from dataclasses import dataclass

CARRIAGE = "carriage"  # stands in a glyph's place: no font has one, `sprites.py` draws it

TABLE = f"""
🐕🐶 dog, puppy, hound
🐈🐱 cat, kitten, kitty
🐎🐴 horse, pony, stallion
🐄🐮 cow, dairy cow
🐖🐷 pig, hog
🐑 sheep, ewe
🐐 goat, billy goat
🐪🐫 camel, dromedary
🦙 llama, alpaca
🦒 giraffe
🐘 elephant
🦏 rhinoceros, rhino
🦛 hippopotamus, hippo
🐁🐭 mouse
🐹 hamster, guinea pig
🐇🐰 rabbit, bunny, hare
🐿 squirrel, chipmunk
🦔 hedgehog, porcupine
🐻 bear, brown bear, grizzly
🐨 koala, koala bear
🐼 panda, panda bear
🦥 sloth
🦘 kangaroo, wallaby
🦃 turkey
🐔 chicken, hen
🐓 rooster, cockerel
🐤🐥 chick, baby chick
🐧 penguin
🐦 bird, songbird
🕊 dove, pigeon
🦅 eagle, hawk
🦆 duck, mallard
🦢 swan
🦉 owl
🦩 flamingo
🦚 peacock
🦜 parrot, macaw
🐸 frog, toad
🐊 crocodile, alligator
🐢 turtle, tortoise
🐍 snake, serpent
🐉 dragon
🦕 dinosaur, brontosaurus
🦖 tyrannosaurus, t-rex
🐳🐋 whale, blue whale
🐬 dolphin, porpoise
🐟 fish
🐠 tropical fish, angelfish
🦈 shark, great white shark
🐙 octopus
🐚 seashell, shell
🐌 snail
🦋 butterfly
🐛 caterpillar
🐝 bee, honeybee, bumblebee
🐞 ladybug, ladybird
🕷 spider, tarantula
🦂 scorpion
🦀 crab
🦞 lobster, crayfish
🦑 squid
🦁 lion
🐅🐯 tiger
🐆 leopard, cheetah
🦓 zebra
🦍 gorilla, ape
🐒🐵 monkey, chimpanzee
🦧 orangutan
🐺 wolf
🦊 fox
🦝 raccoon
🦄 unicorn
🦌 deer, stag, reindeer
🚗 car, automobile, sedan
🚙 jeep, off-road vehicle
🚕 taxi, cab
🚓 police car, patrol car
🚑 ambulance
🚒 fire engine, fire truck
🚚 truck, lorry, delivery truck
🚜 tractor
🏎 racing car, race car
🏍 motorcycle, motorbike
🛵 scooter, moped
🚲 bicycle, bike, cycle
🛹 skateboard
🚌 bus, school bus
🚐 van, minibus
🚂 steam locomotive, locomotive, steam train, train
✈🛩 airplane, aeroplane, plane, aircraft, jet
🚁 helicopter, chopper
🚀 rocket, spaceship
🛸 flying saucer, ufo
⛵ sailboat, sailing boat, boat, yacht
🚤 speedboat, motorboat
🛶 canoe, kayak
🚢 ship, cruise ship, ocean liner
⚓ anchor
🎈 balloon, red balloon
🪂 parachute
🚦 traffic light, stoplight
🛑 stop sign
⛽ fuel pump, gas pump, petrol pump
{CARRIAGE} carriage, coach, buggy, horse-drawn carriage
🍎 apple, red apple
🍐 pear
🍊 tangerine, mandarin
🍋 lemon
🍌 banana
🍉 watermelon, slice of watermelon
🍇 bunch of grapes
🍓 strawberry
🍒 cherry
🍑 peach
🍍 pineapple
🥝 kiwi fruit, kiwi
🍅 tomato
🍆 eggplant, aubergine
🥑 avocado
🥦 broccoli
🥒 cucumber
🌶 chili pepper, hot pepper
🌽 ear of corn, corn, maize
🥕 carrot
🍄 mushroom, toadstool
🍞 loaf of bread, bread
🥐 croissant
🥖 baguette
🥨 pretzel
🥞 stack of pancakes, pancake
🧀 cheese, piece of cheese
🍗 drumstick, chicken leg
🍔 hamburger, burger, cheeseburger
🍟 french fries, fries
🍕 pizza, slice of pizza
🌭 hot dog, sausage
🌮 taco
🍳 fried egg, frying pan
🥗 salad, bowl of salad
🍿 popcorn, bag of popcorn
🍝 spaghetti, pasta
🍦 ice cream, ice cream cone
🍩 doughnut, donut
🍪 cookie, biscuit
🎂 birthday cake, cake
🧁 cupcake, muffin
🍭 lollipop
🍯 honey pot, pot of honey
☕ cup of coffee, coffee, cup of tea
🍷 glass of wine, wine
🍸 cocktail, martini
🍺 beer, mug of beer
🥤 soft drink, soda
💐 bouquet, bunch of flowers
🌸 cherry blossom, blossom
🌹 rose, red rose
🌺 hibiscus
🌻 sunflower
🌼 daisy, flower
🌷 tulip
🌲 fir tree, pine tree, evergreen tree
🌳 tree, oak tree
🌴 palm tree, palm
🌵 cactus
🍀 clover, four-leaf clover
🍁 maple leaf, autumn leaf
🎄 christmas tree
🌍🌎 globe, earth, planet
🌙 moon, crescent moon
⭐ star, gold star
☀🌞 sun
☁ cloud
🌈 rainbow
⚡ lightning, lightning bolt
❄ snowflake
⛄ snowman
🔥 fire, flame
💧 drop of water, droplet
☂ umbrella
🏠🏡 house, home, cottage
🏰 castle, palace
⛪ church, chapel
🕌 mosque
🗼 tower, radio tower
🗽 statue of liberty
⛲ fountain
⛺ tent, camping tent
🎡 ferris wheel, big wheel
🎪 circus tent, circus
🪑 chair
🛋 sofa, couch
🛏 bed
⚽ soccer ball, football
🏀 basketball
🏈 american football, rugby ball
⚾ baseball
🎾 tennis ball
🏐 volleyball
🎱 billiard ball, eight ball
🥊 boxing glove
🎯 dartboard, target
🏹 bow and arrow
⛸ ice skate
🏆 trophy, golden cup
🎲 die, game die
🎮 game controller, gamepad
🧸 teddy bear, teddy
🪁 kite
🎸 guitar, electric guitar
🎹 piano, musical keyboard
🎺 trumpet
🎻 violin, fiddle
🥁 drum
🎷 saxophone
🎤 microphone
🎧 headphones, pair of headphones
📻 radio
🔔 bell
👕 t-shirt, shirt
👖 jeans, pair of trousers
👗 dress
👔 necktie, tie
🧣 scarf
🧦 pair of socks, socks
👒 straw hat, sun hat
🎩 top hat
👑 crown
👟 sneaker, running shoe
👠 high heel, high-heeled shoe
👢 boot
🎒 backpack, school bag
👓 glasses, pair of glasses, spectacles
🕶 sunglasses, pair of sunglasses
💎 diamond, gem
📱 mobile phone, smartphone, cell phone
☎ telephone, phone
💻 laptop, computer
📷 camera
📺 television, tv
⌚ wristwatch, watch
⏰ alarm clock, clock
💡 light bulb, lamp
🕯 candle
📚 pile of books, stack of books
📖 open book, book
✂ pair of scissors, scissors
🔑 key
🔒 padlock, lock
🔨 hammer
🔧 wrench, spanner
🔬 microscope
🔭 telescope
🛒 shopping cart, shopping trolley
🎁 gift, present
✉ envelope, letter
📦 cardboard box, parcel
🧳 suitcase, piece of luggage
❤ heart, red heart
🎃 pumpkin, jack-o'-lantern
🎨 paint palette, palette
👶 baby, infant
👸 princess
🎅 santa claus, father christmas
🤖 robot
👽 alien
👻 ghost
🧙 wizard
💃 dancer, dancing woman
🚴 cyclist
"""

IRREGULAR = {
    "sheep": "sheep",
    "fish": "fish",
    "deer": "deer",
    "mouse": "mice",
    "wolf": "wolves",
    "ox": "oxen",
    "aircraft": "aircraft",
    "die": "dice",
    "leaf": "leaves",
    "policeman": "policemen",
    "woman": "women",
}
MASS = {
    "bread", "cheese", "bacon", "corn", "maize", "broccoli", "garlic", "popcorn", "sushi",
    "spaghetti", "pasta", "milk", "coffee", "wine", "beer", "soda", "lightning", "fire",
    "french fries", "fries", "headphones", "jeans", "glasses", "sunglasses", "spectacles",
    "scissors", "gloves", "socks", "santa claus", "father christmas", "chocolate", "earth",
}  # named without an article and never counted  # fmt: skip


@dataclass(frozen=True, slots=True)
class Thing:
    """One thing: `index` is its place in `THINGS`; `names[0]` is its usual name."""

    index: int
    glyphs: tuple[str, ...]
    names: tuple[str, ...]


def _parse(index: int, line: str) -> Thing:
    glyphs, names = line.split(" ", 1)
    drawn = (glyphs,) if glyphs == CARRIAGE else tuple(glyphs)
    return Thing(index, drawn, tuple(name.strip() for name in names.split(",")))


THINGS: tuple[Thing, ...] = tuple(_parse(i, line) for i, line in enumerate(TABLE.split("\n")[1:-1]))
BY_NAME: dict[str, Thing] = {name: thing for thing in THINGS for name in thing.names}
assert len(BY_NAME) == sum(len(thing.names) for thing in THINGS), "a name belongs to two things"


def with_article(name: str) -> str:
    """'a dog', 'an airplane', 'bread'."""
    if name in MASS or name.startswith("pair of"):
        return name if name in MASS else f"a {name}"
    if name in {"sun", "moon", "earth", "statue of liberty"}:
        return f"the {name}"
    vowel = name[0] in "aeiou" and not name.startswith(("unicorn", "ufo", "ukulele", "ewe"))
    return f"{'an' if vowel else 'a'} {name}"


def plural(name: str) -> str | None:
    """'dogs', 'slices of cake'; None for what is not counted."""
    if name in MASS:
        return None
    head, of, rest = name.partition(" of ")
    first, space, last = head.rpartition(" ")
    return f"{first}{space}{_plural_word(last)}{of}{rest}"


def _plural_word(word: str) -> str:
    if word in IRREGULAR:
        return IRREGULAR[word]
    if word.endswith(("s", "x", "ch", "sh", "z")) or word in {"potato", "tomato", "mosquito"}:
        return f"{word}es"
    if word.endswith("y") and word[-2] not in "aeiou":
        return f"{word[:-1]}ies"
    return f"{word}s"
