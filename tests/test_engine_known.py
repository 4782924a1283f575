"""Training steps that are found again without a trace: only where a config tells all that a model computes."""

import keras
import numpy as np
import pytest

import manyminima as mm
from engine_runs import BATCH, X, Y, model, small, together
from problems import BACKEND, assert_same

pytestmark = pytest.mark.skipif(BACKEND != "jax", reason="elsewhere replicas are trained by fit itself")
if BACKEND == "jax":
    from manyminima.training.engine import known
    from manyminima.training.engine import together as together_
    from manyminima.training.engine.known import signature

layers, optimizers = keras.layers, keras.optimizers
SNAPSHOT = mm.recipes.snapshot(cycles=2, peak=0.1)


def of(network, rows=BATCH, driven=True):
    return signature(network, (X[:rows], Y[:rows]), driven)


def scaled(mean):
    network = keras.Sequential([keras.Input((4,)), layers.Normalization(mean=mean, variance=1.0), layers.Dense(3)])
    network.compile("sgd", "mse")
    return network


def adapted(x):
    scale = layers.Normalization()
    scale.adapt(x)
    network = keras.Sequential([keras.Input((4,)), scale, layers.Dense(3)])
    network.compile("sgd", "mse")
    return network


def with_layer(layer, **options):
    network = keras.Sequential([keras.Input((4,)), layer, layers.Dense(3, "softmax")])
    network.compile(**{"optimizer": "sgd", "loss": "sparse_categorical_crossentropy", **options})
    return network


@pytest.mark.parametrize("build", [model, small, lambda: adapted(X), lambda: with_layer(layers.Dense(8, "gelu"))])
def test_models_of_one_architecture_have_one_signature(build):
    assert of(build()) == of(build()) is not None


def test_the_average_that_a_step_takes_is_part_of_it():
    def averaged(average, start=0):
        return signature(small(), (X[:BATCH], Y[:BATCH]), False, (average.rule, average.every, start, None))

    assert averaged(mm.Ema(0.9)) == averaged(mm.Ema(0.9)) is not None
    others = [
        averaged(mm.Ema(0.8)),
        averaged(mm.Ema(0.9, every=2)),
        averaged(mm.Ema(0.9), 5),
        of(small(), driven=False),
    ]
    assert len({averaged(mm.Ema(0.9)), *others}) == 5
    own = type("Own", (), {"__module__": "__main__"})()
    assert signature(small(), (X[:BATCH], Y[:BATCH]), False, (own, 1, 0, None)) is None


def test_the_rate_is_no_part_of_it():
    assert of(small(optimizer=optimizers.SGD(0.1))) == of(small(optimizer=optimizers.SGD(0.2)))


@pytest.mark.parametrize(
    "other",
    [
        lambda: of(small(units=4)),
        lambda: of(small(optimizer=optimizers.SGD(0.1, momentum=0.5))),
        lambda: of(small(optimizer=optimizers.SGD(0.1, clipnorm=1.0))),
        lambda: of(small(optimizer=optimizers.SGD(optimizers.schedules.CosineDecay(0.1, 9)))),
        lambda: of(small(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))),
        lambda: of(small(metrics=["accuracy"])),
        lambda: of(small(metrics=[keras.metrics.SparseCategoricalAccuracy(name="hits")])),
        lambda: of(with_layer(layers.Dense(3, dtype="mixed_float16"))),
        lambda: of(small(), rows=8),
        lambda: of(small(), driven=False),
    ],
)
def test_whatever_changes_the_step_changes_the_signature(other):
    assert of(small()) != other() is not None


def test_surroundings_and_constants_are_part_of_it(monkeypatch):
    assert len({of(scaled(0.0)), of(scaled(1.0)), of(adapted(X)), of(adapted(X + 1))}) == 4
    before = of(small())
    epsilon = keras.config.epsilon()
    try:
        keras.config.set_epsilon(1e-5)
        assert of(small()) != before
    finally:
        keras.config.set_epsilon(epsilon)
    frozen = with_layer(layers.Dense(8))
    before = of(frozen)
    frozen.layers[0].trainable = False
    assert of(frozen) != before


class Own(layers.Dense):
    """A layer of the user's own."""


def functional():
    inputs = keras.Input((4,))
    network = keras.Model(inputs, layers.Dense(3)(inputs))
    network.compile("sgd", "mse")
    return network


def replaced():
    network = small()
    network.layers[0].call = lambda x: x[:, :3]
    return network


def exempt():
    optimizer = optimizers.AdamW(0.01)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return small(optimizer=optimizer)


@pytest.mark.parametrize(
    "build",
    [
        functional,
        replaced,
        exempt,
        lambda: with_layer(Own(3)),
        lambda: with_layer(layers.Lambda(lambda x: x)),
        lambda: with_layer(layers.Dense(3, activation=lambda x: x)),
        lambda: small(loss=lambda y, found: keras.ops.mean(found)),
        lambda: small(metrics=[lambda y, found: keras.ops.mean(found)]),
    ],
    ids=["functional", "replaced method", "exempt", "own layer", "lambda", "own activation", "own loss", "own metric"],
)
def test_where_configs_do_not_tell_there_is_none(build):
    assert of(build()) is None


@pytest.mark.parametrize("recipe", [SNAPSHOT, mm.recipes.ema(0.9)], ids=["schedule", "average"])
def test_a_step_that_is_known_is_not_traced_again(recipe, monkeypatch):
    """And trains the same; also with another number of replicas, whose program is another."""
    monkeypatch.setattr(known, "_known", type(known._known)())
    options = {"build": model, "epochs": 2, "validation_data": (X[:30], Y[:30])}
    first = together(recipe, **options)
    traced, trace = [], together_.trace_step
    monkeypatch.setattr(together_, "trace_step", lambda *args: traced.append(1) or trace(*args))
    again, three = together(recipe, **options), together(recipe, **options, replicas=3)
    assert len(traced) == 1  # the smaller last batch of the program for three
    for ours, theirs in zip(again, first, strict=True):
        assert_same(ours, theirs)
    assert again.about["history"] == first.about["history"]
    assert [m["logs"] for m in again.about["members"]] == [m["logs"] for m in first.about["members"]]
    assert np.isfinite(three.predict(X)).all()


def test_a_known_step_serves_models_that_are_not_built_to_the_end(monkeypatch):
    monkeypatch.setattr(known, "_known", type(known._known)())
    first, again = (together(SNAPSHOT, build=small, epochs=2) for _ in range(2))
    assert_same(again.model.get_weights(), first.model.get_weights())
    assert again.evaluate(X, Y) == first.evaluate(X, Y)
