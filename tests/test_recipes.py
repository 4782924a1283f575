"""Recipes: exactly as many members as asked for, each at a low of the rate, the last at the run's end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cases
from manyminima import recipes
from manyminima.when import At, Every

ROWS = [(getattr(recipes, name)(**arguments), members) for name, arguments, members in cases.RECIPES]
every_recipe = pytest.mark.parametrize(("recipe", "members"), ROWS, ids=[repr(r) for r, _ in ROWS])


def collected(recipe, epochs, steps):
    when = recipe.plan(epochs, steps).when
    return [n for n in range(1, epochs * steps + 1) if when(n)]


def test_every_recipe_has_a_row():
    assert {name for name, *_ in cases.RECIPES} == set(recipes.__all__)


@every_recipe
@given(epochs=st.integers(6, 23), steps=st.integers(10, 40))
def test_every_member_is_taken_at_a_low_of_the_rate(recipe, members, epochs, steps):
    due = collected(recipe, epochs, steps)
    assert len(due) == members or (members is None and all(n % steps == 0 for n in due))
    assert due[-1] == epochs * steps or type(recipe).__name__ == "fge"
    lr = recipe.plan(epochs, steps).lr
    if lr is None:
        return
    for n in due:
        assert lr(n - 1) <= lr(n - 2) + 1e-12
        assert lr(n - 1) <= lr(n) + 1e-12


@given(epochs=st.integers(1, 60), steps=st.integers(1, 9), cycles=st.integers(1, 60))
def test_cycles_fill_the_run_exactly(epochs, steps, cycles):
    total = epochs * steps
    for recipe in (recipes.snapshot(cycles, 0.1), recipes.cyclic(cycles, 0.1)):
        if cycles > total:
            with pytest.raises(ValueError, match="Ask for fewer cycles or train for more epochs"):
                recipe.plan(epochs, steps)
            continue
        due = collected(recipe, epochs, steps)
        lengths = [b - a for a, b in zip([0, *due], due, strict=False)]
        assert len(due) == cycles
        assert due[-1] == total
        assert max(lengths) - min(lengths) <= 1


@pytest.mark.parametrize(("epochs", "cycles", "ends"), [(10, 4, [3, 5, 8, 10]), (50, 20, None), (164, 5, None)])
def test_epochs_that_cycles_do_not_divide(epochs, cycles, ends):
    due = collected(recipes.snapshot(cycles, 0.1, update="epoch"), epochs, 7)
    assert len(due) == cycles
    assert due[-1] == epochs * 7
    assert all(n % 7 == 0 for n in due)
    if ends:
        assert due == [7 * e for e in ends]


def test_the_staircase_is_the_tutorials_rate():
    import math

    lr = recipes.snapshot(10, 0.01, update="epoch").plan(500, 4).lr
    for epoch in range(0, 500, 7):
        expected = 0.01 / 2 * (math.cos(math.pi * (epoch % 50) / 50) + 1)
        assert lr(epoch * 4) == lr(epoch * 4 + 3) == pytest.approx(expected)


def test_growing_cycles_are_those_of_sgdr():
    assert collected(recipes.snapshot(5, 0.05, length_multiplier=2), 31, 10) == [10, 30, 70, 150, 310]


def test_checkpoints_are_epoch_ends():
    assert collected(recipes.checkpoints(last=2), 5, 10) == [40, 50]
    assert collected(recipes.checkpoints(every=2), 5, 10) == [10, 30, 50]
    assert recipes.checkpoints().plan(5, 10).lr is None


def test_fge_is_a_standard_run_first():
    lr = recipes.fge(cycles=4, peak=0.1).plan(100, 10).lr
    assert lr(0) == lr(499) == 0.1
    assert lr(600) == pytest.approx(0.1 - 0.099 * 100 / 400)
    assert lr(799) > 0.02
    lows = collected(recipes.fge(cycles=4, peak=0.1), 100, 10)
    assert lows == [825, 875, 925, 975]
    assert all(lr(n - 1) == pytest.approx(0.0005) for n in lows)


@pytest.mark.parametrize(
    ("make", "fix"),
    [
        (lambda: recipes.snapshot(0, 0.1), "cycles to be a whole number of at least 1"),
        (lambda: recipes.snapshot(2.5, 0.1), "whole number"),
        (lambda: recipes.snapshot(5, 0.1, update="batch"), 'update="step" or update="epoch"'),
        (lambda: recipes.snapshot(5).plan(10, 10), "write peak=0.1"),
        (lambda: recipes.snapshot(5, -0.1).plan(10, 10), "floor < peak"),
        (lambda: recipes.snapshot(11, 0.1, update="epoch").plan(10, 10), "fewer cycles"),
        (lambda: recipes.checkpoints(every=0), "every"),
        (lambda: recipes.checkpoints(last=20).plan(10, 10), "10 epochs hold 10"),
        (lambda: recipes.fge(3, 0.1, start=1.0), "start < 1"),
        (lambda: recipes.fge(30, 0.1).plan(10, 10), "fewer cycles"),
        (lambda: recipes.cyclic(-1, 0.1), "at least 1"),
        (lambda: recipes.snapshot(5, "0.1"), "expected peak to be a finite number, got '0.1'"),
        (lambda: recipes.snapshot(5, float("nan")), "expected peak to be a finite number, got nan"),
        (lambda: recipes.snapshot(5, 0.1, floor=None), "expected floor to be a finite number, got None"),
        (lambda: recipes.cyclic(5, 0.1, gamma=True), "expected gamma to be a finite number, got True"),
        (lambda: recipes.fge(5, [0.1]), "expected peak to be a finite number"),
        (lambda: recipes.swa("0.75"), "expected start to be a finite number, got '0.75'"),
        (lambda: recipes.ema("0.9"), "expected decay to be a finite number, got '0.9'"),
        (lambda: recipes.snapshot(10**12, 0.1, length_multiplier=1.5).plan(10, 10), "fewer cycles"),
        (lambda: recipes.cyclic(10**12, 0.1).plan(10, 10), "fewer cycles"),
        (lambda: recipes.fge(10**12, 0.1).plan(10, 10), "fewer cycles"),
        (lambda: At((3, 2)), "ascending"),
        (lambda: Every(0), "interval >= 1"),
    ],
)
def test_nonsense_is_refused(make, fix):
    with pytest.raises((ValueError, TypeError), match=fix):
        make()
