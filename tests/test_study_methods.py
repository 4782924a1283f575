"""What a study compares: methods as they are typed, and how a deep ensemble shares the budget."""

import keras
import pytest

import manyminima as mm
from manyminima.cli.study import separated
from manyminima.comparison.methods import PEAKS, method_of, peaks_of


@pytest.mark.parametrize(
    ("text", "recipe"),
    [
        ("single", mm.recipes.snapshot(cycles=1, peak=0.1)),
        ("snapshot:cycles=5,floor=0.001", mm.recipes.snapshot(cycles=5, peak=0.1, floor=0.001)),
        ("swa", mm.recipes.swa(peak=0.1)),
        ("swa:start=0.5", mm.recipes.swa(start=0.5, peak=0.1)),
    ],
)
def test_a_method_is_a_recipe_with_a_peak_to_come(text, recipe):
    assert method_of(text).recipe(0.1) == recipe


@pytest.mark.parametrize("text", ["constant", "ema:decay=0.9", "lawa:k=2", "polyak:last=2", "checkpoints:last=2"])
def test_recipes_that_leave_the_rate_alone_run_along_a_constant_one(text):
    plan = method_of(text).recipe(0.25).plan(6, 10)
    assert {float(plan.lr(t)) for t in range(60)} == {0.25}
    assert plan.when(60)


def test_peaks_that_are_not_given_are_those_of_the_optimizer():
    assert peaks_of(keras.optimizers.SGD()) == PEAKS["SGD"]
    assert peaks_of(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD())) == PEAKS["SGD"]
    assert max(peaks_of(keras.optimizers.AdamW())) < min(PEAKS["SGD"])


def test_a_deep_ensemble_shares_the_budget():
    method = method_of("deep-ensemble:members=3")
    assert (method.runs, method.epochs(10)) == (3, 3)
    with pytest.raises(ValueError, match="2 epochs cannot be shared by 3 runs"):
        method.epochs(2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "snapshoot",
            "no method 'snapshoot'. Did you mean snapshot\\? Expected one of single, constant, deep-ensemble, ",
        ),
        ("snapshot:cycle=5", "unknown option cycle. It takes cycles, floor"),
        ("snapshot:cycles=5,peak=1", "The peak is chosen on validation rows, from --peaks"),
        ("snapshot:cycles=five", "expected a number for cycles, got 'five'"),
        ("snapshot:5", "'5' is no option. Write name=value"),
        ("snapshot:cycles=0", "expected cycles to be a whole number of at least 1"),
        ("deep-ensemble:members=0", "expected a whole number of at least 1, got '0'"),
        ("single:x=1", "unknown option x. It takes none"),
    ],
)
def test_what_is_no_method(text, message):
    with pytest.raises(ValueError, match=message):
        method_of(text)


def test_recipes_are_separated_by_the_commas_between_them():
    assert separated("single, snapshot:cycles=3,floor=0.1,swa") == ["single", "snapshot:cycles=3,floor=0.1", "swa"]
