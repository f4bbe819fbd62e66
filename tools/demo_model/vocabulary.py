"""The model's own tokenizer: a small lower-casing byte-level BPE, in the `tokenizers` format.

Any text has tokens (bytes at worst). The end mark is the last id of the vocabulary: transformers
reads an end mark of 2 as the sign of an old checkpoint and then pools somewhere else.
"""

from random import Random

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from .captions import caption
from .scenes import sample
from .things import BY_NAME, plural, with_article

SIZE = 1800
START, END = "<|startoftext|>", "<|endoftext|>"
KINDS = ("single", "count", "vertical", "horizontal", "three")


def build(seed: int = 0) -> Tokenizer:
    """Learn the vocabulary from the names and from sample captions; the same one every time."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Lowercase(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=SIZE - 2, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(_corpus(seed), trainer)
    tokenizer.add_special_tokens([START, END])
    ids = [(mark, tokenizer.token_to_id(mark)) for mark in (START, END)]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A {END}", pair=f"{START} $A {END} {START} $B {END}", special_tokens=ids
    )
    return tokenizer


def _corpus(seed: int) -> list[str]:
    rng = Random(seed)
    names = [form for name in BY_NAME for form in (name, with_article(name), plural(name) or name)]
    scenes = (sample(rng, rng.choice(KINDS)) for _ in range(20_000))
    return 20 * names + [caption(scene, rng).text for scene in scenes]
