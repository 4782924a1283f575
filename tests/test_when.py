"""When to collect: functions of the number of batches done."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manyminima.when import At, Every

steps = st.lists(st.integers(1, 300), unique=True, max_size=20).map(sorted)


@given(steps)
def test_at_is_membership(chosen):
    assert [n for n in range(302) if At(tuple(chosen))(n)] == chosen


@given(st.integers(1, 40), st.integers(0, 200))
def test_every_counts_from_its_start(interval, start):
    assert [n for n in range(1, 300) if Every(interval, start)(n)] == list(range(start + interval, 300, interval))


def test_they_are_values():
    assert At((3, 6)) == At((3, 6)) != At((3, 7))
    assert hash(At((3, 6))) == hash(At((3, 6)))
    assert At((3,))(3)  # asking leaves equality and hash as they were
    assert {At((3,)): "a"}[At((3,))] == "a"
    assert Every(5) == Every(5, start=0) != Every(5, start=1)


def test_numpys_numbers_of_batches_do_as_well():
    assert At(tuple(np.array([3, 6])))(6)
    assert At((3, 6))(np.int64(3))
    assert Every(np.int64(2))(4)


def test_at_keeps_its_steps_whatever_held_them():
    assert At(n for n in (3, 6)) == At([3, 6]) == At((3, 6))
    assert hash(At([3, 6])) == hash(At((3, 6)))


@pytest.mark.parametrize("wrong", [(3, 2), (3, 3), (0, 1), (-1,), ("3",), (2.5,), 3])
def test_at_needs_ascending_numbers(wrong):
    with pytest.raises(ValueError, match="expected ascending numbers of batches, each at least 1"):
        At(wrong)


@pytest.mark.parametrize("wrong", [(0, 0), (-2, 0), (1, -1), ("2", 0), (1, 0.5)])
def test_every_needs_an_interval(wrong):
    with pytest.raises(ValueError, match="expected interval >= 1 and start >= 0, both in batches"):
        Every(*wrong)
