"""Every member is taken after the lowest rate of its cycle, whatever the run's size and the recipe's numbers."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from manyminima import recipes

sizes = {"epochs": st.integers(1, 40), "steps": st.integers(1, 50), "cycles": st.integers(1, 8)}


def plan(recipe, epochs, steps):
    """The schedule and the collection points; sizes that hold too few updates are no example."""
    try:
        lr, when = recipe.plan(epochs, steps)
    except ValueError:  # its message is tested below
        assume(False)
    return lr, [n for n in range(1, epochs * steps + 1) if when(n)]


def assert_lows(lr, due, total, unit=1, before=0.0):
    """No rate next to a member's, within the cycles, is lower; `unit` is how long a rate is held."""
    for last, n in zip([before, *due], due, strict=False):
        rate = lr(n - 1)
        assert n >= total or rate <= lr(n) + 1e-9
        assert n - 1 - unit < last or rate <= lr(n - 1 - unit) + 1e-9


@given(**sizes, growth=st.sampled_from([1, 1.1, 1.5, 2, 2.7, 3.0]), update=st.sampled_from(["step", "epoch"]))
def test_snapshot(epochs, steps, cycles, growth, update):
    recipe = recipes.snapshot(cycles, 0.1, floor=0.001, length_multiplier=growth, update=update)
    lr, due = plan(recipe, epochs, steps)
    unit = steps if update == "epoch" else 1
    assert len(due) == cycles
    assert due[-1] == epochs * steps
    assert all(n % unit == 0 for n in due)
    assert_lows(lr, due, epochs * steps, unit)


@given(**sizes, growth=st.sampled_from([1.1, 1.5, 2, 3]))
def test_growing_cycles_are_as_long_as_asked_for(epochs, steps, cycles, growth):
    _, due = plan(recipes.snapshot(cycles, 0.1, length_multiplier=growth), epochs, steps)
    shares = np.cumsum([growth**k for k in range(cycles)])
    ideal = epochs * steps * shares / shares[-1]
    assert np.all(np.array(due) >= ideal - 1e-6)
    assert np.all(np.array(due) < ideal + 1 + 1e-6)


@given(epochs=st.integers(2, 30), steps=st.integers(8, 40), rate=st.sampled_from([0.5, 0.9, 1.2]))
def test_growing_rates(epochs, steps, rate):
    lr, due = plan(recipes.snapshot(3, 0.1, rate_multiplier=rate), epochs, steps)
    assert_lows(lr, due, epochs * steps)
    restarts = [lr(0)] + [lr(n) for n in due[:-1]]
    assert all(0 < r <= 0.1 * rate**k * (1 + 1e-9) for k, r in enumerate(restarts))


@given(**sizes, amplitude=st.sampled_from([1, 0.5, 0.9]), gamma=st.sampled_from([1, 0.99, 0.999]))
def test_cyclic(epochs, steps, cycles, amplitude, gamma):
    assume(epochs * steps >= 2 * cycles)
    lr, due = plan(recipes.cyclic(cycles, 0.1, amplitude_multiplier=amplitude, gamma=gamma), epochs, steps)
    assert len(due) == cycles
    assert due[-1] == epochs * steps
    assert lr(due[-1] - 1) == pytest.approx(0.025)  # the run ends on the floor
    assert_lows(lr, due, epochs * steps)


@given(**sizes, start=st.sampled_from([0, 0.25, 0.5, 0.8]))
def test_fge(epochs, steps, cycles, start):
    first = round(epochs * steps * start)
    assume(epochs * steps - first >= 3 * cycles)
    lr, due = plan(recipes.fge(cycles, 0.1, start=start), epochs, steps)
    assert len(due) == cycles
    assert first < due[0]
    assert_lows(lr, due, epochs * steps, before=first)


@pytest.mark.parametrize(
    ("recipe", "epochs", "steps", "due"),
    [
        (recipes.snapshot(1, 0.1), 3, 5, [15]),
        (recipes.snapshot(3, 0.1), 3, 5, [5, 10, 15]),  # cycles of one epoch
        (recipes.snapshot(6, 0.1), 2, 3, [1, 2, 3, 4, 5, 6]),  # cycles of one step
        (recipes.snapshot(1, 0.1), 1, 1, [1]),
        (recipes.cyclic(1, 0.1), 3, 5, [15]),
        (recipes.cyclic(6, 0.1), 2, 3, [1, 2, 3, 4, 5, 6]),
        (recipes.checkpoints(), 3, 5, [5, 10, 15]),
        (recipes.fge(1, 0.1, start=0.0), 2, 2, [2]),
    ],
)
def test_the_smallest_runs(recipe, epochs, steps, due):
    assert plan(recipe, epochs, steps)[1] == due


@pytest.mark.parametrize(
    ("recipe", "epochs", "steps"),
    [
        (recipes.snapshot(7, 0.1), 2, 3),
        (recipes.snapshot(3, 0.1, update="epoch"), 2, 100),
        (recipes.snapshot(6, 0.1, length_multiplier=2), 2, 31),  # the first cycle would be shorter than a step
        (recipes.cyclic(7, 0.1), 2, 3),
        (recipes.fge(4, 0.1, start=0.5), 2, 7),
    ],
)
def test_more_cycles_than_the_run_holds(recipe, epochs, steps):
    with pytest.raises(
        ValueError, match=r"more cycles than .* can hold: .*Ask for fewer cycles or train for more epochs"
    ):
        recipe.plan(epochs, steps)


def test_plans_of_long_runs_are_quick():
    lr, when = recipes.snapshot(100, 0.1, length_multiplier=1.01).plan(1000, 1000)
    assert when(1_000_000)
    assert lr(0) == 0.1
    schedule, _ = recipes.snapshot(7, 0.1).plan(10_000, 1000)
    phase = Fraction(9_999_999 * 7, 10_000_000) % 1
    assert schedule(9_999_999) == pytest.approx(0.05 * (1 + math.cos(math.pi * phase)), rel=1e-12)


def test_counts_may_be_numpys():
    recipe = recipes.snapshot(np.int64(3), np.float32(0.5))
    assert recipe == recipes.snapshot(3, 0.5)
    assert plan(recipe, np.int64(3), 5)[1] == [5, 10, 15]
