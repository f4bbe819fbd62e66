"""How the bundled demo model is made: things → scenes → pictures and captions → training → evaluation.

`things`, `sprites`, `backgrounds`, `scenes`, `captions` and `evaluate` need numpy, Pillow and the
emoji font; `network`, `batches` and `train` need torch as well; `vocabulary` needs tokenizers.
"""
