import numpy as np
import pytest

from lit_genre.inference.similar import similarity


def test_it_is_the_cosine_from_the_mean_of_all() -> None:
    embeddings = np.array([[3, 1], [1, 1], [2, 3], [2, -1]], dtype=np.float32)
    # From the mean (2, 1): (1, 0), (-1, 0), (0, 2), (0, -2).
    assert similarity(embeddings, embeddings[0]) == pytest.approx([1, -1, 0, 0])


def test_a_collection_of_one_kind_is_no_division_by_zero() -> None:
    assert similarity(np.ones((3, 2), dtype=np.float32), np.ones(2, dtype=np.float32)).tolist() == [0, 0, 0]
