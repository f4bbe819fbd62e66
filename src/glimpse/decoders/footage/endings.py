"""Whether a film ends before it should, by what its container promises. Knows bytes and lengths, and no PyAV.

FFmpeg reads a film that was cut as one that is merely short; who copied half of it would not be told.
"""

from glimpse.decoders.footage.containers import ASF, EBML, MOV, is_mpegts
from glimpse.decoders.footage.reader import Reader

_BOXES = (*MOV, b"ftyp", b"moof", b"mfra", b"sidx", b"uuid", b"meta", b"pdin", b"emsg")
_SEGMENT = b"\x18S\x80g"  # Matroska's second element, which holds the film
_ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")


def ends_early(reader: Reader, head: bytes) -> bool:
    """Whether the container itself says that there should be more; MPEG-PS and MXF do not say."""
    if head.startswith(b"OggS"):
        return _ogg_ends_early(reader.peek(max(reader.size - 0x10000, 0), 0x10000))
    if head.startswith(b"FLV"):
        return _flv_ends_early(reader)
    if is_mpegts(head):
        return reader.size % (188 if head[0] == 0x47 and head[188] == 0x47 else 192) != 0  # noqa: PLR2004  (sync byte)
    return _parts_end_early(reader)


def _parts_end_early(reader: Reader) -> bool:
    """Go from part to part: MP4's boxes, AVI's lists, Matroska's elements, ASF's objects."""
    position = 0
    while position < reader.size:
        length = _length(reader.peek(position, 32))
        if not length:
            return False
        position += length
    return position > reader.size


def _length(head: bytes) -> int:
    """The length of the part that begins so, in bytes; 0 where it is unknown, as of junk after the end."""
    if head[4:8] in _BOXES:
        return _box_length(head)
    if head.startswith(b"RIFF"):
        size = int.from_bytes(head[4:8], "little")
        return 0 if size in {0, 0xFFFFFFFF} else 8 + size
    if head.startswith((EBML, _SEGMENT)):
        return _element_length(head)
    return int.from_bytes(head[16:24], "little") if head.startswith((ASF, _ASF_DATA)) else 0


def _box_length(head: bytes) -> int:
    """MP4: the size, then the name; a size of 1 says that the real one, of 8 bytes, comes behind the name."""
    size = int.from_bytes(head[:4])
    size = int.from_bytes(head[8:16]) if size == 1 else size
    return size if size >= 8 else 0  # noqa: PLR2004  (its own head)


def _element_length(head: bytes) -> int:
    """Matroska: four bytes of name, then the size, whose first bit that is set says how many bytes it takes."""
    width = 9 - head[4].bit_length() if len(head) > 4 else 9  # noqa: PLR2004  (behind the name)
    size = int.from_bytes(head[4 : 4 + width]) & ((1 << 7 * width) - 1)
    return 0 if width > 8 or size == (1 << 7 * width) - 1 else 4 + width + size  # noqa: PLR2004  (bytes at most)


def _ogg_ends_early(tail: bytes) -> bool:
    """The last page must be whole, and marked as the last."""
    page = tail[tail.rfind(b"OggS") :] if b"OggS" in tail else b""
    lengths = page[27 : 27 + page[26]] if len(page) > 26 else b""  # noqa: PLR2004  (a page's head)
    return not lengths or not page[5] & 4 or 27 + len(lengths) + sum(lengths) > len(page)


def _flv_ends_early(reader: Reader) -> bool:
    """Behind every tag stands its length."""
    length = int.from_bytes(reader.peek(reader.size - 4, 4))
    tag = reader.peek(max(reader.size - 4 - length, 0), 4)
    return len(tag) < 4 or tag[0] not in {8, 9, 18} or int.from_bytes(tag[1:]) + 11 != length  # noqa: PLR2004  (a tag's head)
