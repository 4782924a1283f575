"""Averages that need no network: as folds, by shares, and of members on disk. What is no number stays the newest's."""

import tracemalloc

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import manyminima as mm
from manyminima.averaging.coefficients import coefficients
from manyminima.averaging.posthoc import mean_of
from manyminima.inference.sources import members_of
from problems import assert_same, compiled

RNG = np.random.default_rng(0)
SHAPES = [(5, 3), (3,), ()]


def members(count, dtype="float32", scale=1.0):
    return [[(1 + scale * RNG.normal(size=shape)).astype(dtype) for shape in SHAPES] for _ in range(count)]


def filled(fold, weights):
    for step, one in enumerate(weights, start=1):
        fold.add(one, step)
    return fold


def only(fold):
    (weights,) = list(fold)
    return weights


def plain_ema(values, decay):
    """Weights `decay**age`, scaled to sum 1: no trace of where it began."""
    shares = np.array([decay ** (len(values) - 1 - i) for i in range(len(values))])
    return np.tensordot(shares / shares.sum(), np.array(values, "float64"), axes=1)


# -- the numbers -----------------------------------------------------------------------------------------------------


def test_the_mean_is_exact():
    collected = members(50, scale=100)
    found = only(filled(mm.Mean(), collected))
    for i, one in enumerate(found):
        column = np.array([m[i] for m in collected], "float64")
        exact = column.mean(axis=0)
        assert np.abs(one - exact).max() <= 1e-6 * np.abs(column).max()
        assert one.dtype == np.float32


def test_equal_means_equal():
    assert_same(only(filled(mm.Mean(), [[np.array([x])] for x in (1.0, 0.0, 0.0, 0.0)])), [np.array([0.25])])


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=20), st.floats(0.01, 0.9999))
def test_the_moving_average_forgets_exponentially(values, decay):
    found = only(filled(mm.Ema(decay), [[np.array([v])] for v in values]))[0]
    np.testing.assert_allclose(found, plain_ema([[v] for v in values], decay), atol=1e-8)


def test_a_decay_of_zero_is_the_newest():
    collected = members(4)
    assert_same(only(filled(mm.Ema(0), collected)), collected[-1])
    assert_same(only(filled(mm.Ema(0, warmup=True), collected)), collected[-1])


def test_updates_that_are_rarer_forget_as_much():
    """With `every=10` an update stands for ten steps."""
    collected = members(6)
    assert_same(only(filled(mm.Ema(0.9, every=10), collected)), only(filled(mm.Ema(0.9**10), collected)))


def test_a_warm_up_forgets_the_first_steps_sooner():
    values, average = RNG.normal(size=40), 0.0
    for n, value in enumerate(values, start=1):
        decay = 0.0 if n == 1 else min(0.9, n / (9 + n))
        average = decay * average + (1 - decay) * value
    found = only(filled(mm.Ema(0.9, warmup=True), [[np.array(v)] for v in values]))[0]
    np.testing.assert_allclose(found, average, rtol=1e-12)


@pytest.mark.parametrize("k", [1, 3, 9])
def test_a_window_moves(k):
    fold, collected = mm.LastK(k), members(7)
    for n, one in enumerate(collected, start=1):
        fold.add(one, n)
        window = collected[max(0, n - k) : n]
        for i, found in enumerate(only(fold)):
            np.testing.assert_allclose(found, np.mean([m[i] for m in window], axis=0, dtype="float64"), rtol=1e-6)


# -- what is stored how ----------------------------------------------------------------------------------------------


FOLDS = {"Mean": mm.Mean, "Ema": lambda **o: mm.Ema(0.9, **o), "LastK": lambda **o: mm.LastK(3, **o)}
every_fold = pytest.mark.parametrize("make", FOLDS.values(), ids=FOLDS.keys())


@every_fold
@pytest.mark.parametrize("dtype", ["int8", "int64", "uint32", "bool", ml_dtypes.float8_e4m3fn])
def test_what_is_no_number_to_average_is_the_newest(make, dtype):
    collected = [[np.array([n, 1]).astype(dtype), np.array([float(n)])] for n in range(4)]
    found = only(filled(make(), collected))
    np.testing.assert_array_equal(found[0], collected[-1][0])
    assert found[0].dtype == collected[-1][0].dtype
    assert found[1] != collected[-1][1]


@every_fold
def test_a_run_says_what_may_not_be_averaged(make):
    fold = make()
    fold.begin({"variables": [{"averaged": False}, {"averaged": True}]})
    found = only(filled(fold, [[np.array([float(n)]), np.array([float(n)])] for n in range(4)]))
    assert found[0] == 3.0
    assert found[1] < 3.0


@pytest.mark.parametrize("dtype", ["float16", ml_dtypes.bfloat16])
def test_half_precision_is_summed_wide(dtype):
    """One part in a thousand vanishes below the epsilon of these types when it is added to 1."""
    collected = [[np.array([1.0], dtype)]] + [[np.array([3.0], dtype)]] * 999
    assert float(only(filled(mm.Mean(), collected))[0][0]) == pytest.approx(2.998, rel=1e-2)
    found = only(filled(mm.Ema(0.9999), collected))[0]
    assert found.dtype == np.dtype(dtype)
    assert float(found[0]) == pytest.approx(2.998, rel=1e-2)


@every_fold
def test_arrays_are_not_shared(make):
    given = [np.zeros(3), np.array([1, 2])]
    fold = make()
    fold.add(given, 1)
    for array in given:
        array += 7
    assert_same(only(fold), [np.zeros(3), np.array([1, 2])])
    only(fold)[0][:] = 9
    np.testing.assert_array_equal(only(fold)[0], 0)


# -- as places for members -------------------------------------------------------------------------------------------


@every_fold
def test_nothing_collected_is_no_member(make):
    fold = make()
    assert len(fold) == 0
    assert list(fold) == []
    with pytest.raises(ValueError, match="holds no members: was anything collected"):
        mm.Ensemble(compiled(), fold)


@every_fold
def test_a_new_run_begins_empty(make):
    fold = filled(make(), members(3))
    fold.begin(None)
    assert len(fold) == 0
    new = members(1)
    assert_same(only(filled(fold, new)), new[0])


@every_fold
def test_averages_go_into_a_run_at_every_collection(make, tmp_path):
    collected = members(4)
    fold = filled(make(into=tmp_path / "run"), collected)
    alone = make()
    written = list(mm.Snapshots(tmp_path / "run"))
    assert len(fold) == len(written) == 4
    for one, average in zip(collected, written, strict=True):
        alone.add(one)
        assert_same(average, only(alone))
    assert {m.kind for m in mm.Snapshots(tmp_path / "run").members} == {fold.rule.kind}
    assert [m.step for m in fold.members] == [1, 2, 3, 4]


def test_folds_compose():
    inner = mm.LastK(2)
    filled(mm.Mean(into=inner), [[np.array(x)] for x in (1.0, 3.0, 8.0)])
    assert only(inner)[0] == (2 + 4) / 2  # of the means 1, 2 and 4 the newest two


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: mm.Ema(1.0), "expected 0 <= decay < 1, such as 0.999"),
        (lambda: mm.Ema("0.9"), r"Ema\('0.9'\): expected 0 <= decay < 1"),
        (lambda: mm.Mean(every=1, start="0"), "expected 0 <= start < 1"),
        (lambda: mm.Ema(0.9, every=0), "every=0: expected a whole number of optimizer steps, at least 1"),
        (lambda: mm.Mean(every=1.5), "every=1.5: expected a whole number"),
        (lambda: mm.Mean(start=0.5), "expected 0 <= start < 1, and every= with it"),
        (lambda: mm.Mean(every=1, start=1.0), "expected 0 <= start < 1"),
        (lambda: mm.LastK(True), "expected a whole number of at least 1"),
        (lambda: mm.LastK(0), "expected a whole number of at least 1"),
        (lambda: filled(mm.Mean(), [[np.zeros(2)], [np.zeros(3)]]), "an average needs one architecture"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_counts_may_be_numpys():
    assert repr(mm.LastK(np.int64(3))) == repr(mm.LastK(3))
    assert repr(mm.Ema(0.9, every=np.int64(2))) == repr(mm.Ema(0.9, every=2))


# -- coefficients ----------------------------------------------------------------------------------------------------


def test_coefficients_are_the_tutorials():
    n = 10
    newest_first = {
        "equal": [1 / n] * n,
        "linear": np.arange(n, 0, -1) / np.arange(n, 0, -1).sum(),
        "exponential": np.exp(-np.arange(1, n + 1) / 2) / np.exp(-np.arange(1, n + 1) / 2).sum(),
    }
    for kind, expected in newest_first.items():
        np.testing.assert_allclose(coefficients(kind, n)[::-1], expected, rtol=1e-12)
    np.testing.assert_allclose(coefficients([1, 3], 2), [0.25, 0.75])


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("quadratic", {}, "choose from equal, linear, exponential, or give an array"),
        ([0.5, 0.5], {}, "expected one for each of 3 members"),
        ([1, -1, 1], {}, "expected finite numbers of at least 0, not all of them 0"),
        ([0, np.nan, 0], {}, "not all of them 0"),
        ("exponential", {"decay": 0}, "expected a number of members above 0"),
    ],
)
def test_coefficients_that_are_none(kind, options, message):
    with pytest.raises(ValueError, match=message):
        coefficients(kind, 3, **options)


# -- members on disk -------------------------------------------------------------------------------------------------


def on_disk(path, members):
    run = mm.Snapshots(path)
    for step, weights in enumerate(members, start=1):
        run.add(weights, step)
    return run


def large(path, members):
    rng = np.random.default_rng(0)
    arrays = ([rng.normal(size=(1500, 1000)).astype("float32"), np.int64(step)] for step in range(members))
    return on_disk(path, ([a, np.array(n)] for a, n in arrays))


@pytest.mark.parametrize("members", [4, 12])
def test_memory_does_not_grow_with_the_members(tmp_path, members):
    weights = members_of(large(tmp_path / "run", members)).weights
    tracemalloc.start()
    found = mean_of(weights, np.full(members, 1 / members))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= 2.5 * found[0].nbytes
    np.testing.assert_allclose(found[0], np.mean([w[0] for w in weights], axis=0, dtype="float64"), atol=1e-6)
    assert found[1] == members - 1


@pytest.mark.parametrize("damage", ["flip", "truncate", "header", "missing"])
def test_damage_is_named_and_nothing_is_returned(tmp_path, damage):
    run = large(tmp_path / "run", 3)
    weights = members_of(run).weights
    path = run.path / run.members[1].file
    content = bytearray(path.read_bytes())
    content[-100 if damage == "flip" else 12] ^= 1
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(content[:-100] if damage == "truncate" else content)
    with pytest.raises(
        (ValueError, FileNotFoundError), match=rf"{path.name}' is (missing|truncated|damaged).*[Rr]estore"
    ):
        mean_of(weights, [0.2, 0.3, 0.5])


@pytest.mark.parametrize("which", [0, -1], ids=["oldest", "newest"])
def test_no_flipped_bit_comes_through(tmp_path, which):
    """Wherever it is in a file: an error that says so, or the same numbers."""
    arrays = [np.arange(4, dtype="float32"), np.ones(2, ml_dtypes.bfloat16), np.array(3), np.zeros((0, 3), "float16")]
    run = on_disk(tmp_path / "run", [[a + np.asarray(i, a.dtype) for a in arrays] for i in range(2)])
    weights = members_of(run).weights
    expected, path = mean_of(weights, [0.5, 0.5]), run.path / run.members[which].file
    content, found, messages = path.read_bytes(), expected, set()
    for position in range(0, 8 * len(content), 23):
        damaged = bytearray(content)
        damaged[position // 8] ^= 1 << position % 8
        path.write_bytes(damaged)
        try:
            with np.errstate(all="ignore"):
                found = mean_of(weights, [0.5, 0.5])
        except ValueError as error:
            messages.add(str(error))
        assert_same(found, expected)
    assert all("truncated" in message or "damaged" in message for message in messages)
