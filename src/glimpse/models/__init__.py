"""WHAT is computed: the towers of each family, written once, and the checkpoint layouts they are read from.

A family file (`clip.py`) has two pure functions over the words of `glimpse.runtimes.Ops`:

    image_tower(ops, w, card, pixels)    uint8 (n, size, size, 3) → (n, dim) unit rows
    text_tower(ops, w, card, ids)        int64 (n, tokens)        → (n, dim) unit rows

`w` maps canonical names to float32 arrays, and `tower_shapes(card)` says which names and shapes there must be; `formats/`
turns what is on disk into them. No file here knows a runtime.
"""
