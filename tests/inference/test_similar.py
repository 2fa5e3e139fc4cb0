import numpy as np
import pytest

from lit_genre.inference.similar import centered_cosine_similarity


def test_the_cosine_is_relative_to_the_mean_embedding() -> None:
    embeddings = np.array([[3, 1], [1, 1], [2, 3], [2, -1]], dtype=np.float32)
    # From the mean (2, 1): (1, 0), (-1, 0), (0, 2), (0, -2).
    assert centered_cosine_similarity(embeddings, embeddings[0]) == pytest.approx([1, -1, 0, 0])


def test_equal_embeddings_have_similarity_zero() -> None:
    assert centered_cosine_similarity(np.ones((3, 2), dtype=np.float32), np.ones(2, dtype=np.float32)).tolist() == [
        0,
        0,
        0,
    ]
