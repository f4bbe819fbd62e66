"""Where items come from. Each file here knows one kind of place, is found by its name, and has the same verbs:

    items(place, selection) -> Iterator[Item | Failure]   what there is, in a stable order; what cannot be listed is a Failure
    prefix(place) -> str                                   what all keys begin with that `covers` can be true of
    covers(place, key) -> bool                             whether a key is this place's own, so that one which is no more
                                                           among its items may be asked about by `is_gone`
    region(*where) -> Region | None                        a local file's bytes, which a worker may open by itself
    read(*where) -> bytes                                  all bytes, for those that have no region, or why there are none
    is_gone(*where) -> bool                                whether there is no such thing any more; False where nobody can say

`where` is an item's origin without the source's name; it may change while key, size and time do not. A place is text, as a
person types it. Sources open nothing but what they list, and know neither pictures nor collections. `BadItem` says why something
cannot be read, `UsageError` (raised by `items`, or when the first item is asked for) that a place cannot be right.
"""

import os
import re
from types import ModuleType

from glimpse import registry
from glimpse.values import Origin

_BY_NAME = {
    "archive": re.compile(r"\.(tar(\.(gz|bz2|xz|zst|lz4|z))?|tgz|tbz2?|txz|tzst)$", re.IGNORECASE),
    "table": re.compile(r"\.(parquet|csv|tsv|jsonl|ndjson)$", re.IGNORECASE),
}


def of_place(place: str) -> ModuleType:
    """The source that lists a place: told by how it is written, but that a folder is a folder."""
    if place == "-":
        return registry.find("sources", "lines")
    if is_url(place):
        return registry.find("sources", "remote")
    if not os.path.isdir(os.path.expanduser(place)):  # noqa: PTH111, PTH112  (Path's raise where there is no such user)
        for name, pattern in _BY_NAME.items():
            if pattern.search(place):
                return registry.find("sources", name)
    return registry.find("sources", "folder")


def is_url(place: str) -> bool:
    """Whether something begins as a URL does."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", place) is not None


def of_origin(origin: Origin) -> ModuleType:
    """The source that an item came from."""
    return registry.find("sources", str(origin[0]))
