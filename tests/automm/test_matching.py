import tracemalloc

import numpy as np
import pandas as pd
import pytest
from automm_goldens import arrays, predictor
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import unit
from glimpse.automm import compute_semantic_similarity, convert_data_for_ranking, semantic_search
from glimpse.errors import MissingExtra, UsageError


def rows_of(seed, n, dim=8):
    return np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)


def test_similarity_is_autogluons():
    images, words = arrays()["images"], 3 * arrays()["texts"]
    assert np.abs(compute_semantic_similarity(images, words) - arrays()["similarity"]).max() < 1e-6
    dots = compute_semantic_similarity(images[0], words.tolist(), similarity_type="dot_prod")
    assert np.abs(dots - arrays()["dot"]).max() < 1e-6
    assert compute_semantic_similarity([[0.0, 0.0]], [[1.0, 0.0]]).tolist() == [[0.0]]


@given(st.integers(0, 1000), st.integers(1, 40), st.integers(1, 45), st.integers(1, 50))
@settings(max_examples=60, deadline=None)
def test_search_is_a_full_sort_cut_short_whatever_the_chunks(seed, n, k, chunk):
    responses, queries = rows_of(seed, n), rows_of(seed + 1, 3)
    responses[n // 2] = responses[0]  # a tie: the first comes first
    found = semantic_search(query_embeddings=queries, response_embeddings=responses, top_k=k, response_chunk_size=chunk)
    exact = unit(queries).astype(np.float64) @ unit(responses).astype(np.float64).T
    for hits, expected in zip(found, exact, strict=True):
        places = [hit["response_id"] for hit in hits]
        assert len(places) == min(n, k)
        assert np.allclose([hit["score"] for hit in hits], np.sort(expected)[::-1][:k], atol=1e-6)
        assert np.allclose(expected[places], [hit["score"] for hit in hits], atol=1e-6)
        if {0, n // 2} <= set(places) and n > 1:
            assert places.index(0) < places.index(n // 2)


def test_equal_responses_come_in_the_order_of_their_rows():
    same = np.ones((50, 4), np.float32)
    for chunk in (7, 50):
        found = semantic_search(query_embeddings=same[:1], response_embeddings=same, top_k=9, response_chunk_size=chunk)
        assert [hit["response_id"] for hit in found[0]] == list(range(9))


def test_rows_of_nan_are_never_found():
    responses = rows_of(0, 10)
    responses[3] = np.nan
    queries = rows_of(1, 2)
    queries[1] = np.nan
    found = semantic_search(query_embeddings=queries, response_embeddings=responses, top_k=10)
    assert sorted(hit["response_id"] for hit in found[0]) == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert found[1] == []


def test_a_million_responses_are_searched_block_by_block():
    """Exactly, and with far less memory beside them than the similarities of all."""
    responses = np.random.default_rng(0).standard_normal((1_000_000, 16), np.float32)
    queries = responses[[3, *range(100, 148), 999_999]]
    tracemalloc.start()
    found = semantic_search(query_embeddings=queries, response_embeddings=responses, top_k=5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [hits[0]["response_id"] for hits in found] == [3, *range(100, 148), 999_999]
    assert peak < 100_000_000  # of 200 MB
    cosines = unit(responses) @ unit(queries[:1])[0]
    assert [hit["response_id"] for hit in found[0]] == np.argsort(-cosines)[:5].tolist()


def test_data_is_embedded_once(golden, golden_pictures, monkeypatch):
    matcher = predictor("image_text_similarity", golden("hf-clip-quickgelu").folder)
    calls = []
    embed = type(matcher).extract_embedding
    monkeypatch.setattr(type(matcher), "extract_embedding", lambda *a, **k: calls.append(a) or embed(*a, **k))
    pictures = [str(path) for path in golden_pictures]
    found = semantic_search(matcher, ["a", "b", "c"], pictures, query_chunk_size=1, response_chunk_size=2, top_k=6)
    assert len(calls) == 2
    assert [len(hits) for hits in found] == [6, 6, 6]


def test_a_predictor_for_zero_shot_searches_too(demo):
    from glimpse.demo import EXPECTED, PICTURES

    names = sorted(path.name for path in PICTURES.glob("*.jpg"))
    matcher = predictor("zero_shot_image_classification", "demo")
    found = semantic_search(matcher, list(EXPECTED), {"image": [PICTURES / name for name in names]}, top_k=1)
    assert [names[hits[0]["response_id"]] for hits in found] == list(EXPECTED.values())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"query_embeddings": [[1, 0]]}, "either response_data or response_embeddings"),
        ({"query_embeddings": [[1, 0]], "query_data": ["a"], "response_embeddings": [[1, 0]]}, "either query_data"),
        ({"query_data": ["a"], "response_embeddings": [[1, 0]]}, "give a matcher"),
        ({"query_embeddings": [[1, 0]], "response_embeddings": [[1, 0, 0]]}, "different models"),
        ({"query_embeddings": "ab", "response_embeddings": [[1, 0]]}, "no vectors"),
        ({"query_embeddings": np.zeros((1, 2, 2)), "response_embeddings": [[1, 0]]}, r"\(n, dim\)"),
        ({"query_embeddings": [[1, 0]], "response_embeddings": [[1, 0]], "top_k": 0}, "from 1"),
        ({"query_embeddings": [[1, 0]], "response_embeddings": [[1, 0]], "similarity_type": "l2"}, "'cosine'"),
    ],
)
def test_wrong_questions(arguments, sentence):
    with pytest.raises(UsageError, match=sentence):
        semantic_search(**arguments)


def test_data_for_ranking():
    pairs = pd.DataFrame({"q": ["a", "a", "b"], "r": ["x", "y", "x"], "grade": [1, 0, 2]})
    labelled, queries, responses, label = convert_data_for_ranking(pairs, "q", "r")
    assert label == "relevance"
    assert labelled["relevance"].tolist() == [1, 1, 1]
    assert "relevance" not in pairs
    assert queries["q"].tolist() == ["a", "b"]
    assert responses["r"].tolist() == ["x", "y"]
    assert convert_data_for_ranking(dict(pairs), "q", "r", "grade")[3] == "grade"
    with pytest.raises(UsageError, match="no column 's'"):
        convert_data_for_ranking(pairs, "q", "s")


def test_data_for_ranking_takes_pandas(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(MissingExtra, match=r"glimpse-search\[automm\]"):
        convert_data_for_ranking({"q": [], "r": []}, "q", "r")
