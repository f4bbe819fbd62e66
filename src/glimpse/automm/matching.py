"""Vectors, or data and a predictor, against each other: similarities, the best matches, and data for ranking.

Nothing is embedded twice, and never more than a block of similarities is in memory.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from glimpse.automm import arrays
from glimpse.automm.columns import pandas, table, with_contents
from glimpse.automm.embedding import only
from glimpse.errors import UsageError
from glimpse.search import ranking
from glimpse.values import Rows

if TYPE_CHECKING:
    from glimpse.automm.predictor import MultiModalPredictor

QUERIES = 1024  # that are compared with the responses at a time
BLOCK = 1 << 23  # similarities that are in memory together: 32 MB
LABEL = "relevance"


def compute_semantic_similarity(a: Any, b: Any, similarity_type: str = "cosine") -> Any:
    """The similarity of each vector in `a` to each in `b`.

    Args:
        a: (n, dim), or one vector (dim,): an array, a list or a tensor.
        b: (m, dim), or one vector (dim,).
        similarity_type: "cosine", or "dot_prod" for the product of vectors as they are.

    Returns:
        float32 (n, m); a tensor where one of the two is a tensor, else an array. A zero vector is similar to none (0).

    Raises:
        UsageError: the shapes do not fit, or there is no such similarity.
    """
    left, right = _fitting(a, "a", b, "b")
    similar = _measured(left, similarity_type) @ _measured(right, similarity_type).T
    return arrays.tensor(similar) if arrays.is_tensor(a) or arrays.is_tensor(b) else similar


def semantic_search(
    matcher: "MultiModalPredictor | None" = None,
    query_data: Any = None,
    response_data: Any = None,
    query_embeddings: Any = None,
    response_embeddings: Any = None,
    query_chunk_size: int = QUERIES,
    response_chunk_size: int = BLOCK,
    top_k: int = 10,
    id_mappings: Mapping[str, Any] | None = None,
    similarity_type: str = "cosine",
) -> list[list[dict[str, Any]]]:
    """The best responses to each query, exactly.

    Args:
        matcher: embeds the data; not needed where both sides are embeddings. A predictor for zero-shot serves as well.
        query_data: what is asked for: a dict, data frame or list, as `extract_embedding` takes it; or `query_embeddings`.
        response_data: what is searched; or `response_embeddings`.
        query_embeddings: float32 (n, dim).
        response_embeddings: float32 (m, dim).
        query_chunk_size: how many queries are compared at a time, at most.
        response_chunk_size: how many responses they are compared with at a time, at most.
        top_k: how many responses are wanted; fewer come back where there are fewer.
        id_mappings: column → {identifier: content}, where the data has identifiers.
        similarity_type: "cosine" or "dot_prod".

    Returns:
        For each query, the best first: `{"response_id": row of the response, "score": similarity}`. Equal ones come in the
        order of their rows; a row of NaN (a picture that was skipped) is never found.

    Raises:
        UsageError: a side is there twice or not at all, or the widths differ.
    """
    numbers = (top_k, query_chunk_size, response_chunk_size)
    if not all(isinstance(number, int) and number >= 1 for number in numbers):
        raise UsageError("top_k, query_chunk_size and response_chunk_size are numbers from 1")
    asked = _embeddings(matcher, "query", query_data, query_embeddings, id_mappings)
    offered = _embeddings(matcher, "response", response_data, response_embeddings, id_mappings)
    queries, responses = _fitting(asked, "query_embeddings", offered, "response_embeddings")
    queries, lengths = _measured(queries, similarity_type), _lengths(responses, similarity_type)
    found: list[list[dict[str, Any]]] = []
    for start in range(0, len(queries), query_chunk_size):
        some = queries[start : start + query_chunk_size]
        blocks = _similarities(some, responses, lengths, min(response_chunk_size, max(1, BLOCK // len(some))))
        found += _hits(*ranking.top(blocks, min(top_k, max(1, len(responses)))))
    return found


def _similarities(queries: Rows, responses: Rows, lengths: Rows, size: int) -> Iterator[Rows]:
    """Similarities of queries to more and more responses: (q, size) at a time."""
    for start in range(0, max(1, len(responses)), size):
        part = slice(start, start + size)
        products = queries @ responses[part].T
        products /= lengths[part]
        yield products


def _hits(places: NDArray[np.int64], scores: Rows) -> list[list[dict[str, Any]]]:
    return [
        [{"response_id": place, "score": score} for place, score in zip(*pair, strict=True) if place != ranking.NOWHERE]
        for pair in zip(places.tolist(), scores.tolist(), strict=True)
    ]


def convert_data_for_ranking(
    data: Any, query_column: str, response_column: str, label_column: str | None = None
) -> tuple[Any, Any, Any, str]:
    """Take pairs apart for `MultiModalPredictor.evaluate`.

    Args:
        data: a data frame or dict of pairs.
        query_column: its column of queries.
        response_column: its column of responses.
        label_column: its column of relevance; where it is None, one called "relevance" is added: each pair belongs together.

    Returns:
        The data with labels, its distinct queries, its distinct responses (data frames of one column each), and the name of
        the column with labels.

    Raises:
        UsageError: there is no such column.
        MissingExtra: pandas is not installed.
    """
    library = pandas("convert_data_for_ranking")
    labelled = library.DataFrame(data).copy()
    wanted = [query_column, response_column, *([] if label_column is None else [label_column])]
    for name in wanted:
        if name not in labelled.columns:
            raise UsageError(f"the data has no column {name!r}: it has {', '.join(map(str, labelled.columns))}")
    if label_column is None:
        labelled[LABEL] = 1
    queries, responses = (
        library.DataFrame({name: labelled[name].unique().tolist()}) for name in (query_column, response_column)
    )
    return labelled, queries, responses, label_column or LABEL


def _embeddings(
    matcher: "MultiModalPredictor | None",
    side: Literal["query", "response"],
    data: Any,
    embeddings: Any,
    id_mappings: Mapping[str, Any] | None,
) -> Any:
    if (data is None) == (embeddings is None):
        raise UsageError(f"give either {side}_data or {side}_embeddings")
    if data is None:
        return embeddings
    if matcher is None:
        raise UsageError(f"{side}_data has to be embedded: give a matcher, a MultiModalPredictor")
    told = getattr(matcher, side)
    given = with_contents(table(data, told[0] if told else side), id_mappings, all_here=False)
    found = matcher.extract_embedding(given, signature=side)
    return only(found, f"{side}_data") if isinstance(found, Mapping) else found


def _fitting(a: Any, name: str, b: Any, other: str) -> tuple[Rows, Rows]:
    left, right = arrays.rows_of(a, name), arrays.rows_of(b, other)
    if left.shape[1] != right.shape[1] and left.size and right.size:
        raise UsageError(f"{name} are {left.shape[1]} wide, {other} {right.shape[1]}: they are of different models")
    return left, right


def _measured(rows: Rows, similarity_type: str) -> Rows:
    """Rows of unit length for cosines, as they are for products."""
    return np.asarray(rows / _lengths(rows, similarity_type)[:, None], np.float32)


def _lengths(rows: Rows, similarity_type: str) -> Rows:
    """What products are to be divided by: (n,)."""
    if similarity_type not in {"cosine", "dot_prod"}:
        raise UsageError(f"similarity_type is {similarity_type!r}: choose 'cosine' or 'dot_prod'")
    if similarity_type == "dot_prod":
        return np.ones(len(rows), np.float32)
    return np.asarray(np.maximum(np.sqrt(np.einsum("nd,nd->n", rows, rows)), 1e-12), np.float32)
