"""Vectors, or data and a predictor, against each other: similarities, the best matches, and data for ranking.

Nothing is embedded twice, and never more than a block of similarities is in memory.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from glimpse import search
from glimpse.automm import arrays
from glimpse.automm.columns import pandas
from glimpse.errors import UsageError
from glimpse.values import Rows

if TYPE_CHECKING:
    from glimpse.automm.predictor import MultiModalPredictor

BLOCK = 65_536  # responses whose similarities to 128 queries are in memory together: 32 MB
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
    query_chunk_size: int = search.QUERIES,  # noqa: ARG001  (AutoGluon's; memory is bounded without it)
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
        query_chunk_size: taken for AutoGluon's sake; it changes nothing.
        response_chunk_size: how many responses are compared at a time.
        top_k: how many responses are wanted; fewer come back where there are fewer.
        id_mappings: column → {identifier: content}, where the data has identifiers.
        similarity_type: "cosine" or "dot_prod".

    Returns:
        For each query, the best first: `{"response_id": row of the response, "score": similarity}`. Equal ones come in the
        order of their rows; a row of NaN (a picture that was skipped) is never found.

    Raises:
        UsageError: a side is there twice or not at all, or the widths differ.
    """
    if top_k < 1 or response_chunk_size < 1:
        raise UsageError(f"top_k is {top_k} and response_chunk_size {response_chunk_size}: give numbers from 1")
    asked = _embeddings(matcher, "query", query_data, query_embeddings, id_mappings)
    offered = _embeddings(matcher, "response", response_data, response_embeddings, id_mappings)
    queries, responses = _fitting(asked, "query_embeddings", offered, "response_embeddings")
    blocks = _blocks(responses, similarity_type, response_chunk_size)
    places, scores = search.top(_measured(queries, similarity_type), blocks, min(top_k, max(1, len(responses))))
    return [
        [{"response_id": place, "score": score} for place, score in zip(*pair, strict=True) if place != search.NOWHERE]
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
    found = matcher.extract_embedding(data, id_mappings=id_mappings, signature=side)
    if not isinstance(found, Mapping):
        return found
    if len(found) > 1:
        raise UsageError(f"{side}_data has several kinds of embeddings, {', '.join(found)}: leave one column")
    return next(iter(found.values()))


def _fitting(a: Any, name: str, b: Any, other: str) -> tuple[Rows, Rows]:
    left, right = arrays.rows_of(a, name), arrays.rows_of(b, other)
    if left.shape[1] != right.shape[1] and left.size and right.size:
        raise UsageError(f"{name} are {left.shape[1]} wide, {other} {right.shape[1]}: they are of different models")
    return left, right


def _measured(rows: Rows, similarity_type: str) -> Rows:
    if similarity_type not in {"cosine", "dot_prod"}:
        raise UsageError(f"similarity_type is {similarity_type!r}: choose 'cosine' or 'dot_prod'")
    if similarity_type == "dot_prod":
        return rows
    lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows))[:, None]
    return np.asarray(rows / np.maximum(lengths, 1e-12), np.float32)


def _blocks(responses: Rows, similarity_type: str, size: int) -> Iterator[Rows]:
    for start in range(0, len(responses), min(size, BLOCK)):
        yield _measured(responses[start : start + min(size, BLOCK)], similarity_type)
