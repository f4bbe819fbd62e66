"""A file → a damaged file: bytes changed anywhere, and parts changed, moved and mixed so that lengths and checksums stay right.

The latter get past the checks at a decoder's door. Everything is of the numbers that a `Random` gives, so that a seed repeats it.
"""

from collections.abc import Callable, Sequence
from random import Random

from fuzz.parts import INNER, Part, Parts, join, join_boxes, split, split_boxes

Mutate = Callable[[bytes], bytes]

MAGIC = (
    b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"RIFF", b"WEBPVP8 ", b"WEBPVP8L", b"WEBPVP8X", b"GIF87a", b"GIF89a", b"BM",
    b"II*\0", b"MM\0*", b"II+\0", b"DDS ", b"\x01\xda", b"\0\0\x01\0", b"\0\0\x02\0", b"\x0a\x05\x01\x08", b"P6", b"P5", b"qoif",
    b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51", b"TRUEVISION-XFILE.", b"Exif\0\0", b"ICC_PROFILE\0", b"ftypavif",
    b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"acTL", b"fcTL", b"fdAT", b"iCCP", b"zTXt", b"iTXt", b"eXIf",
    b"VP8X", b"ANIM", b"ANMF", b"ALPH", b"\x9d\x01\x2a", b"\xff\xc0", b"\xff\xc2", b"\xff\xc4", b"\xff\xda", b"\xff\xdb", b"\xff\xdd",
    b"ftypisom", b"moov", b"mdat", b"moof", b"traf", b"trun", b"trak", b"stsd", b"stsz", b"stsc", b"stco", b"co64", b"stts",
    b"ctts", b"stss", b"elst", b"avc1", b"avcC", b"mp4v", b"esds", b"hvc1", b"\x1aE\xdf\xa3", b"\x18S\x80g", b"\x1f\x43\xb6\x75",
    b"AVI LIST", b"hdrl", b"strf", b"movi", b"idx1", b"FLV\x01", b"OggS", b"\0\0\x01\xba", b"\0\0\x01\xb3", b"\x47\x40\0\x10",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", b"\x06\x0e\x2b\x34",
)  # fmt: skip
"""What files and their parts begin with: the dictionary."""

ODD = (
    0,
    1,
    2,
    3,
    7,
    8,
    15,
    16,
    17,
    127,
    128,
    255,
    256,
    4096,
    13_377,
    32_767,
    32_768,
    65_535,
    2**24,
    2**31 - 1,
    2**31,
    2**32 - 1,
)
"""Numbers at which decoders stumble."""


def damaged(data: bytes, random: Random, others: Sequence[bytes], largest: int) -> bytes:
    """One to four changes by this module alone."""
    for _ in range(random.randint(1, 4)):
        change = random.choice(BYTES) if random.random() < 0.5 else in_parts
        data = change(data, random, others)[:largest]
    return data


def in_parts(data: bytes, random: Random, others: Sequence[bytes], mutate: Mutate | None = None) -> bytes:
    """Change one part, or the order of parts; lengths and checksums are made right again."""
    parts = split(data)
    if not parts:
        return data
    return join(_changed(parts, random, others, mutate), data)


def _changed(parts: Parts, random: Random, others: Sequence[bytes], mutate: Mutate | None) -> Parts:
    """One change to a list of parts, or to one within a part."""
    place = random.randrange(len(parts))
    part = parts[place]
    if part.kind in INNER and random.random() < 0.9 and (inner := split_boxes(part.body)):
        part = Part(part.kind, join_boxes(_changed(inner, random, others, mutate)), part.rest)
        return [*parts[:place], part, *parts[place + 1 :]]
    moves: list[Callable[[], Parts]] = [
        lambda: parts[:place] + parts[place + 1 :],
        lambda: parts[: place + 1] * random.choice((1, 1, 1, 50)) + parts[place:],
        lambda: random.sample(parts, len(parts)),
        lambda: [*parts[:place], *split(random.choice(others))[:8], *parts[place:]],
    ]
    change = mutate or (lambda body: random.choice(BYTES)(body, random, others))
    within = [lambda: [*parts[:place], _within(part, random, change), *parts[place + 1 :]]] * len(moves)
    return random.choice([*moves, *within])()


def _within(part: Part, random: Random, change: Mutate) -> Part:
    if part.rest and random.random() < 0.5:
        return Part(part.kind, part.body, change(part.rest))
    return Part(part.kind, change(part.body), part.rest)


# Changes anywhere -----------------------------------------------------------------------------------------------------


def _flip(data: bytes, random: Random, _: Sequence[bytes]) -> bytes:
    made = bytearray(data)
    for _time in range(random.choice((1, 1, 2, 8, 64)) if made else 0):
        made[random.randrange(len(made))] ^= 1 << random.randrange(8)
    return bytes(made)


def _number(data: bytes, random: Random, _: Sequence[bytes]) -> bytes:
    width, order = random.choice((1, 2, 4, 8)), random.choice(("big", "little"))
    place = random.randrange(len(data) + 1)
    return data[:place] + (random.choice(ODD) % 256**width).to_bytes(width, order) + data[place + width :]


def _magic(data: bytes, random: Random, _: Sequence[bytes]) -> bytes:
    place, word = random.randrange(len(data) + 1), random.choice(MAGIC)
    return data[:place] + word + data[place + random.choice((0, len(word))) :]


def _cut(data: bytes, random: Random, _: Sequence[bytes]) -> bytes:
    start, end = sorted(random.randrange(len(data) + 1) for _ in range(2))
    return random.choice((data[:end], data[:start] + data[end:], data[:end] + data[start:]))


def _noise(data: bytes, random: Random, _: Sequence[bytes]) -> bytes:
    place, length = random.randrange(len(data) + 1), random.choice((1, 4, 16, 200))
    block = random.choice((random.randbytes(length), b"\0" * length, b"\xff" * length))
    return data[:place] + block + data[place + length :]


def _splice(data: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    other = random.choice(others)
    return data[: random.randrange(len(data) + 1)] + other[random.randrange(len(other) + 1) :]


BYTES = (_flip, _flip, _number, _number, _magic, _cut, _noise, _splice)
