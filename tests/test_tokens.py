import json

import numpy as np
import pytest

from conftest import GOLDENS
from glimpse import tokens
from glimpse.errors import CheckpointError


@pytest.mark.parametrize("name", GOLDENS)
@pytest.mark.filterwarnings("ignore::glimpse.tokens.TruncationWarning")
def test_ids_equal_the_reference(name, golden):
    reference = golden(name)
    card = reference.card
    assert any(len(ids) == card.context for ids in reference.ids)  # one is too long
    ours = tokens.load(reference.folder, card.context, card.words)
    found = dict.fromkeys(range(len(reference.texts)))
    for places, ids in ours.batches(ours.encode(reference.texts), most=3):
        found |= dict(zip(places, ids.tolist(), strict=True))
    for place, ids in enumerate(reference.ids):
        assert found[place][: len(ids)] == ids
        assert not any(found[place][len(ids) :])


@pytest.mark.filterwarnings("ignore::glimpse.tokens.TruncationWarning")
def test_vocabulary_and_merges_do_as_well_as_tokenizer_json(golden, tmp_path):
    reference = golden("hf-clip-gelu")
    whole = json.loads((reference.folder / "tokenizer.json").read_bytes())["model"]
    (tmp_path / "vocab.json").write_text(json.dumps(whole["vocab"]))
    pairs = [pair if isinstance(pair, str) else " ".join(pair) for pair in whole["merges"]]
    (tmp_path / "merges.txt").write_text("\n".join(["#version: 0.2", *pairs, ""]), "utf-8")
    assert tokens.load(tmp_path, 77).encode(reference.texts) == reference.ids


def test_open_clip_reads_entities_of_web_pages(golden):
    ours = tokens.load(golden("open_clip-vit").folder, 77)
    assert ours.encode(["cats &amp;amp; dogs"]) == ours.encode(["cats & dogs"])


def test_truncation_warns_and_names_the_text(golden):
    reference = golden("hf-clip-gelu")
    long = "a very long story " * 30
    with pytest.warns(tokens.TruncationWarning, match=r"'a very long story .*…' has 122 tokens, the model takes 77"):
        (ids,) = tokens.load(reference.folder, 77).encode([long])
    assert (len(ids), ids[0], ids[-1]) == (77, 49406, 49407)


def test_batches_group_like_lengths_and_lose_nothing():
    encoded = [[1] * length for length in (5, 2, 9, 2, 7)]
    found = {}
    for places, ids in tokens.Tokens(None, 77).batches(encoded, most=2):
        assert ids.dtype == np.int64
        assert len(places) <= 2
        for place, row in zip(places, ids, strict=True):
            found[place] = (int(row.sum()), len(row))
    assert {place: size for place, (size, _) in found.items()} == {0: 5, 1: 2, 2: 9, 3: 2, 4: 7}
    assert found[1][1] == found[3][1] == 2  # the short ones were not padded to the long one


def test_texts_whose_padding_counts_are_padded_to_the_whole_context():
    ours = tokens.Tokens(None, 12, padding="full", pad_id=9)
    ((places, ids),) = ours.batches([[1, 2], [3]], most=5)
    assert sorted(places) == [0, 1]
    assert ids.tolist() == [[3, *[9] * 11], [1, 2, *[9] * 10]]


def test_texts_that_may_not_be_padded_share_a_group_only_with_their_like():
    encoded = [[1] * length for length in (5, 2, 5, 2, 5, 7)]
    groups = [
        (sorted(places), ids.shape) for places, ids in tokens.Tokens(None, 77, padding="none").batches(encoded, 2)
    ]
    assert groups == [([1, 3], (2, 2)), ([0, 2], (2, 5)), ([4], (1, 5)), ([5], (1, 7))]


def test_a_broken_tokenizer_is_named(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(CheckpointError, match="tokenizer files of .* cannot be read"):
        tokens.load(tmp_path, 77)


def test_a_tokenizer_without_start_and_end_is_refused(golden, tmp_path):
    whole = json.loads((golden("hf-clip-gelu").folder / "tokenizer.json").read_bytes())
    (tmp_path / "tokenizer.json").write_text(json.dumps(whole | {"post_processor": None}))
    with pytest.raises(CheckpointError, match="adds no start and end"):
        tokens.load(tmp_path, 77)
