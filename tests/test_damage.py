"""Deliberate damage to good files, all of it given to one run of real workers among good files: nothing escapes.

The kinds are the tables below: name → what is done to a file. Those of EVERYWHERE are done to all four formats.
"""

import io
import os
import random
import struct
import time
import zlib
from collections.abc import Callable
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from conftest import noise
from fuzz import seeds
from fuzz.parts import Part, Parts, box, in_boxes, join, riff_chunk, split
from glimpse import pixels
from glimpse.decoders.video import Film
from glimpse.sources import folder
from glimpse.values import FAILURE_CODES, Item, PixelRules, Sampling
from glimpse.workers.events import Ending, Frame, Task
from glimpse.workers.pool import Pool
from glimpse.workers.recipe import Recipe

pytest.importorskip("av", reason="footage needs PyAV: pip install 'glimpse-search[video]'")

Damage = Callable[[bytes], bytes]

RULES = PixelRules(32, 32)
LONGEST = 30.0  # seconds of the whole run
PNG, JPEG, WEBP, MP4 = "png", "jpg", "webp", "mp4"

# Words for damage ------------------------------------------------------------------------------------------------------


def over(data: bytes, start: int, new: bytes) -> bytes:
    return data[:start] + new + data[start + len(new) :]


def block(make: Callable[[int], bytes], at: float = 0.5, share: float = 0.1) -> Damage:
    """A tenth of the file is something else."""
    return lambda data: over(data, int(len(data) * at), make(int(len(data) * share)))


def flipped(share: float, seed: int) -> Damage:
    """Bits are flipped in so many of the bytes, in one at least."""

    def damage(data: bytes) -> bytes:
        places = random.Random(seed).sample(range(len(data)), max(1, int(len(data) * share)))
        made = bytearray(data)
        for place in places:
            made[place] ^= 1 << place % 8
        return bytes(made)

    return damage


def raw(mark: bytes, offset: int, new: bytes) -> Damage:
    """Bytes at a distance from the first place of a mark are others; no checksum, no length follows."""

    def damage(data: bytes) -> bytes:
        assert mark in data
        return over(data, data.index(mark) + offset, new)

    return damage


def parts(change: Callable[[Parts], Parts]) -> Damage:
    """Something is done to the parts of the file; lengths and checksums are right again."""
    return lambda data: join(change(split(data)), data)


def without(*kinds: bytes) -> Damage:
    return parts(lambda found: [part for part in found if part.kind not in kinds])


def twice(kind: bytes, times: int = 2) -> Damage:
    return parts(lambda found: [same for part in found for same in [part] * (times if part.kind == kind else 1)])


def added(before: bytes, *new: Part) -> Damage:
    """New parts before the first of a kind."""

    def change(found: Parts) -> Parts:
        place = next(place for place, part in enumerate(found) if part.kind == before)
        return [*found[:place], *new, *found[place:]]

    return parts(change)


def body(kind: bytes, change: Callable[[bytes], bytes]) -> Damage:
    """The bodies of parts of a kind are changed."""
    return parts(lambda found: [Part(p.kind, change(p.body) if p.kind == kind else p.body, p.rest) for p in found])


def field(kind: bytes, offset: int, new: bytes) -> Damage:
    return body(kind, lambda old: over(old, offset, new))


def boxes(kind: bytes, change: Callable[[bytes], bytes | None]) -> Damage:
    return lambda data: in_boxes(data, kind, change)


def number(kind: bytes, offset: int, value: int, width: int = 4) -> Damage:
    """A number in a box of MP4, at any depth."""
    return boxes(kind, lambda old: over(old, offset, value.to_bytes(width)))


def first(*steps: Damage) -> Damage:
    """One damage after the other."""

    def damage(data: bytes) -> bytes:
        for step in steps:
            data = step(data)
        return data

    return damage


def instead(make: Callable[[], bytes]) -> Damage:
    """Another file of the format, made for the purpose."""
    return lambda _data: make()


# Kinds of damage -------------------------------------------------------------------------------------------------------

EVERYWHERE: dict[str, Damage] = {
    **{f"cut at {tenth} tenths": lambda data, tenth=tenth: data[: len(data) * tenth // 10] for tenth in range(1, 10)},
    "last byte missing": lambda data: data[:-1],
    "only the first 16 bytes": lambda data: data[:16],
    "empty": lambda _data: b"",
    "one byte": lambda data: data[:1],
    "one bit flipped": flipped(0, 1),
    "a thousandth flipped": flipped(0.001, 2),
    "a hundredth flipped": flipped(0.01, 3),
    "a tenth flipped": flipped(0.1, 4),
    "half flipped": flipped(0.5, 5),
    "zeros": block(bytes),
    "zeros from the middle on": block(bytes, share=0.5),
    "all zeros": lambda data: bytes(len(data)),
    "ones": block(lambda count: b"\xff" * count),
    "noise": block(random.Random(6).randbytes),
    "all noise": lambda data: random.Random(7).randbytes(len(data)),
    "a block twice": lambda data: data[: len(data) // 2] + data[len(data) // 3 :],
    "a block missing": lambda data: data[: len(data) // 3] + data[len(data) // 2 :],
    "halves swapped": lambda data: data[len(data) // 2 :] + data[: len(data) // 2],
    "backwards": lambda data: data[::-1],
    "each byte twice": lambda data: bytes(value for byte in data for value in (byte, byte)),
    "line ends changed": lambda data: data.replace(b"\n", b"\r\n").replace(b"\0\0", b"\0"),  # as text goes
    "high bits lost": lambda data: bytes(byte & 0x7F for byte in data),
    "as UTF-8": lambda data: data.decode("latin-1").encode(),
    "wrong magic": lambda data: over(data, 0, b"XXXXXXXX"),
    "magic of a PNG": lambda data: over(data, 0, b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
    "magic of a JPEG": lambda data: over(data, 0, b"\xff\xd8\xff\xe0"),
    "magic of a GIF": lambda data: over(data, 0, b"GIF89a"),
    "magic of a TIFF": lambda data: over(data, 0, b"II*\0\x08\0\0\0"),
    "magic of a film": lambda data: over(data, 0, b"\0\0\0\x18ftypisom"),
    "garbage before": lambda data: random.Random(8).randbytes(100) + data,
    "garbage behind": lambda data: data + random.Random(9).randbytes(100_000),
    "itself behind": lambda data: data + data,
    "a picture behind": lambda data: data + seeds.saved(noise(5), "PNG"),
}


def png_size(width: int, height: int) -> Damage:
    return field(b"IHDR", 0, struct.pack(">II", width, height))


def png_of(ihdr: bytes, idat: bytes, clear: bytes = b"") -> bytes:
    found = [Part(b"IHDR", ihdr), *([Part(b"tRNS", clear)] if clear else []), Part(b"IDAT", idat), Part(b"IEND")]
    return join(found, seeds.saved(noise(0), "PNG"))


def inflating(megabytes: int) -> bytes:
    """A few kilobytes of zlib's that become so many megabytes."""
    return zlib.compress(bytes(megabytes << 20), 9)


PNG_KINDS: dict[str, Damage] = {
    "huge size": png_size(100_000, 100_000),
    "largest size": png_size(2**31 - 1, 2**31 - 1),
    "size above the ceiling": png_size(14_000, 14_000),
    "negative size": png_size(2**32 - 1, 2**32 - 1),
    "zero width": png_size(0, 50),
    "zero size": png_size(0, 0),
    "larger than its data": png_size(5000, 5000),
    "very wide": png_size(2**31 - 1, 1),
    "17 bits": field(b"IHDR", 8, b"\x11"),
    "colour type 5": field(b"IHDR", 9, b"\x05"),
    "colours as a palette": field(b"IHDR", 9, b"\x03"),
    "compression 9": field(b"IHDR", 10, b"\x09"),
    "filter 9": field(b"IHDR", 11, b"\x09"),
    "interlaced, it says": field(b"IHDR", 12, b"\x01"),
    "interlace 9": field(b"IHDR", 12, b"\x09"),
    "short IHDR": body(b"IHDR", lambda old: old[:9]),
    "wrong checksum of IHDR": raw(b"IHDR", 17, b"\0\0\0\0"),
    "wrong checksum of IDAT": lambda data: over(data, len(data) - 16, b"\0\0\0\0"),
    "huge chunk": raw(b"IDAT", -4, b"\x7f\xff\xff\xff"),
    "negative chunk": raw(b"IDAT", -4, b"\xff\xff\xff\xff"),
    "empty chunk": raw(b"IDAT", -4, b"\0\0\0\0"),
    "no IHDR": without(b"IHDR"),
    "no IDAT": without(b"IDAT"),
    "no IEND": without(b"IEND"),
    "IHDR twice": twice(b"IHDR"),
    "IDAT twice": twice(b"IDAT"),
    "IDAT of noise": body(b"IDAT", lambda old: random.Random(1).randbytes(len(old))),
    "IDAT too short": body(b"IDAT", lambda old: zlib.compress(zlib.decompress(old)[:-500])),
    "IDAT too long": body(b"IDAT", lambda old: zlib.compress(zlib.decompress(old) * 3)),
    "IDAT that inflates": body(b"IDAT", lambda _old: inflating(256)),
    "zTXt that inflates": added(b"IDAT", Part(b"zTXt", b"Comment\0\0" + inflating(256))),
    "iTXt that inflates": added(b"IDAT", Part(b"iTXt", b"Comment\0\1\0\0\0" + inflating(256))),
    "iCCP that inflates": added(b"IDAT", Part(b"iCCP", b"profile\0\0" + inflating(256))),
    "iCCP of noise": added(b"IDAT", Part(b"iCCP", b"profile\0\0" + zlib.compress(random.Random(2).randbytes(3000)))),
    "ten thousand texts": added(b"IDAT", *[Part(b"tEXt", b"Comment\0" + b"x" * 8)] * 10_000),
    "unknown chunks": added(b"IDAT", *[Part(b"quUx", b"?" * 100)] * 1000),
    "a critical chunk that nobody knows": added(b"IDAT", Part(b"QUUX", b"?" * 100)),
    "palette missing": instead(
        lambda: png_of(struct.pack(">IIBBBBB", 32, 32, 8, 3, 0, 0, 0), zlib.compress(b"\0" + b"\xfe" * 32) * 32)
    ),
    "palette short": first(
        instead(lambda: seeds.saved(noise(0).convert("P"), "PNG")), body(b"PLTE", lambda old: old[:10])
    ),
    "palette missing, one colour transparent": instead(
        lambda: png_of(struct.pack(">IIBBBBB", 32, 32, 8, 3, 0, 0, 0), zlib.compress(b"\0" * 33 * 32), b"\0")
    ),
    "transparency short": added(b"IDAT", Part(b"tRNS", b"\0")),
    "APNG of more frames": added(b"IDAT", Part(b"acTL", struct.pack(">II", 2**31 - 1, 0))),
    "APNG of no frames": added(b"IDAT", Part(b"acTL", struct.pack(">II", 0, 0))),
    "APNG frame outside": added(
        b"IDAT",
        Part(b"acTL", struct.pack(">II", 1, 0)),
        Part(b"fcTL", struct.pack(">5I2H2B", 0, 9999, 9999, 9, 9, 1, 1, 0, 0)),
    ),
    "EXIF of noise": added(b"IDAT", Part(b"eXIf", random.Random(3).randbytes(200))),
}


def tiff(entries: list[tuple[int, int, int, int]], following: int = 0) -> bytes:
    """EXIF: tag, kind, count, value or place; where the next list is."""
    packed = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + packed + struct.pack("<I", following)


def exif(*entries: tuple[int, int, int, int], following: int = 0) -> Damage:
    return added(b"\xff\xdb", Part(b"\xff\xe1", tiff(list(entries), following)))


def progressive() -> bytes:
    return seeds.saved(noise(0), "JPEG", progressive=True)


def scans(times: int) -> Callable[[], bytes]:
    """A progressive JPEG whose last scan comes so often."""

    def make() -> bytes:
        found = split(progressive())
        last = max(place for place, part in enumerate(found) if part.kind == b"\xff\xda")
        return join([*found[:last], *[found[last]] * times, *found[last + 1 :]], progressive())

    return make


def jpeg_size(width: int, height: int) -> Damage:
    return field(b"\xff\xc0", 1, struct.pack(">HH", height, width))


JPEG_KINDS: dict[str, Damage] = {
    "huge size": jpeg_size(65_500, 65_500),
    "size above the ceiling": jpeg_size(14_000, 14_000),
    "larger than its data": jpeg_size(1000, 1000),
    "zero width": jpeg_size(0, 50),
    "zero height": jpeg_size(70, 0),
    "zero size": jpeg_size(0, 0),
    "12 bits": field(b"\xff\xc0", 0, b"\x0c"),
    "no components": field(b"\xff\xc0", 5, b"\0"),
    "200 components": field(b"\xff\xc0", 5, b"\xc8"),
    "sampling of zero": field(b"\xff\xc0", 7, b"\0"),
    "sampling of 15": field(b"\xff\xc0", 7, b"\xff"),
    "table that is not there": field(b"\xff\xc0", 8, b"\x03"),
    "huge segment": raw(b"\xff\xdb", 2, b"\xff\xff"),
    "empty segment": raw(b"\xff\xdb", 2, b"\0\2"),
    "negative segment": raw(b"\xff\xdb", 2, b"\0\0"),
    "huge SOF": raw(b"\xff\xc0", 2, b"\xff\xff"),
    "no SOF": without(b"\xff\xc0"),
    "no DHT": without(b"\xff\xc4"),
    "no DQT": without(b"\xff\xdb"),
    "no SOS": without(b"\xff\xda"),
    "no EOI": lambda data: data[:-2],
    "SOF twice": twice(b"\xff\xc0"),
    "SOS twice": twice(b"\xff\xda"),
    "SOI a thousand times": lambda data: data[:2] * 1000 + data,
    "DHT of ones": body(b"\xff\xc4", lambda old: old[:1] + b"\xff" * (len(old) - 1)),
    "DHT of zeros": body(b"\xff\xc4", lambda old: old[:1] + bytes(len(old) - 1)),
    "DQT of zeros": body(b"\xff\xdb", lambda old: old[:1] + bytes(len(old) - 1)),
    "restart markers announced": added(b"\xff\xda", Part(b"\xff\xdd", b"\0\1")),
    "a storm of restart markers": parts(
        lambda found: [
            Part(
                p.kind,
                p.body,
                b"".join(b"\xff" + bytes([0xD0 + n % 8]) for n in range(50_000)) + p.rest if p.rest else b"",
            )
            for p in found
        ]
    ),
    "a scan of ones": parts(
        lambda found: [Part(p.kind, p.body, b"\xff\0" * 5000 if p.kind == b"\xff\xda" else p.rest) for p in found]
    ),
    "thousands of scans": instead(scans(5000)),
    "progressive, its scans in disorder": first(instead(progressive), parts(lambda found: found[:5] + found[:4:-1])),
    "baseline that says progressive": raw(b"\xff\xc0", 0, b"\xff\xc2"),
    "arithmetic coding, it says": raw(b"\xff\xc0", 0, b"\xff\xc9"),
    "EXIF that loops": exif((0x112, 3, 1, 6), following=8),
    "EXIF inside itself": exif((0x8769, 4, 1, 8), (0x8825, 4, 1, 8), (0xA005, 4, 1, 8)),
    "EXIF outside": exif((0x8769, 4, 1, 2**32 - 1), (0x10E, 2, 2**32 - 1, 2**31), following=2**31),
    "orientation 65535": exif((0x112, 3, 1, 65_535)),
    "orientation as text": exif((0x112, 2, 4, 0x41414141)),
    "orientation as a thousand numbers": exif((0x112, 4, 1000, 8)),
    "60,000 EXIF entries": added(b"\xff\xdb", Part(b"\xff\xe1", tiff([(0x112, 3, 1, 6)])[:14] + b"\xff\xff" * 30_000)),
    "ICC profile in pieces that are not there": added(
        b"\xff\xdb", Part(b"\xff\xe2", b"ICC_PROFILE\0\x01\xff" + b"x" * 200)
    ),
    "ICC profile of noise": added(
        b"\xff\xdb", Part(b"\xff\xe2", b"ICC_PROFILE\0\x01\x01" + random.Random(4).randbytes(400))
    ),
    "MPO that points outside": added(
        b"\xff\xdb",
        Part(
            b"\xff\xe2",
            b"MPF\0II*\0\x08\0\0\0\x02\0\x01\xb0\x07\0\x04\0\0\x000100\x01\xb0\x04\0\x01\0\0\0\xff\xff\xff\xff",
        ),
    ),
    "ten thousand comments": added(b"\xff\xdb", *[Part(b"\xff\xfe", b"?")] * 10_000),
}


def uint24(value: int) -> bytes:
    return value.to_bytes(3, "little")


def lossless() -> bytes:
    return seeds.saved(noise(0), "WEBP", lossless=True)


def animated() -> bytes:
    return seeds.saved(noise(0), "WEBP", save_all=True, append_images=[noise(1), noise(2)])


def riff_of(chunk: bytes, form: bytes = b"WEBP") -> bytes:
    return b"RIFF" + struct.pack("<I", len(chunk) + 4) + form + chunk


WEBP_KINDS: dict[str, Damage] = {
    "huge size": field(b"VP8 ", 6, b"\xff\x3f\xff\x3f"),
    "zero size": field(b"VP8 ", 6, b"\0\0\0\0"),
    "larger than its data": field(b"VP8 ", 6, struct.pack("<HH", 1000, 1000)),
    "start code wrong": field(b"VP8 ", 3, b"\0\0\0"),
    "huge first partition": field(b"VP8 ", 0, b"\xff\xff\xff"),
    "huge size, lossless": first(instead(lossless), field(b"VP8L", 1, b"\xff\xff\xff\x0f")),
    "larger than its data, lossless": first(instead(lossless), field(b"VP8L", 1, struct.pack("<I", 999 | 999 << 14))),
    "version 7, lossless": first(instead(lossless), field(b"VP8L", 4, b"\xf0")),
    "lossless of noise": first(
        instead(lossless), body(b"VP8L", lambda old: old[:5] + random.Random(5).randbytes(len(old) - 5))
    ),
    "huge canvas": first(instead(animated), field(b"VP8X", 4, uint24(2**24 - 1) * 2)),
    "canvas above the ceiling": first(instead(animated), field(b"VP8X", 4, uint24(13_999) * 2)),
    "tiny canvas": first(instead(animated), field(b"VP8X", 4, uint24(0) * 2)),
    "frame outside": first(instead(animated), field(b"ANMF", 0, uint24(2**24 - 1) * 2)),
    "frame of another size": first(instead(animated), field(b"ANMF", 6, uint24(4000) * 2)),
    "no ANIM": first(instead(animated), without(b"ANIM")),
    "no frames": first(instead(animated), without(b"ANMF")),
    "a thousand frames": first(instead(animated), twice(b"ANMF", 334)),
    "all flags": first(instead(animated), field(b"VP8X", 0, b"\xff")),
    "alpha missing": lambda data: riff_of(riff_chunk(b"VP8X", b"\x10\0\0\0" + uint24(69) + uint24(49)) + data[12:]),
    "alpha of noise": lambda data: riff_of(
        riff_chunk(b"VP8X", b"\x10\0\0\0" + uint24(69) + uint24(49))
        + riff_chunk(b"ALPH", b"\x01" + bytes(range(99)))
        + data[12:]
    ),
    "ICC profile of noise": lambda data: riff_of(
        riff_chunk(b"VP8X", b"\x20\0\0\0" + uint24(69) + uint24(49))
        + riff_chunk(b"ICCP", bytes(range(200)))
        + data[12:]
    ),
    "huge RIFF": raw(b"RIFF", 4, b"\xff\xff\xff\xff"),
    "empty RIFF": raw(b"RIFF", 4, b"\0\0\0\0"),
    "huge chunk": raw(b"VP8 ", 4, b"\xff\xff\xff\xff"),
    "empty chunk": raw(b"VP8 ", 4, b"\0\0\0\0"),
    "no picture": without(b"VP8 "),
    "picture twice": twice(b"VP8 "),
    "other form": raw(b"RIFF", 8, b"WAVE"),
    "film's form": raw(b"RIFF", 8, b"AVI "),
}

# Behind a box's version and flags: stsd has a count, a length and a name before an entry; the others have a count, then entries.
MP4_KINDS: dict[str, Damage] = {
    "huge shown size": number(b"tkhd", 76, 2**64 - 1, 8),
    "huge coded size": number(b"stsd", 40, 2**32 - 1),
    "huge coded size, which nothing corrects": first(
        instead(lambda: seeds.film("mov", "rawvideo", frames=2)), number(b"stsd", 40, 2**32 - 1)
    ),
    "size above the ceiling": first(
        instead(lambda: seeds.film("mov", "rawvideo", frames=2)), number(b"stsd", 40, 14_000 << 16 | 14_000)
    ),
    "zero coded size": number(b"stsd", 40, 0),
    "unknown codec": number(b"stsd", 12, int.from_bytes(b"quux")),
    "another codec": number(b"stsd", 12, int.from_bytes(b"hvc1")),
    "codec of stills": number(b"stsd", 12, int.from_bytes(b"jpeg")),
    "huge sample entry": number(b"stsd", 8, 2**31 - 1),
    "a million sample entries": number(b"stsd", 4, 10**6),
    "avcC of noise": boxes(b"stsd", lambda old: over(old, 102, random.Random(6).randbytes(40))),
    "no moov": without(b"moov"),
    "no mdat": without(b"mdat"),
    "no ftyp": without(b"ftyp"),
    "moov twice": twice(b"moov"),
    "mdat twice": twice(b"mdat"),
    "mdat of zeros": body(b"mdat", lambda old: bytes(len(old))),
    "mdat of noise": body(b"mdat", lambda old: random.Random(7).randbytes(len(old))),
    "empty moov": body(b"moov", lambda _old: b""),
    "moov in moov": body(b"moov", lambda old: b"".join([box(b"moov", old)] * 3)),
    "a thousand boxes deep": body(b"moov", lambda old: _deep(old, 1000)),
    "no trak": boxes(b"trak", lambda _old: None),
    "a thousand tracks": body(b"moov", lambda old: old + old[old.index(b"trak") - 4 :] * 200),
    "no stsd": boxes(b"stsd", lambda _old: None),
    "no stsz": boxes(b"stsz", lambda _old: None),
    "no stco": boxes(b"stco", lambda _old: None),
    "no stts": boxes(b"stts", lambda _old: None),
    "huge box": raw(b"moov", -4, b"\x7f\xff\xff\xff"),
    "negative box": raw(b"moov", -4, b"\xff\xff\xff\xff"),
    "box of no bytes": raw(b"moov", -4, b"\0\0\0\4"),
    "box to the end": raw(b"mdat", -4, b"\0\0\0\0"),
    "huge 64-bit box": raw(b"mdat", -4, b"\0\0\0\1" + b"mdat" + b"\x7f" + b"\xff" * 7),
    "zero 64-bit box": raw(b"mdat", -4, b"\0\0\0\1" + b"mdat" + b"\0" * 8),
    "places outside": boxes(b"stco", lambda old: old[:8] + b"\xff" * (len(old) - 8)),
    "four thousand million places": number(b"stco", 4, 2**32 - 1),
    "no places": number(b"stco", 4, 0),
    "huge sizes": boxes(b"stsz", lambda old: old[:12] + b"\x7f\xff\xff\xff" * ((len(old) - 12) // 4)),
    "one huge size for all": number(b"stsz", 4, 2**31 - 1),
    "four thousand million sizes": number(b"stsz", 8, 2**32 - 1),
    "sizes of zero": boxes(b"stsz", lambda old: old[:12] + bytes(len(old) - 12)),
    "four thousand million times": number(b"stts", 4, 2**32 - 1),
    "a frame that stays for ever": number(b"stts", 12, 2**32 - 1),
    "frames that take no time": number(b"stts", 12, 0),
    "two thousand million frames": number(b"stts", 8, 2**31 - 1),
    "chunks of no frames": number(b"stsc", 12, 0),
    "chunks of all frames": number(b"stsc", 12, 2**31 - 1),
    "keyframes that are not there": boxes(b"stss", lambda old: old[:8] + b"\xff" * (len(old) - 8)),
    "offsets of time, huge": boxes(b"ctts", lambda old: old[:8] + b"\x7f\xff\xff\xff" * ((len(old) - 8) // 4)),
    "zero time scale": number(b"mdhd", 12, 0),
    "time scale of one": number(b"mdhd", 12, 1),
    "huge time scale": number(b"mdhd", 12, 2**32 - 1),
    "huge duration": first(number(b"mdhd", 16, 2**32 - 1), number(b"mvhd", 16, 2**32 - 1)),
    "edits outside": number(b"elst", 12, 2**31 - 1),
    "edits of no speed": number(b"elst", 16, 0),
    "a million edits": number(b"elst", 4, 10**6),
    "a matrix of zeros": boxes(b"tkhd", lambda old: over(old, 40, bytes(36))),
    "a file elsewhere": boxes(
        b"dref", lambda old: old[:8] + box(b"url ", b"\0\0\0\0http://localhost/x\0") + box(b"alis", b"/etc/passwd")
    ),
    "brand of a HEIC": raw(b"ftyp", 4, b"heic"),
    "brand of an AVIF": raw(b"ftyp", 4, b"avif"),
    "no keyframe in front": body(b"mdat", lambda old: over(old, 1000, bytes(800))),
}


def _deep(inner: bytes, levels: int) -> bytes:
    for _ in range(levels):
        inner = box(b"moov", inner)
    return inner


OWN = {PNG: PNG_KINDS, JPEG: JPEG_KINDS, WEBP: WEBP_KINDS, MP4: MP4_KINDS}

# What must come of them ------------------------------------------------------------------------------------------------

FINE = ""  # pixels


def each(code: str, *kinds: str) -> dict[str, set[str]]:
    return {kind: {code} for kind in kinds}


PLAIN: dict[str, set[str]] = {  # what leaves no doubt, whatever the format
    **{f"cut at {tenth} tenths": {"truncated"} for tenth in range(1, 10)},
    "empty": {"empty"},
    "one byte": {"unsupported-format"},
    "all zeros": {"unsupported-format"},
    "all noise": {"unsupported-format"},
    "backwards": {"unsupported-format"},
    "wrong magic": {"unsupported-format"},
    "magic of a TIFF": {"unsupported-format"},
    "garbage before": {"unsupported-format"},
    "garbage behind": {FINE},
    "itself behind": {FINE},
    "a picture behind": {FINE},
    "size above the ceiling": {"bomb"},
}
PLAIN_OF: dict[str, dict[str, set[str]]] = {
    PNG: {
        **each("bomb", "huge size", "largest size", "negative size", "very wide"),
        **each("unsupported-format", "17 bits", "colour type 5", "no IHDR", "zero size", "zero width"),
        **each("corrupt", "no IDAT", "IDAT of noise", "zTXt that inflates", "iTXt that inflates"),
        **each("truncated", "larger than its data", "IDAT too short"),
        **each(FINE, "IDAT that inflates", "no IEND", "unknown chunks", "ten thousand texts", "EXIF of noise"),
    },
    JPEG: {
        **each("bomb", "huge size"),
        **each("unsupported-format", "zero size", "12 bits", "no components", "200 components", "no SOF"),
        **each("corrupt", "no SOS", "no DQT", "DHT of ones", "sampling of zero", "SOF twice"),
        **each("truncated", "no EOI", "huge segment"),
        **each(FINE, "thousands of scans", "a storm of restart markers", "ten thousand comments"),
        **each(FINE, *[name for name in JPEG_KINDS if "EXIF" in name or "orientation" in name]),
    },
    WEBP: {
        # libwebp says only that it cannot
        **{f"cut at {tenth} tenths": {"truncated", "corrupt"} for tenth in range(1, 10)},
        **each("bomb", "huge canvas", "canvas above the ceiling"),
        **each("unsupported-format", "no picture", "other form"),
        **each("corrupt", "zero size", "start code wrong", "lossless of noise", "no frames"),
    },
    MP4: {
        "huge coded size, which nothing corrects": {"bomb", "corrupt"},  # FFmpeg forgets what is beyond its own ceiling
        **each("unsupported-format", "unknown codec", "empty moov", "no trak", "no stsd", "brand of a HEIC"),
        **each("corrupt", "mdat of zeros", "mdat of noise", "no moov", "no stsz", "no stco", "places outside"),
        **each("truncated", "huge box", "huge 64-bit box", "last byte missing"),
        **each(FINE, "moov twice", "mdat twice", "a thousand tracks", "a file elsewhere", "huge duration"),
        "four thousand million times": {"memory"},
    },
}

DEATHS: dict[str, str] = {}
"""Of which damage a worker may die, and why that is so; none is known today."""


@cache
def good() -> dict[str, bytes]:
    return {
        PNG: seeds.saved(noise(0), "PNG"),
        JPEG: seeds.saved(noise(0), "JPEG"),
        WEBP: seeds.saved(noise(0), "WEBP"),
        MP4: seeds.film("mp4", "libx264", frames=30),
    }


@cache
def damaged() -> dict[str, bytes]:
    """Every damaged file, by its name: "kind.format"."""
    kinds = [(form, data, *kind) for form, data in good().items() for kind in (EVERYWHERE | OWN[form]).items()]
    return {f"{kind}.{form}": damage(data) for form, data, kind, damage in kinds}


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """All of it, given to one pool of workers with the usual limits; good files come between."""
    place = tmp_path_factory.mktemp("damage")
    files, fine = damaged(), good()
    for number_, (name, data) in enumerate(files.items()):
        (place / name).write_bytes(data)
        if number_ % 10 == 0:
            form = list(fine)[number_ // 10 % 4]
            (place / f"{name} good.{form}").write_bytes(fine[form])
    items = [item for item in folder.items(str(place)) if isinstance(item, Item)]
    frames, endings, began = {}, [], time.monotonic()
    with Pool(Recipe(32, RULES), workers=2) as pool:
        for event in pool.run(map(Task, items)):
            if isinstance(event, Frame):
                frames.setdefault(name_of(event), []).append(event)
            elif isinstance(event, Ending):
                endings.append(event)
    codes = {name_of(ending): ending.failure.code if ending.failure else "" for ending in endings}
    return SimpleNamespace(
        items=items, frames=frames, endings=endings, codes=codes, files=files, seconds=time.monotonic() - began
    )


def name_of(event) -> str:
    return os.path.basename(event.item.key)


def test_there_are_fifty_kinds_of_damage_and_each_damages():
    assert all(len(EVERYWHERE | own) >= 50 for own in OWN.values())
    fine = good().values()
    assert {name for name, data in damaged().items() if data in fine} == {"magic of a PNG.png", "magic of a JPEG.jpg"}


def test_every_file_has_one_ending(ran):
    assert sorted(name_of(ending) for ending in ran.endings) == sorted(os.path.basename(item.key) for item in ran.items)
    assert len(ran.codes) == len(ran.items) > 300
    assert ran.seconds < LONGEST


def test_an_ending_is_pixels_or_a_known_failure_in_our_words(ran):
    for ending in ran.endings:
        if ending.failure:
            assert ending.failure.message == FAILURE_CODES[ending.failure.code]
            assert ending.failure.key == ending.item.key
        else:
            assert ran.frames[name_of(ending)]
    assert all(frame.pixels.shape == (32, 32, 3) for frames in ran.frames.values() for frame in frames)


def test_good_files_come_through_as_they_are(ran):
    fine = [name for name in ran.codes if " good." in name]
    assert len(fine) > 30
    expected = {form: expected_pixels(form, data) for form, data in good().items()}
    for name in fine:
        assert ran.codes[name] == ""
        found = [frame.pixels for frame in ran.frames[name]]
        assert np.array_equal(found, expected[name.rsplit(".", 1)[1]])


def expected_pixels(form: str, data: bytes) -> list[np.ndarray]:
    if form != MP4:
        return [pixels.prepare(Image.open(io.BytesIO(data)), RULES)]
    with Film(io.BytesIO(data)) as film:
        return [pixels.prepare(picture, RULES) for _, picture in film.frames(Sampling())]


@pytest.mark.parametrize("form", [PNG, JPEG, WEBP, MP4])
def test_what_leaves_no_doubt_has_its_code(ran, form):
    plain = {kind: codes for kind, codes in (PLAIN | PLAIN_OF[form]).items() if kind in EVERYWHERE | OWN[form]}
    assert set(PLAIN_OF[form]) <= set(plain)
    found = {kind: ran.codes[f"{kind}.{form}"] for kind in plain}
    assert {kind: code for kind, code in found.items() if code not in plain[kind]} == {}


def test_what_comes_before_the_damage_of_a_film_is_kept(ran):
    for kind in ("last byte missing", "huge box", "one bit flipped"):
        assert ran.codes[f"{kind}.mp4"] in {"truncated", "corrupt"}
        assert ran.frames[f"{kind}.mp4"]


def test_no_worker_dies_or_is_stuck(ran):
    died = {name for name, code in ran.codes.items() if code in {"crashed", "timeout"}}
    assert died <= set(DEATHS)
