"""bytes → pictures. Each file opens one kind of content; formats are known by what the bytes say, never by a name.

A decoder has one verb, `decode(data) -> Image`, and fails with `BadItem` carrying a stable code and a sentence of our own:
a library's text may hold anything, addresses included. Knows neither models nor where the bytes came from.
"""
