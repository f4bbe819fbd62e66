import numpy as np

from glimpse.search.moments import moments


def test_a_moment_lasts_until_the_next_frame_or_the_end():
    times = np.float64([0, 4, 8, 12])
    assert moments(np.float32([0.1, 0.1, 0.1, 0.5]), times, 20.0) == [(12.0, 20.0, 3)]
    assert moments(np.float32([0.5, 0.1, 0.1, 0.1]), times, 20.0) == [(0.0, 4.0, 0)]
    assert moments(np.float32([0.1, 0.1, 0.1, 0.5]), times, -1.0) == [(12.0, 12.0, 3)]


def test_a_film_that_is_the_same_all_through_is_one_moment():
    assert moments(np.float32([0.3, 0.3]), np.float64([0, 5]), 7.0) == [(0.0, 7.0, 0)]
    assert moments(np.float32([0.3]), np.float64([0]), 7.0) == [(0.0, 7.0, 0)]


def test_the_best_moment_comes_first_and_is_shown_by_its_best_frame():
    scores, times = np.float32([0.7, 0.6, 0.1, 0.1, 0.1, 0.1, 0.1, 0.8, 0.9]), np.arange(9.0)
    assert moments(scores, times, 11.0) == [(7.0, 11.0, 8), (0.0, 2.0, 0)]
