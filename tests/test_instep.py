"""Averages that the training step takes: exact, without a trace in training, in saved files, or in the optimizer afterwards."""

import keras
import numpy as np
import pytest

import manyminima as mm
from problems import BACKEND, assert_same, compiled, numbers, several_optimizers
from runs_of_100 import At, StopAt, X, Y, fit

CHECKPOINTS = mm.recipes.checkpoints()
END = mm.recipes.checkpoints(last=1)


class Watch(keras.callbacks.Callback):
    """Keeps the weights after every batch."""

    def on_train_begin(self, logs=None):
        self.before, self.seen = self.model.get_weights(), []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append([np.array(w) for w in self.model.get_weights()])

    @property
    def moved(self):
        """The weights after every step of the optimizer: not all batches are one."""
        pairs = zip([self.before, *self.seen], self.seen, strict=False)
        return [new for old, new in pairs if not np.array_equal(old[0], new[0])]


class Place:
    """Somewhere of a user's own, as small as it may be."""

    def __init__(self):
        self.steps = []

    def add(self, weights, step, *, epoch, logs):
        self.steps.append(step)

    def __iter__(self):
        return iter(())


class Crash(keras.callbacks.Callback):
    def on_train_batch_begin(self, batch, logs=None):
        if batch == 3:
            raise RuntimeError("stop")


def only(fold):
    (weights,) = list(fold)
    return weights


def by_hand(fold, seen):
    """A plain loop in float64: the sum of the weights that were seen, each by its share, and the sum of the shares."""
    begin, rule = round(fold.start * len(seen)), fold.rule
    taken = [w for n, w in enumerate(seen, 1) if n > begin and (n - begin) % fold.every == 0]
    sums, mass = [0.0] * len(taken[0]), 0.0
    for n, weights in enumerate(taken, 1):
        keep, share = 1.0, 1.0
        if rule.kind == "ema":
            keep = min(rule.decay, n / (9 + n) if n > 1 else 0.0) if rule.warmup else rule.decay
            share = 1 - keep
        sums = [keep * s + share * w.astype("float64") for s, w in zip(sums, weights, strict=True)]
        mass = keep * mass + share
    return [s / mass for s in sums]


def assert_averaged(model, fold, seen):
    """What is trained is the average, all else the newest; the model itself holds the newest of all."""
    columns = zip(only(fold), by_hand(fold, seen), model.get_weights(), model.weights, strict=True)
    for found, mean, newest, variable in columns:
        if variable.trainable:
            assert np.abs(found - mean).max() <= 1e-6 * np.abs(mean).max()
            assert not np.array_equal(found, newest)
        else:
            np.testing.assert_array_equal(found, newest)


# -- what they are ---------------------------------------------------------------------------------------------------


def test_averages_of_every_step_are_those_of_a_plain_loop():
    folds = [mm.Ema(0.9), mm.Ema(0.9999), mm.Ema(0.8, every=3, warmup=True)]
    folds += [mm.Mean(every=1, start=0.5), mm.Mean(every=2)]
    model, watch = compiled(), Watch()
    fit(model, mm.Collect(END, into=folds), watch)
    for fold in folds:
        assert_averaged(model, fold, watch.seen)
    assert_same(model.get_weights(), watch.seen[-1])


def test_one_update_for_each_optimizer_step_of_several_fits():
    """Under gradient accumulation the weights move once in several batches, counted on from one `fit` to the next."""
    optimizer = keras.optimizers.Adam(0.01, gradient_accumulation_steps=3)
    model, watch, ema = compiled(optimizer=optimizer), Watch(), mm.Ema(0.8)
    collect = mm.Collect(END, into=ema)
    for steps in (2, 2, 3):  # after batches 3 and 6; 9 and 12; 15, 18 and 21
        fit(model, collect, watch, epochs=1)
        assert len(watch.moved) == steps
        assert_averaged(model, ema, watch.moved)


def test_several_optimizers():
    model, watch, ema = compiled(optimizer=several_optimizers()), Watch(), mm.Ema(0.8)
    fit(model, mm.Collect(END, into=ema), watch)
    assert_averaged(model, ema, watch.seen)


def test_scaled_losses():
    """Steps whose gradients overflow are no steps of the optimizer: the weights stay, and count once."""
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model, watch, ema = compiled(0.01), Watch(), mm.Ema(0.8)
        fit(model, mm.Collect(END, into=ema), watch, epochs=2)
    finally:
        keras.config.set_dtype_policy("float32")
    assert_averaged(model, ema, watch.moved)


def test_half_precision_is_summed_wide():
    """What a step moves the average by vanishes below the epsilon of the weights' type."""
    dense = keras.layers.Dense(3, "softmax", dtype="bfloat16", kernel_initializer="ones")
    model = keras.Sequential([keras.Input((4,)), dense])
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    ema, watch = mm.Ema(0.99), Watch()
    fit(model, mm.Collect(END, into=ema), watch)
    for found, exact in zip(only(ema), by_hand(ema, watch.seen), strict=True):
        np.testing.assert_allclose(found.astype("float64"), exact, rtol=2**-8)


def test_constraints_hold_for_what_is_averaged():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "softmax", kernel_constraint="non_neg")])
    model.compile(keras.optimizers.SGD(0.5), "sparse_categorical_crossentropy")
    ema = mm.Ema(0.9)
    fit(model, mm.Collect(END, into=ema))
    assert only(ema)[0].min() >= 0


def test_an_ensemble_of_averages(tmp_path):
    """Each member is the moving average at the moment of collection, be it within an epoch."""
    model, watch = compiled(), Watch()
    ema = mm.Ema(0.8, into=tmp_path / "run")
    fit(model, mm.Collect(mm.recipes.snapshot(cycles=3, peak=0.1), into=ema), watch)
    ensemble = mm.load(tmp_path / "run")
    assert [(m["kind"], m["step"]) for m in ensemble.about["members"]] == [("ema", 10), ("ema", 19), ("ema", 28)]
    for member, end in zip(ensemble, (10, 19, 28), strict=True):
        columns = zip(member, by_hand(ema, watch.seen[:end]), watch.seen[end - 1], model.weights, strict=True)
        for found, mean, newest, variable in columns:
            np.testing.assert_allclose(found, mean if variable.trainable else newest, rtol=1e-5, atol=1e-7)


def test_the_mean_of_what_a_recipe_collects(tmp_path):
    mean, window = mm.Mean(), mm.LastK(2)
    fit(compiled(), mm.Collect(CHECKPOINTS, into=[tmp_path / "run", mean, window]))
    members = list(mm.Snapshots(tmp_path / "run"))
    for fold, collected in ((mean, members), (window, members[-2:])):
        for found, column in zip(only(fold), zip(*collected, strict=True), strict=True):
            np.testing.assert_allclose(found, np.mean(column, axis=0, dtype="float64"), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("recipe", "kinds"),
    [
        (mm.recipes.ema(0.9), ["ema"]),
        (mm.recipes.lawa(2), ["lawa"] * 4),
        (mm.recipes.polyak(3), ["snapshot"] * 3),
        (mm.recipes.swa(0.5), ["snapshot"] * 2),
    ],
)
def test_recipes_that_are_averages(recipe, kinds, tmp_path):
    """In memory there is one member: the newest average of those on disk, or the mean of the members there."""
    collect = mm.Collect(recipe)
    fit(compiled(), collect)
    fit(compiled(), mm.Collect(recipe, into=tmp_path / "run"))
    ensemble = mm.load(tmp_path / "run")
    assert [m["kind"] for m in ensemble.about["members"]] == kinds
    for found, column in zip(only(collect.members), zip(*ensemble, strict=True), strict=True):
        mixed = kinds[0] == "snapshot" and found.dtype.kind == "f"
        expected = np.mean(column, axis=0, dtype="float64") if mixed else column[-1]
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7 * mixed)


# -- what they do not do ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: keras.optimizers.SGD(0.05, momentum=0.9),
        lambda: keras.optimizers.AdamW(0.01, clipnorm=0.5, use_ema=True, ema_overwrite_frequency=3),
        lambda: keras.optimizers.Adam(0.01, gradient_accumulation_steps=2),
    ],
    ids=["sgd", "adamw", "accumulating"],
)
def test_training_is_bit_identical(optimizer):
    averaged, plain = compiled(optimizer=optimizer()), compiled(optimizer=optimizer())
    history = fit(averaged, mm.Collect(CHECKPOINTS, into=[mm.Ema(0.9), mm.Mean(every=2)]))
    expected = fit(plain)
    assert_same(averaged.get_weights(), plain.get_weights())
    assert_same(numbers(averaged.optimizer.variables), numbers(plain.optimizer.variables))
    assert history.history == expected.history


def assert_ordinary(optimizer, variables):
    assert len(optimizer.variables) == variables
    assert not {"apply", "save_own_variables", "_get_current_learning_rate"} & set(vars(optimizer))


def test_nothing_stays_in_the_optimizer():
    model = compiled()
    fit(model, epochs=1)
    variables = len(model.optimizer.variables)
    fit(model, mm.Collect(CHECKPOINTS, into=[mm.Ema(0.9), mm.Ema(0.5)]), epochs=1)
    assert_ordinary(model.optimizer, variables)
    collects = [mm.Collect(CHECKPOINTS, into=mm.Ema(0.9)), mm.Collect(CHECKPOINTS, into=mm.Mean(every=2))]
    with pytest.raises(RuntimeError, match="stop"):
        fit(model, *collects, Crash())
    watch = Watch()
    fit(model, *collects, watch, epochs=2)
    assert_ordinary(model.optimizer, variables)
    for collect in collects:
        assert_averaged(model, collect.members, watch.seen)


def test_after_an_exception_the_model_holds_the_raw_weights():
    crashed, plain = compiled(), compiled()
    for model, callbacks in ((crashed, [mm.Collect(CHECKPOINTS, into=mm.Ema(0.9))]), (plain, [])):
        with pytest.raises(RuntimeError, match="stop"):
            fit(model, *callbacks, Crash())
    assert_same(crashed.get_weights(), plain.get_weights())


def test_after_our_own_error_nothing_stays_either():
    class Full(Place):
        def add(self, weights, step, *, epoch, logs):
            raise OSError("disk full")

    model = compiled()
    fit(model, epochs=1)
    variables = len(model.optimizer.variables)
    with pytest.raises(OSError, match="disk full"):
        fit(model, mm.Collect(CHECKPOINTS, into=[mm.Ema(0.9), Full()]))
    assert_ordinary(model.optimizer, variables)


def test_files_saved_meanwhile_are_ordinary(tmp_path):
    path = tmp_path / "mid.keras"
    model = compiled(optimizer=keras.optimizers.Adam(0.01))
    fit(model, mm.Collect(CHECKPOINTS, into=mm.Ema(0.9)), keras.callbacks.ModelCheckpoint(path), epochs=2)
    loaded = keras.saving.load_model(path)  # a warning, which is an error here, would say that slots are missing
    assert_same(loaded.get_weights(), model.get_weights())
    assert_same(numbers(loaded.optimizer.variables), numbers(model.optimizer.variables))


@pytest.mark.skipif(BACKEND == "torch", reason="Keras has no steps_per_execution on torch")
def test_several_steps_at_once():
    x, y = X[:96], Y[:96]  # six batches
    together, single = mm.Ema(0.9), mm.Ema(0.9)
    fit(compiled(steps_per_execution=3), mm.Collect(CHECKPOINTS, into=together), source=(x, y), epochs=2)
    fit(compiled(), mm.Collect(CHECKPOINTS, into=single), source=(x, y), epochs=2)
    for a, b in zip(only(together), only(single), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_an_average_that_has_not_begun_is_refused_before_training():
    seen = []
    watch = keras.callbacks.LambdaCallback(on_train_batch_begin=lambda batch, logs: seen.append(batch))
    for fold in (mm.Mean(every=1, start=0.5), mm.Ema(0.9, every=10)):
        with pytest.raises(ValueError, match="nothing to collect. Lower every= or start=, or collect later"):
            fit(compiled(), mm.Collect(At(7, 28), into=fold), watch)
    assert seen == []


@pytest.mark.parametrize("last", [10, 14], ids=["within", "at the end of"])
def test_a_training_that_ends_early_hands_over_what_there_is(last):
    watch, ema, place, model = Watch(), mm.Ema(0.9), Place(), compiled()
    fit(model, mm.Collect(At(7, 28), into=[ema, mm.Ema(0.5, into=place)]), watch, StopAt(last))
    assert len(watch.seen) == last
    assert_averaged(model, ema, watch.seen)
    assert place.steps == [7, last]


def test_nothing_is_handed_over_that_the_recipe_does_not_ask_for():
    place, ema = Place(), mm.Ema(0.9)
    fit(compiled(), mm.Collect(At(7, 10), into=[mm.Ema(0.9, into=place), ema]), epochs=2)
    assert place.steps == [7, 10]
    assert [member.step for member in ema.members] == [10]


def test_an_average_that_is_named_twice():
    with pytest.raises(ValueError, match="the same average twice: leave one out, or make two of them"):
        mm.Collect(END, into=[mm.Ema(0.9)] * 2)
    shared = mm.Mean()
    with pytest.raises(ValueError, match="the same average twice: leave one out, or make two of them"):
        fit(compiled(), mm.Collect(END, into=shared), mm.Collect(END, into=shared), epochs=1)
