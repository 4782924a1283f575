"""Schedules against the papers' numbers, against plain loops, and as numbers, arrays and traced tensors alike."""

import math
from fractions import Fraction

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cases
from manyminima import schedules
from manyminima.schedules import Constant, CosineCycles, Joined, Linear, Staircase, Triangular
from manyminima.schedules.steps import divided

ROWS = [getattr(schedules, name)(**arguments) for name, arguments in cases.SCHEDULES]
ROWS += [Joined((Constant(0.1), Linear(0.1, 0.0, steps=5)), boundaries=(7,)), Staircase(CosineCycles(0.1, 4), width=6)]

every_schedule = pytest.mark.parametrize("schedule", ROWS, ids=repr)
STEPS = np.arange(60)


def test_every_schedule_has_a_row():
    assert {type(row).__name__ for row in ROWS} == set(schedules.__all__)


@every_schedule
def test_numbers_arrays_and_tensors_agree(schedule):
    numbers = [schedule(t) for t in STEPS.tolist()]
    assert all(isinstance(rate, float) for rate in numbers)
    np.testing.assert_allclose(schedule(STEPS), numbers, rtol=1e-12)
    tensors = keras.ops.convert_to_numpy(schedule(keras.ops.convert_to_tensor(STEPS)))
    np.testing.assert_allclose(tensors, numbers, rtol=2e-5, atol=1e-8)
    variable = keras.Variable(7, dtype="int32", trainable=False)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(schedule(variable)), numbers[7], rtol=2e-5)


@every_schedule
def test_saves_and_compares_by_value(schedule):
    config = keras.saving.serialize_keras_object(schedule)
    again = keras.saving.deserialize_keras_object(config)
    assert again == schedule
    assert hash(again) == hash(schedule)
    assert again(13) == schedule(13)


@every_schedule
def test_drives_an_ordinary_optimizer(schedule):
    variable = keras.Variable([1.0])
    optimizer = keras.optimizers.SGD(schedule)
    optimizer.build([variable])
    for _ in range(3):
        optimizer.apply([keras.ops.ones((1,))])
    expected = 1 - sum(schedule(t) for t in range(3))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(variable.value), [expected], rtol=1e-5)


def compiled(function):
    """Compile as the backend's training step does."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(function, jit_compile=True)
    return function


@every_schedule
def test_inside_a_compiled_function(schedule):
    rate = compiled(lambda step: schedule(step))
    found = [keras.ops.convert_to_numpy(rate(keras.ops.convert_to_tensor(t, "int32"))) for t in (0, 1, 7, 59)]
    np.testing.assert_allclose(found, [schedule(t) for t in (0, 1, 7, 59)], rtol=2e-5, atol=1e-8)


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="counts traces, which is JAX's notion")
@every_schedule
def test_is_traced_once_whatever_the_step(schedule):
    import jax

    traces = []
    rate = jax.jit(lambda step: traces.append(step) or schedule(step))
    for t in range(4):
        rate(keras.ops.convert_to_tensor(np.int32(t)))
    assert len(traces) == 1


def test_equation_2_of_snapshot_ensembles():
    cycle = [0.2, 0.1809016994, 0.1309016994, 0.0690983006, 0.0190983006]
    schedule = CosineCycles(0.2, Fraction(10, 2))
    np.testing.assert_allclose([schedule(t) for t in range(10)], cycle * 2, atol=1e-10)


@given(st.integers(1, 400), st.integers(1, 12), st.floats(0.001, 1))
def test_cosine_is_the_papers_formula_where_cycles_divide_the_run(length, cycles, peak):
    total = length * cycles
    schedule = CosineCycles(peak, Fraction(total, cycles))
    for t in range(1, total + 1, max(1, total // 37)):
        expected = (
            peak / 2 * (math.cos(math.pi * ((t - 1) % math.ceil(total / cycles)) / math.ceil(total / cycles)) + 1)
        )
        np.testing.assert_allclose(schedule(t - 1), expected, rtol=1e-9, atol=1e-15)


def test_sgdr():
    schedule = CosineCycles(0.05, 10, length_multiplier=2)
    np.testing.assert_allclose(
        [schedule(e) for e in (0, 5, 10, 20, 30, 50, 70)], [0.05, 0.025, 0.05, 0.025, 0.05, 0.025, 0.05], atol=1e-12
    )
    assert schedule.ends(5) == [10, 30, 70, 150, 310]


def test_the_dynamic_form_of_snapshot_ensemble():
    """Ten epochs of ten steps, each next cycle 1.5 times as long and both rates 0.9 times as high; a plain loop."""
    schedule = CosineCycles(0.01, 100, floor=1e-6, length_multiplier=1.5, rate_multiplier=0.9)
    start, length, high, low = 0, 100, 0.01, 1e-6
    for step in range(700):
        if step >= start + length:
            start, length, high, low = start + length, length * 1.5, high * 0.9, low * 0.9
        expected = low + (high - low) / 2 * (1 + math.cos(math.pi * (step - start) / length))
        np.testing.assert_allclose(schedule(step), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [0.001, 0.0035, 0.006, 0.0035, 0.001, 0.0035, 0.006, 0.0035, 0.001, 0.0035]),
        (
            {"amplitude_multiplier": 0.5},
            [0.001, 0.0035, 0.006, 0.0035, 0.001, 0.00225, 0.0035, 0.00225, 0.001, 0.001625],
        ),
        (
            {"gamma": 0.9},
            [0.001, 0.003025, 0.00428, 0.002329, 0.001, 0.001872, 0.002412, 0.001572, 0.001, 0.001375],
        ),
    ],
    ids=["triangular", "triangular2", "exp_range"],
)
def test_cyclical_rates_of_smith(options, expected):
    schedule = Triangular(peak=0.006, floor=0.001, length=8, **options)
    np.testing.assert_allclose([schedule(t) for t in range(0, 20, 2)], expected, atol=6e-7)


def test_fast_geometric_cycles():
    schedule = Triangular(peak=0.05, floor=0.01, length=8, offset=5)
    np.testing.assert_allclose(
        [schedule(i - 1) for i in range(1, 9)], [0.04, 0.03, 0.02, 0.01, 0.02, 0.03, 0.04, 0.05], atol=1e-12
    )


def test_late_steps_are_as_exact_as_early_ones():
    schedule = CosineCycles(0.1, Fraction(300_000_007, 7))
    late = 7 * 40_000_000 + 123
    phase = Fraction(late * 7, 300_000_007) % 1
    expected = 0.05 * (1 + math.cos(math.pi * float(phase)))
    traced = keras.ops.convert_to_numpy(schedule(keras.ops.convert_to_tensor(np.int32(late))))
    np.testing.assert_allclose([schedule(late), float(traced)], expected, rtol=1e-5)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=4), st.integers(0, 250))
def test_joined_pieces_count_from_their_own_start(lengths, step):
    pieces = tuple(Linear(1.0, 0.1 * i, steps=50) for i in range(len(lengths) + 1))
    boundaries = tuple(np.cumsum(lengths).tolist())
    index = sum(step >= b for b in boundaries)
    expected = pieces[index](step - (0, *boundaries)[index])
    np.testing.assert_allclose(Joined(pieces, boundaries)(step), expected)


@given(st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=20), st.integers(1, 2**31 - 1) | st.integers(1, 1000))
def test_division_without_a_division_is_exact(counts, n):
    """The traced form estimates quotients in float32, which knows 24 of the 31 bits."""
    counts = np.array([*counts, 0, n - 1, n, max(counts) // n * n, 2**31 - 1], "int64").clip(0, 2**31 - 1)
    found = divided(keras.ops.convert_to_tensor(counts.astype("int32")), n, keras.ops)
    np.testing.assert_array_equal([keras.ops.convert_to_numpy(a) for a in found], [counts // n, counts % n])


@pytest.mark.parametrize(
    ("make", "fix"),
    [
        (lambda: CosineCycles(-0.1, 5), "0 <= floor < peak"),
        (lambda: CosineCycles(0.1, 5, floor=0.2), "0 <= floor < peak"),
        (lambda: CosineCycles(float("nan"), 5), "0 <= floor < peak"),
        (lambda: CosineCycles("0.1", 5), "expected peak to be a number, not '0.1'"),
        (lambda: CosineCycles(0.1, "five"), "expected length to be a number of steps or a Fraction of one, not 'five'"),
        (lambda: CosineCycles(0.1, float("nan")), "expected length to be a number of steps"),
        (lambda: Triangular(0.1, 0.0, 8, offset=None), "expected offset to be a number of steps"),
        (lambda: Constant(None), "expected rate to be a number, not None"),
        (lambda: Linear(0.1, 0.0, "5"), "expected steps to be a number"),
        (lambda: Joined((0.1, 0.2), (3,)), r"expected schedules, such as Constant\(0.1\) for a rate of 0.1"),
        (lambda: Staircase(0.1, 5), "expected a schedule to hold"),
        (lambda: CosineCycles(0.1, 0), "above 0 steps"),
        (lambda: CosineCycles(0.1, 5, length_multiplier=0.5), "length_multiplier >= 1.001"),
        (lambda: CosineCycles(0.1, 5, rate_multiplier=0.0), "rate_multiplier > 0"),
        (lambda: CosineCycles(0.1, Fraction(2**31, 3)), "phases stay exact"),
        (lambda: Triangular(0.1, 0.2, 8), "0 <= floor < peak"),
        (lambda: Triangular(0.1, 0.0, 8, gamma=0.0), "above 0"),
        (lambda: Triangular(0.1, 0.0, 8, offset=-1), "offset >= 0"),
        (lambda: Linear(0.1, 0.0, 0), "steps >= 1"),
        (lambda: Constant(-1.0), "rate >= 0"),
        (lambda: Joined((Constant(0.1),), (3,)), "one boundary between"),
        (lambda: Joined((Constant(0.1),) * 3, (5, 3)), "ascending boundaries"),
        (lambda: Staircase(Constant(0.1), 0), "width >= 1"),
    ],
)
def test_nonsense_is_refused(make, fix):
    with pytest.raises(ValueError, match=fix):
        make()
