"""A container opened by PyAV, and the one of its streams that is the film.

FFmpeg is given a list of containers and no protocol: a playlist, or a film that names other files, opens nothing. Knows no
frames. PyAV, which is an extra, is imported here, when the first film is opened.
"""

from typing import TYPE_CHECKING

from glimpse.decoders.footage.containers import CONTAINERS
from glimpse.decoders.footage.failures import bad, code_of
from glimpse.decoders.footage.reader import Reader
from glimpse.decoders.image import MAX_PIXELS
from glimpse.errors import BadItem

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

OPTIONS = {"format_whitelist": ",".join(CONTAINERS), "protocol_whitelist": "none"}
_THREADS = 2  # several workers run side by side, and each frame in flight takes memory


def opened(reader: Reader, *, cut: bool) -> "tuple[InputContainer, VideoStream]":
    """The container from its start, and its video stream, ready to be decoded.

    Args:
        reader: the file.
        cut: whether it ends early; what cannot be opened is "truncated" then.

    Raises:
        BadItem: "unsupported-format", "truncated", "corrupt", "bomb", "memory" or "unreadable".
    """
    container = _container(reader, cut=cut)
    try:
        stream = _choose(container, cut=cut)
        _prepare(container, stream)
    except Exception as error:
        container.close()
        raise error if isinstance(error, BadItem) else bad(code_of(error)) from error
    return container, stream


def _container(reader: Reader, *, cut: bool) -> "InputContainer":
    import av  # noqa: PLC0415  (an extra; `recognises` works without it)

    av.logging.set_level(None)
    reader.seek(0)
    try:
        return av.open(reader, "r", options=dict(OPTIONS), metadata_errors="replace")
    except Exception as error:
        code = "truncated" if cut and code_of(error) == "corrupt" else code_of(error)
        raise reader.failure() or bad(code) from error


def _choose(container: "InputContainer", *, cut: bool) -> "VideoStream":
    """The one moving picture that is the default, else the best; covers are not films."""
    videos = [stream for stream in container.streams.video if stream.codec_context is not None]
    films = [stream for stream in videos if not stream.disposition & _disposition("attached_pic")]
    default = [stream for stream in films if stream.disposition & _disposition("default")]
    best = container.streams.best("video")
    if len(default) == 1:
        return default[0]
    chosen = next((stream for stream in films if best is not None and stream.index == best.index), None)
    if not films:  # a film that is cut may have been about to name one
        raise bad("truncated" if cut else "unsupported-format")
    return chosen or films[0]


def _disposition(name: str) -> int:
    from av.stream import Disposition  # noqa: PLC0415  (an extra)

    return int(Disposition[name])


def _prepare(container: "InputContainer", chosen: "VideoStream") -> None:
    """Have FFmpeg leave out all other streams, and refuse frames that are too large."""
    for stream in container.streams:
        if stream.index != chosen.index:
            stream.discard = type(stream.discard).all
    context = chosen.codec_context
    if context.width * context.height > MAX_PIXELS:
        raise bad("bomb")
    context.options = {"max_pixels": str(MAX_PIXELS)}
    context.thread_type = "AUTO"
    context.thread_count = _THREADS
