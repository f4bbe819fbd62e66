from dataclasses import replace

import pytest

from glimpse.search.files import Manifest
from glimpse.search.fitting import grown
from glimpse.search.recall import WIDEST, Reach

KEPT = Manifest(
    1, "ab", "m", 32, "0123456789ab", rows=1000, coded=1000, fitted=1000, reaches=(Reach(10, 64, 1.0), Reach(100, 800, 0.9995, 3))
)  # fmt: skip


@pytest.mark.parametrize("times", [1, 1.5, 2, 10])
def test_in_more_rows_more_candidates_are_looked_at(times):
    found = grown(replace(KEPT, rows=round(1000 * times) + 70, coded=round(1000 * times)))
    assert [reach.candidates for reach in found] == [round(64 * times), round(800 * times)]
    assert [replace(reach, candidates=0) for reach in found] == [replace(reach, candidates=0) for reach in KEPT.reaches]


def test_where_that_were_too_many_all_rows_are_compared():
    assert [reach.depth for reach in grown(replace(KEPT, coded=10_240))] == [10, 100]
    assert [reach.depth for reach in grown(replace(KEPT, coded=11_000))] == [10]
    assert grown(replace(KEPT, coded=1000 * (WIDEST // 64 + 1))) == []


def test_without_codes_nothing_is_measured():
    assert grown(replace(KEPT, coded=0, codes="", fitted=0, reaches=())) == []
