"""Where items come from. Each file here knows one kind of place and has one verb:

    items(place, ...) -> Iterator[Item]

An item has a full, stable key, what tells whether it changed (size, time), and a way to read its bytes. Sources open
nothing but what they list, and know neither pictures nor collections.
"""
