"""What models and data the engine takes, in one program where that is possible, and what it says where it is not."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import manyminima as mm
from engine_runs import BATCH, EPOCHS, X, Y, alone, assert_members, layers, model, of_replica, small, together
from manyminima.datasets import Batches
from manyminima.training.engine.data import Feed
from manyminima.training.engine.replicas import train_replicas
from problems import BACKEND, assert_same, two_heads

jax_only = pytest.mark.skipif(BACKEND != "jax", reason="elsewhere replicas are trained by fit itself")
LAST = mm.recipes.checkpoints(last=1)
optimizers = keras.optimizers


@jax_only
@pytest.mark.parametrize(
    "build",
    [
        lambda: model(optimizers.Adam(0.01, gradient_accumulation_steps=2, clipnorm=1.0)),
        lambda: model(optimizers.SGD(0.05, use_ema=True, ema_momentum=0.9)),
        lambda: model(optimizers.AdamW(keras.optimizers.schedules.CosineDecay(0.01, 28))),
    ],
    ids=["accumulated", "ema", "schedule"],
)
def test_options_of_compile_are_keras_own(build):
    found = together(LAST, build=build, replicas=1)
    assert found.about["engine"]["execution"] == "stacked"
    assert_members(list(found), alone(5, LAST, build=build, epochs=EPOCHS)[0])


@jax_only
def test_mixed_precision_has_a_loss_scale_of_each_replica():
    def build():
        network = keras.Sequential(
            [keras.Input((4,)), layers.Dense(8, "relu", dtype="mixed_float16"), layers.Dense(3, "softmax")]
        )
        optimizer = optimizers.LossScaleOptimizer(optimizers.SGD(0.05), initial_scale=2.0**18)
        network.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy")
        return network

    recipe = mm.recipes.snapshot(cycles=2, peak=0.1)
    found = together(recipe, build=build)
    assert found.about["engine"]["execution"] == "stacked"
    assert_members(of_replica(found, 1), alone(6, recipe, build=build)[0], 2e-3)


class Counting(layers.Dense):
    """Keeps in Python how often it was called."""

    calls = 0

    def call(self, x):
        self.calls += 1
        return super().call(x) * (1 + 0.1 * self.calls)


class Noisy(layers.Dense):
    """Has numbers of its own that are no variables."""

    def build(self, shape):
        self.noise = np.random.normal(size=self.units).astype("float32")  # noqa: NPY002
        super().build(shape)

    def call(self, x):
        return super().call(x) + self.noise


class Assigning(keras.Model):
    """Has a training step that writes to a variable."""

    def train_step(self, state, data):
        self.counter.assign(self.counter + 1)
        return super().train_step(state, data)


def of_layer(layer, **options):
    network = keras.Sequential([keras.Input((4,)), layer(3), layers.Softmax()])
    network.compile(**{"optimizer": "sgd", "loss": "sparse_categorical_crossentropy", **options})
    return network


def assigning():
    inputs = keras.Input((4,))
    network = Assigning(inputs, layers.Dense(3, "softmax")(inputs))
    network.counter = keras.Variable(0.0, trainable=False)
    network.compile("sgd", "sparse_categorical_crossentropy")
    return network


@jax_only
@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (lambda: of_layer(Counting), "each time it is traced"),
        (lambda: of_layer(Noisy), "constants that are not variables"),
        (lambda: of_layer(layers.Dense, run_eagerly=True), "run_eagerly"),
    ],
    ids=["state in Python", "constants", "eager"],
)
def test_models_that_fit_no_program_are_fitted(build, reason):
    with pytest.warns(UserWarning, match=f"one fit after the other.*{reason}"):
        found = together(LAST, build=build, epochs=1)
    assert found.about["engine"]["execution"] == "fit"
    assert_members(of_replica(found, 1), alone(6, LAST, build=build, epochs=1)[0])


@jax_only
def test_a_step_that_writes_to_variables_is_left_to_fit():
    from manyminima.training.engine.start import Impure
    from manyminima.training.engine.step import trace_step

    network = assigning()
    network._symbolic_build(data_batch=(X, Y))
    network.optimizer.build(network.trainable_variables)
    before = network.counter.value
    with pytest.raises(Impure, match="assigns to variables itself"):
        trace_step(network, (X, Y), driven=False)
    assert network.counter.value is before


class Own(keras.Model):
    """Has a training step of its own, pure, with a log of its own."""

    def train_step(self, state, data):
        logs, state = super().train_step(state, data)
        return {"twice": 2 * logs["loss"]}, state


@jax_only
@pytest.mark.parametrize("execution", ["stacked", "unrolled"])
def test_a_pure_step_of_ones_own_is_run(execution):
    def build():
        inputs = keras.Input((4,))
        network = Own(inputs, layers.Dense(3, "softmax")(inputs))
        network.compile("sgd", "sparse_categorical_crossentropy")
        return network

    found = together(LAST, build=build, execution=execution)
    assert found.about["engine"]["execution"] == execution
    members, history = alone(6, LAST, build=build)
    assert_members(of_replica(found, 1), members, 1e-5)
    np.testing.assert_allclose(np.array(found.about["history"]["twice"])[:, 1], history.history["twice"], rtol=1e-5)


def test_models_that_are_built_by_their_data():
    def build():
        network = keras.Sequential([layers.Dense(3, "softmax")])
        network.compile("sgd", "sparse_categorical_crossentropy")
        return network

    found = together(LAST, build=build)
    assert len(found) == 2
    assert np.abs(found[0][0] - found[1][0]).max() > 0.01


def test_several_inputs_and_outputs():
    x, y = two_heads(X, Y)[1:]
    found = together(LAST, build=lambda: two_heads(X, Y)[0], x=x, y=y, epochs=2)
    assert {name: p.shape for name, p in found.predict(x).items()} == {"kind": (100, 3), "size": (100, 1)}
    assert len(found.about["history"]["loss"]) == 2


rows_of_data = st.integers(1, 40)


@given(
    rows=rows_of_data,
    batch=st.integers(1, 40),
    epochs=st.integers(1, 45),
    room=st.sampled_from([0, 100, 10**6]),
    work=st.sampled_from([0, 1e8, 1e12]),
)
def test_chunks_are_the_batches_of_every_replica(rows, batch, epochs, room, work):
    """Whether data stay on the device or come in pieces, each step sees the rows that `Batches` defines."""
    x, batch, seeds = np.arange(rows, dtype="float32") * 3, min(batch, rows), (4, 9, 4)
    feed = Feed((x,), batch, seeds, epochs, room)
    feed.cut(work)
    at = 0
    for chunk in feed.chunks():
        (data,) = feed.data if feed.resident else chunk.data
        assert chunk.first == at
        for step in range(chunk.first, chunk.last):
            epoch, i = divmod(step, feed.steps)
            for replica, seed in enumerate(seeds):
                numbers = chunk.rows[epoch - chunk.epoch, replica, i * batch : (i + 1) * batch]
                (expected,) = Batches(x, batch_size=batch, seed=seed, epoch=epoch)[i]
                np.testing.assert_array_equal(data[numbers], expected)
        at = chunk.last
    assert at == epochs * feed.steps


def test_the_more_work_an_epoch_is_the_fewer_are_done_at_once():
    """Between two chunks progress is told, and Ctrl-C heard."""
    feed = Feed((np.zeros((64, 1), "float32"),), 16, (1, 2), 200, 10**6)
    found = []
    for work in (0, 1e3, 5e8, 1e12):
        feed.cut(work)
        found.append(feed.shape)
    assert found == [(10, 2, 64), (10, 2, 64), (5, 2, 64), (1, 2, 64)]


@jax_only
@pytest.mark.parametrize("room", [0, 1000])
def test_data_that_do_not_fit_are_sent_in_chunks(room):
    recipes = [LAST, LAST]
    held = together(LAST)
    sent = train_replicas(model, (X, Y), recipes, [5, 6], epochs=EPOCHS, batch_size=BATCH, room=room)
    assert (held.about["engine"]["resident"], sent.about["engine"]["resident"]) == (True, False)
    for a, b in zip(held, sent, strict=True):
        assert_same(a, b)
    assert held.about["history"] == sent.about["history"]


SCRIPT = """
import sys
import numpy as np
from engine_runs import small, together
import manyminima as mm
from manyminima.training.engine import program as programs
for execution in ("stacked", "unrolled"):
    run = sys.argv[1] + execution + "_run"
    found = together(mm.recipes.snapshot(cycles=3, peak=0.1), replicas=4, build=small, execution=execution, into=run)
    assert found.about["engine"]["devices"] == 2, found.about["engine"]
    assert "tensorflow" not in sys.modules  # importing it would take longer than all of this
    program = list(programs._programs.values())[-1]
    assert execution == "unrolled" or len(program._compiled) == 1
    np.savez(sys.argv[1] + execution, *[w for member in found for w in member])
"""


@jax_only
def test_replicas_are_spread_over_devices(tmp_path):
    flags = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=2"
    here = Path(__file__).parent
    subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "found-")],
        env={**os.environ, "XLA_FLAGS": flags, "PYTHONPATH": str(here), "JAX_PLATFORMS": "cpu"},
        check=True,
    )
    for execution in ("stacked", "unrolled"):
        expected = [w for member in together(build=small, replicas=4, execution=execution) for w in member]
        with np.load(tmp_path / f"found-{execution}.npz") as found:
            assert len(found.files) == len(expected)
            for name, array in zip(found.files, expected, strict=True):
                np.testing.assert_allclose(found[name], array, rtol=2e-4, atol=2e-5)


def seeded():
    network = keras.Sequential(
        [keras.Input((4,)), layers.Dense(3, kernel_initializer=keras.initializers.GlorotUniform(1))]
    )
    network.compile("sgd", "sparse_categorical_crossentropy")
    return network


builders = itertools.cycle([small, lambda: small(units=4)])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"replicas": 0}, ValueError, "replicas=0: expected a whole number of at least 1"),
        ({"replicas": 2.0}, ValueError, "replicas=2.0: expected a whole number"),
        ({"seed": -1}, ValueError, "seed=-1: expected a whole number of at least 0"),
        ({"seed": 2**32}, ValueError, r"Keras takes seeds below 2\*\*32"),
        ({"epochs": 0}, ValueError, "epochs=0: expected"),
        ({"batch_size": 0}, ValueError, "batch_size=0: expected"),
        ({"batch_size": 101}, ValueError, "larger than the data, which have 100 rows. Write batch_size=100"),
        ({"x": X[:0], "y": Y[:0]}, ValueError, "no rows. Expected at least one"),
        ({"x": X[:50]}, ValueError, r"different lengths: \[50, 100\]"),
        ({"x": (row for row in X), "y": None}, TypeError, "expected arrays.*Pass x and y as NumPy arrays"),
        ({"x": Batches(X, Y), "y": None}, TypeError, "x is a Batches.*Pass x and y as NumPy arrays"),
        ({"x": X.astype(str)}, TypeError, "where numbers were expected. Write x.astype"),
        ({"recipe": mm.recipes.snapshot}, TypeError, "expected a recipe, such as"),
        ({"recipe": mm.recipes.snapshot(cycles=99, peak=1)}, ValueError, "Ask for fewer cycles"),
        ({"into": mm.Mean()}, TypeError, 'Write into=None or into="runs/x".*mm.recipes.ema'),
        ({"execution": "mapped"}, ValueError, 'choose "auto", "stacked" or "unrolled"'),
        ({"validation_data": X}, ValueError, "expected (.x, y.)"),
        ({"build": lambda: None}, TypeError, "End the function with return model"),
        ({"build": lambda: keras.Sequential([layers.Dense(3)])}, ValueError, "call model.compile"),
        (
            {"build": lambda: of_layer(layers.Dense, optimizer=None)},
            ValueError,
            "without an optimizer: write model.compile",
        ),
    ],
)
def test_bad_input_is_refused_before_training(options, error, message):
    with pytest.raises(error, match=message):
        together(**{"recipe": LAST, **options})


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (seeded, "same first weights under seed 5 and under seed 6.*Leave seed= out"),
        *([(lambda: next(builders)(), "another architecture under seed 6")] if BACKEND == "jax" else []),
    ],
)
def test_replicas_must_differ_in_their_weights_alone(build, message):
    with pytest.raises(ValueError, match=message):
        together(LAST, build=build)


@pytest.mark.parametrize(
    ("recipes", "seeds", "message"),
    [
        ([], [], "one of each for every replica, at least one"),
        ([LAST], [1, 2], "got 1 recipes and 2 seeds"),
        ([LAST, LAST], [1, 1], "they would be copies"),
        ([LAST, mm.recipes.checkpoints()], [1, 2], "collect at different steps.*differ in their rates only"),
        ([LAST, mm.recipes.snapshot(cycles=1, peak=0.1)], [1, 2], "only one sets the rate"),
        ([mm.recipes.ema(0.9), mm.recipes.ema(0.99)], [1, 2], "averages of different kinds"),
    ],
)
def test_replicas_share_one_program(recipes, seeds, message):
    with pytest.raises(ValueError, match=message):
        train_replicas(model, (X, Y), recipes, seeds, epochs=4, batch_size=16)
