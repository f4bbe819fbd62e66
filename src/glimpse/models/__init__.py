"""WHAT is computed: the towers of each family, written once, and how they are read from the layouts on disk.

A family file (`clip.py`), found by its name, has

    claims(layout, config) -> bool        whether its towers compute what a checkpoint's config describes
    card(source) -> ModelCard             what the checkpoint is
    recipes(source, card) -> {"image": …, "text": …}   how each canonical weight is made of the checkpoint's tensors

and two pure functions over the words of `glimpse.runtimes.Ops`:

    image_tower(ops, w, card, pixels)    uint8 (n, size, size, 3) → (n, dim) unit rows
    text_tower(ops, w, card, ids)        int64 (n, tokens)        → (n, dim) unit rows

`w` maps canonical names to float32 arrays. What families share is in `_transformer.py`; `formats/` knows the layouts. No
file here knows a runtime.
"""
