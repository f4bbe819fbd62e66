"""Which files are films: the containers that are opened, and how their first bytes look.

Knows neither PyAV nor anything behind the head of a file; what is recognised here may still not be a film.
"""

CONTAINERS = ("asf", "avi", "flv", "matroska", "mov", "mpeg", "mpegts", "mxf", "ogg")
"""FFmpeg's names of the containers that are opened."""

HEAD = 4096
"""How many bytes `recognises` wants to see."""

MOV = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"styp")  # boxes that an MP4 or MOV may begin with
EBML = b"\x1aE\xdf\xa3"  # Matroska
ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")

# Brands of ISO files that hold still pictures, or only sound.
_NO_FILM = (
    b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"avif", b"avis", b"mif1", b"mif2", b"msf1", b"miaf",
    b"jxl ", b"jp2 ", b"jpx ", b"crx ", b"M4A ", b"M4B ", b"M4P ", b"F4A ",
)  # fmt: skip
_FLV, _MPEG, _MXF = b"FLV\x01", b"\0\0\1\xba", bytes.fromhex("060e2b34020501010d0102")
_STARTS = (EBML, _FLV, _MPEG, ASF, _MXF)
_OGG_VIDEO = (b"\x80theora", b"OVP80", b"BBCD", b"\x01video")


def recognises(head: bytes) -> bool:
    """Whether a file that begins so may be a film; PyAV is not asked, and need not be there."""
    return head.startswith(_STARTS) or _is_mov(head) or _is_avi(head) or _is_ogg(head) or is_mpegts(head)


def is_mpegts(head: bytes) -> bool:
    """Whether it is MPEG-TS: a sync byte at each packet, of 188 bytes or (Blu-ray) 192."""
    return any(
        len(head) > 4 * step and set(head[start::step]) == {0x47}
        for start, step in ((0, 188), (4, 192))
    )  # fmt: skip


def _is_mov(head: bytes) -> bool:
    return head[4:8] in MOV or (head[4:8] == b"ftyp" and head[8:12] not in _NO_FILM)


def _is_avi(head: bytes) -> bool:
    return head.startswith(b"RIFF") and head[8:12] in {b"AVI ", b"AVI\x19"}


def _is_ogg(head: bytes) -> bool:
    return head.startswith(b"OggS") and any(mark in head for mark in _OGG_VIDEO)  # music is Ogg, too
