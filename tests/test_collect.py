"""Collecting leaves training as it was, bit for bit, and takes the weights of exactly the steps it says."""

from fractions import Fraction

import keras
import numpy as np
import pytest

import manyminima as mm
from manyminima.schedules import CosineCycles
from problems import BACKEND, assert_same, compiled, network, numbers
from runs_of_100 import SNAPSHOT, STEPS, At, StopAt, X, Y, fit


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda rate: keras.optimizers.SGD(rate, momentum=0.9),
        lambda rate: keras.optimizers.Adam(rate),
        lambda rate: keras.optimizers.AdamW(rate, weight_decay=0.01),
        lambda rate: keras.optimizers.SGD(rate, gradient_accumulation_steps=2),
        lambda rate: keras.optimizers.RMSprop(rate, clipnorm=1.0),
    ],
    ids=["sgd", "adam", "adamw", "accumulated", "clipped"],
)
def test_training_equals_training_with_the_same_schedule(optimizer, tmp_path):
    collected, reference = compiled(optimizer=optimizer(0.01)), None
    mine = fit(collected, mm.Collect(SNAPSHOT, into=tmp_path / "run"), validation_data=(X, Y))
    reference = compiled(optimizer=optimizer(CosineCycles(0.1, Fraction(4 * STEPS, 2))))
    theirs = fit(reference, validation_data=(X, Y))
    assert_same(collected.get_weights(), reference.get_weights())
    own = [v for v in collected.optimizer.variables if "learning_rate" not in v.path]
    assert_same(numbers(own), numbers(reference.optimizer.variables))
    assert {k: v for k, v in mine.history.items() if k != "learning_rate"} == theirs.history


def test_a_recipe_without_a_rate_changes_nothing():
    collected, reference = compiled(), compiled()
    mine = fit(collected, mm.Collect(mm.recipes.checkpoints()))
    theirs = fit(reference)
    assert_same(collected.get_weights(), reference.get_weights())
    assert mine.history == theirs.history


def test_random_generators_are_left_alone(tmp_path):
    """Proving that the model can be rebuilt builds a second one, which must not draw from anyone's random numbers."""
    model = network()
    model.compile(loss="sparse_categorical_crossentropy")  # shuffling follows the global generators
    with_run = fit(model, mm.Collect(mm.recipes.checkpoints(last=1), into=tmp_path / "run"))
    model = network()
    model.compile(loss="sparse_categorical_crossentropy")
    assert fit(model).history == with_run.history


@pytest.mark.parametrize("step", [10, 14, 28])  # in mid-epoch, at an epoch's end, at the run's end
def test_a_member_is_the_run_stopped_at_its_step(step):
    model = compiled()
    collect = mm.Collect(At(step))
    fit(model, collect)
    stopped = compiled()
    fit(stopped, StopAt(step))
    assert len(collect.members) == 1
    assert_same(collect.members[0], stopped.get_weights())


def test_memory_and_disk_hold_the_same(tmp_path):
    class Own:
        def __init__(self):
            self.steps = []

        def add(self, weights, step, *, epoch, logs):
            self.steps.append(step)

        def __iter__(self):
            return iter(self.steps)

    own = Own()
    collect = mm.Collect(SNAPSHOT, into=[None, tmp_path / "run", own])
    fit(compiled(), collect)
    assert own.steps == [14, 28]
    for kept, stored in zip(collect.members, mm.Snapshots(tmp_path / "run"), strict=True):
        assert_same(stored, kept)


def tf_data():
    tf = pytest.importorskip("tensorflow")
    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(16)


def data_loader():
    torch = pytest.importorskip("torch")
    rows = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    return torch.utils.data.DataLoader(rows, batch_size=16)


def generator():
    while True:
        for i in range(0, 100, 16):
            yield X[i : i + 16], Y[i : i + 16]


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (tf_data, {}),
        (data_loader, {}),
        (lambda: mm.datasets.Batches(X, Y, 16), {}),
        (generator, {"steps_per_epoch": STEPS}),
    ],
    ids=["tf.data", "DataLoader", "PyDataset", "generator"],
)
def test_sources(make, options):
    collect = mm.Collect(SNAPSHOT)
    history = fit(compiled(), collect, source=make(), shuffle=False, **options)
    assert [m.step for m in history.members] == [14, 28]
    assert [m.epoch for m in history.members] == [2.0, 4.0]


def test_unknown_number_of_steps_is_refused_before_training():
    model = compiled()
    before = model.get_weights()
    source = (batch for batch in generator())
    with pytest.raises(ValueError, match="Pass steps_per_epoch= to fit"):
        fit(model, mm.Collect(SNAPSHOT), source=source, shuffle=False)
    assert_same(model.get_weights(), before)


@pytest.mark.skipif(BACKEND == "torch", reason="Keras has no steps_per_execution on torch")
def test_steps_per_execution():
    model = compiled(steps_per_execution=2)
    history = fit(model, mm.Collect(SNAPSHOT))
    assert [m.step for m in history.members] == [14, 28]
    with pytest.raises(ValueError, match=r"Expected multiples of 2 .* steps_per_execution=1"):
        fit(compiled(steps_per_execution=2), mm.Collect(At(10)))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(policy):
    keras.config.set_dtype_policy(policy)
    try:
        model = compiled()
        collect = mm.Collect(SNAPSHOT)
        fit(model, collect)
    finally:
        keras.config.set_dtype_policy("float32")
    assert len(collect.members) == 2
    np.testing.assert_allclose(float(model.optimizer.learning_rate), 0.05, rtol=1e-6)


def test_run_eagerly():
    history = fit(compiled(run_eagerly=True), mm.Collect(mm.recipes.snapshot(cycles=2, peak=0.1)), epochs=2)
    assert [m.step for m in history.members] == [7, 14]


def test_initial_epoch_shortens_the_run():
    history = fit(compiled(), mm.Collect(SNAPSHOT), epochs=6, initial_epoch=2)
    assert [m.step for m in history.members] == [14, 28]


@pytest.mark.parametrize("restore", [False, True])
def test_early_stopping_leaves_fewer_members(restore, capsys):
    stop = keras.callbacks.EarlyStopping(monitor="loss", patience=0, min_delta=10.0, restore_best_weights=restore)
    collect = mm.Collect(mm.recipes.checkpoints())
    fit(compiled(), collect, stop, verbose=2)
    assert len(collect.members) == 2
    assert "training ended at step 14: 2 of 4 members were collected" in capsys.readouterr().out


def test_stopping_in_mid_epoch():
    collect = mm.Collect(At(5, 20))
    history = fit(compiled(), collect, StopAt(9))
    assert [m.step for m in history.members] == [5]
