"""Files as lists of parts: PNG's chunks, JPEG's segments, RIFF's chunks, MP4's boxes; and back, with right lengths and checksums.

Nothing fails on damaged bytes: what cannot be understood is the last part, as it is. Knows no meaning of any part.
"""

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8"
INNER = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"dinf", b"edts", b"udta", b"moof", b"traf", b"mvex")


@dataclass(frozen=True, slots=True)
class Part:
    """A part: its name, what its length counts, and the bytes behind it that no length counts (a JPEG's scan, junk)."""

    kind: bytes
    body: bytes = b""
    rest: bytes = b""


Parts = list[Part]


def split(data: bytes) -> Parts:
    """The parts of a file of any of the four formats; one part where it is of none."""
    if data.startswith(PNG):
        return split_png(data)
    if data.startswith(JPEG):
        return split_jpeg(data)
    if data.startswith(b"RIFF"):
        return split_riff(data)
    return split_boxes(data) if data[4:8] == b"ftyp" else [Part(b"", b"", data)]


def join(parts: Parts, like: bytes) -> bytes:
    """A file of the same format as another."""
    if like.startswith(PNG):
        return join_png(parts)
    if like.startswith(JPEG):
        return join_jpeg(parts)
    return join_riff(parts, like[8:12]) if like.startswith(b"RIFF") else join_boxes(parts)


def split_png(data: bytes) -> Parts:
    parts, place = [], len(PNG)
    while place + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        if place + 12 + length > len(data):
            break
        parts.append(Part(data[place + 4 : place + 8], data[place + 8 : place + 8 + length]))
        place += 12 + length
    return _with_rest(parts, data[place:])


def join_png(parts: Parts) -> bytes:
    return PNG + b"".join(png_chunk(part.kind, part.body) + part.rest if part.kind else part.rest for part in parts)


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def split_jpeg(data: bytes) -> Parts:
    """Kinds are markers, `ff xx`; an SOS part's rest is its scan."""
    parts, place = [], len(JPEG)
    while place + 2 <= len(data) and data[place] == 0xFF:
        marker, length = data[place : place + 2], int.from_bytes(data[place + 2 : place + 4])
        if marker == b"\xff\xd9" or length < 2:
            break
        start, end = place + 4, place + 2 + length
        place = _scan_end(data, end) if marker == b"\xff\xda" else end
        parts.append(Part(marker, data[start:end], data[end:place]))
    return _with_rest(parts, data[place:])


def _scan_end(data: bytes, place: int) -> int:
    """Where the next marker is that does not belong into a scan."""
    while (place := data.find(b"\xff", place)) >= 0 and place + 1 < len(data):
        if data[place + 1] and not 0xD0 <= data[place + 1] <= 0xD7:
            return place
        place += 2
    return len(data)


def join_jpeg(parts: Parts) -> bytes:
    return JPEG + b"".join(
        part.kind + struct.pack(">H", (len(part.body) + 2) & 0xFFFF) + part.body + part.rest if part.kind else part.rest
        for part in parts
    )


def split_riff(data: bytes) -> Parts:
    parts, place = [], 12
    while place + 8 <= len(data):
        (length,) = struct.unpack_from("<I", data, place + 4)
        if place + 8 + length > len(data):
            break
        parts.append(Part(data[place : place + 4], data[place + 8 : place + 8 + length]))
        place += 8 + length + length % 2
    return _with_rest(parts, data[place:])


def join_riff(parts: Parts, form: bytes) -> bytes:
    body = form + b"".join(riff_chunk(part.kind, part.body) + part.rest if part.kind else part.rest for part in parts)
    return b"RIFF" + struct.pack("<I", len(body) & 0xFFFFFFFF) + body


def riff_chunk(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def split_boxes(data: bytes) -> Parts:
    parts, place = [], 0
    while place + 8 <= len(data):
        length = int.from_bytes(data[place : place + 4])
        if length < 8 or place + length > len(data):
            break
        parts.append(Part(data[place + 4 : place + 8], data[place + 8 : place + length]))
        place += length
    return _with_rest(parts, data[place:])


def join_boxes(parts: Parts) -> bytes:
    return b"".join(box(part.kind, part.body) + part.rest if part.kind else part.rest for part in parts)


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body) + 8) + kind + body


def in_boxes(data: bytes, kind: bytes, change: Callable[[bytes], bytes | None]) -> bytes:
    """Change the body of every box of a kind, at any depth, lengths kept right; None takes it out."""
    made = []
    for part in split_boxes(data):
        body: bytes | None = part.body
        if part.kind in INNER:
            body = in_boxes(part.body, kind, change)
        if part.kind == kind:
            body = change(part.body)
        if body is not None:
            made.append(Part(part.kind, body, part.rest))
    return join_boxes(made)


def _with_rest(parts: Parts, rest: bytes) -> Parts:
    return [*parts, Part(b"", b"", rest)] if rest else parts
