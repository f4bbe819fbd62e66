"""bytes → pictures. Each file opens one kind of content; formats are known by what the bytes say, never by a name.

    image.py   a picture: `decode(data) -> Image`
    video.py   a film: `Film(file)`, with `frames(sampling)` and `at(time)`; its parts are in `footage/`

Both have `recognises(head)`, and fail with `BadItem` carrying a stable code and a sentence of our own: a library's text may hold
anything, addresses included. Knows neither models nor where the bytes came from.
"""
