"""Tensors, without torch: glimpse only ever asks one for what these have, and makes one with `from_numpy`."""

import sys
import types

import numpy as np
import pytest
from automm_goldens import arrays as golden
from automm_goldens import predictor

from glimpse.automm import compute_semantic_similarity, semantic_search
from glimpse.automm.arrays import rows_of
from glimpse.errors import UsageError

try:
    import torch
except ImportError:

    class Tensor:
        """What glimpse uses of torch.Tensor; the class says that it is torch's."""

        __module__ = "torch"

        def __init__(self, array):
            self._array = array

        def numpy(self):
            return self._array

        def float(self):
            return Tensor(self._array.astype(np.float32))

        def detach(self):
            return self

        def cpu(self):
            return self

        @property
        def shape(self):
            return self._array.shape

    torch = types.SimpleNamespace(from_numpy=Tensor, Tensor=Tensor)


@pytest.fixture(autouse=True)
def with_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", torch)


def test_embeddings_as_tensors(golden_pictures, golden):
    paths = [str(path) for path in golden_pictures]
    found = predictor("zero_shot_image_classification", golden("hf-clip-quickgelu").folder).extract_embedding(
        {"image": paths}, as_tensor=True, return_masks=True
    )
    assert [type(one["image"]) for one in found] == [torch.Tensor] * 2
    assert tuple(found[0]["image"].shape) == (6, 48)


def test_tensors_as_embeddings():
    images, texts = golden()["images"], golden()["texts"]
    similar = compute_semantic_similarity(torch.from_numpy(images.astype(np.float64)), texts)
    assert isinstance(similar, torch.Tensor)
    assert np.allclose(similar.numpy(), images @ texts.T, atol=1e-6)
    found = semantic_search(query_embeddings=torch.from_numpy(texts), response_embeddings=torch.from_numpy(images))
    assert found == semantic_search(query_embeddings=texts, response_embeddings=images)


def test_a_dict_of_embeddings_says_what_to_do():
    with pytest.raises(UsageError, match="take one of them"):
        rows_of({"image": [[1, 0]]}, "query_embeddings")
