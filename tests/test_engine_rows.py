"""What the engine is given for each row and each replica: weights, recipes, data that stay on the disk; and what it tells."""

import tracemalloc

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras.src.trainers.data_adapters.data_adapter_utils import class_weight_to_sample_weights

import manyminima as mm
from engine_runs import BATCH, EPOCHS, X, Y, alone, assert_members, model, of_replica, small, together
from manyminima.datasets import Batches
from manyminima.training.engine.bar import telling
from manyminima.training.engine.data import Feed
from manyminima.training.engine.row_weights import row_weights
from problems import BACKEND

jax_only = pytest.mark.skipif(BACKEND != "jax", reason="elsewhere replicas are trained by fit itself")
LAST = mm.recipes.checkpoints(last=1)
ROUNDING = 2e-4
WEIGHTS = np.random.default_rng(0).uniform(0, 3, len(X))


def weighted(seed, weights):
    """A replica's members as `fit` trains them on weighted rows."""
    keras.utils.set_random_seed(seed)
    network, collect = model(), mm.Collect(LAST)
    batches = Batches(X, Y, BATCH, seed=seed, sample_weight=weights)
    network.fit(batches, shuffle=False, epochs=EPOCHS, verbose=0, callbacks=[collect])
    return list(collect.members)


def test_rows_are_weighted_as_in_fit():
    found = together(LAST, sample_weight=WEIGHTS)
    assert_members(of_replica(found, 1), weighted(6, WEIGHTS.astype("float32")), ROUNDING)


def test_weights_of_classes_are_those_of_their_rows():
    by_class = together(LAST, build=small, sample_weight={0: 2.0, 2: 0.5})
    by_row = together(LAST, build=small, sample_weight=np.array([2.0, 1.0, 0.5])[Y])
    assert_members(list(by_class), list(by_row))
    plain = together(LAST, build=small)
    assert np.abs(by_class[0][0] - plain[0][0]).max() > 1e-3


def test_class_weight_is_that_of_fit():
    weights = {0: 2.0, 2: 0.5}
    found = together(LAST, build=small, class_weight=weights)
    assert_members(of_replica(found, 1), alone(6, LAST, build=small, class_weight=weights)[0], ROUNDING)
    assert_members(list(found), list(together(LAST, build=small, sample_weight=weights)))


def test_weights_of_rows_and_of_classes_are_not_both_taken():
    with pytest.raises(
        ValueError, match=r"both given, and fit takes one of them\. .*sample_weight=weights \* np\.array"
    ):
        together(LAST, build=small, sample_weight=WEIGHTS, class_weight={0: 2.0})
    with pytest.raises(ValueError, match="at the same time"):
        small().fit(X, Y, sample_weight=WEIGHTS, class_weight={0: 2.0}, verbose=0)
    with pytest.raises(TypeError, match=r"class_weight='balanced': expected a mapping .*class_weight=dict\(enumerate"):
        together(LAST, build=small, class_weight="balanced")
    balanced = dict(enumerate(len(Y) / (3 * np.bincount(Y))))
    np.testing.assert_allclose(np.bincount(Y, row_weights(balanced, Y)), len(Y) / 3, rtol=1e-5)


labels = st.lists(st.integers(0, 4), min_size=1, max_size=20)


@given(labels=labels, one_hot=st.booleans(), data=st.data())
def test_weights_of_classes_are_keras_own(labels, one_hot, data):
    chosen = st.dictionaries(st.sampled_from(sorted(set(labels))), st.floats(0, 10))
    y, weights = np.array(labels), data.draw(chosen)
    y = np.eye(5)[y] if one_hot else y[:, None] if data.draw(st.booleans()) else y
    np.testing.assert_array_equal(row_weights(weights, y), class_weight_to_sample_weights(y, weights))


@pytest.mark.parametrize(
    ("weights", "y", "message"),
    [
        (WEIGHTS, None, "without y, so there is no loss to weigh. Pass y"),
        (-WEIGHTS, Y, "expected finite numbers of at least 0"),
        (np.full(len(Y), np.nan), Y, "holds nan: expected finite numbers"),
        (["much"] * len(Y), Y, r"'much'.*sample_weight=\{0: 1.0, 1: 5.0\}"),
        (WEIGHTS[:50], Y, r"different lengths: \[50, 100\]"),
        ({7: 2.0}, Y, r"classes \[7\], which the labels do not have: they have \[0, 1, 2\]. Leave them out"),
        ({0: 2.0}, X[:, :1], "no class numbers.*Pass sample_weight, an array with one weight for each row"),
        ({0: 2.0}, {"kind": Y}, "no class numbers.*Pass sample_weight, an array with one weight for each row"),
    ],
)
def test_weights_that_are_none(weights, y, message):
    with pytest.raises(ValueError, match=message):
        together(LAST, y=y, sample_weight=weights)


@jax_only
@pytest.mark.parametrize("execution", ["stacked", "unrolled"])
def test_each_replica_may_have_a_peak_of_its_own(execution):
    recipes = [mm.recipes.snapshot(cycles=3, peak=peak) for peak in (0.1, 0.02)]
    found = together(recipes, execution=execution)
    for replica, recipe in enumerate(recipes):
        assert_members(of_replica(found, replica), alone(5 + replica, recipe)[0], ROUNDING)
    with pytest.raises(ValueError, match="a list of 2 recipes for replicas=3: expected one for each. Write replicas=2"):
        together(recipes, replicas=3)


@jax_only
def test_each_replica_has_its_own_optimizer_values():
    """Where the third model's differ from those of the first two as well."""
    rates = iter([0.1, 0.1, 0.0])
    found = together(LAST, build=lambda: small(optimizer=keras.optimizers.SGD(next(rates))), replicas=3, epochs=1)
    begin = []
    for seed in (5, 6, 7):
        keras.utils.set_random_seed(seed)
        begin.append(small().get_weights())
    moved = [np.abs(w[0] - first[0]).max() for w, first in zip(found, begin, strict=True)]
    assert moved[0] > 0.01
    assert moved[1] > 0.01
    assert moved[2] == 0


def test_a_bar_tells_the_time_left(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    together(LAST, build=small, epochs=1, progress="bar")
    told = capsys.readouterr().err
    assert "training" in told
    assert "left" in told


def test_progress_is_a_function_or_a_bar():
    with pytest.raises(TypeError, match='expected a function .done, total., or progress="bar"'):
        together(LAST, progress="baar")
    with telling(None) as tell:
        tell(1, 2)


def test_data_on_the_disk_stay_there(tmp_path):
    """What is sent in chunks is read in chunks: the memory is that of a few of them, not of the data."""
    rows, room = 20_000, 2**20
    on_disk = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", "float32", (rows, 256))
    on_disk[::1000] = 1
    tracemalloc.start()
    try:
        feed = Feed((on_disk,), 32, [1, 2], 1, room)
        told = sum(int(chunk.data[0].sum()) for chunk in feed.chunks())
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert not feed.resident
    assert on_disk.nbytes > 20e6
    assert most < 6 * room
    assert told >= 2 * 20 * 256  # padding of the last chunk may repeat a row
