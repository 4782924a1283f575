"""Collecting in unusual company: other precisions, schedules that are not ours, refusals, metrics of several classes."""

import copy
import random

import keras
import numpy as np
import pytest

import manyminima as mm
from manyminima.schedules import CosineCycles
from problems import BACKEND, assert_same, compiled, data, layers, network, numbers, several_optimizers
from runs_of_100 import SNAPSHOT, STEPS, At, X, Y, fit

CHECKPOINTS = mm.recipes.checkpoints()


class Own:
    """A recipe of a user's own, with a rate."""

    def __init__(self, lr):
        self.lr = lr

    def plan(self, epochs, steps_per_epoch):
        return mm.recipes.Plan(self.lr, mm.when.Every(steps_per_epoch))


def test_mixed_precision_trains_as_with_the_same_schedule():
    """Where losses are scaled, the rate is that of the optimizer inside."""
    keras.config.set_dtype_policy("mixed_float16")
    try:
        collected, reference = compiled(0.05), compiled(CosineCycles(0.1, 2 * STEPS))
        fit(collected, mm.Collect(SNAPSHOT))
        fit(reference)
    finally:
        keras.config.set_dtype_policy("float32")
    assert_same(numbers(collected.weights), numbers(reference.weights))


def test_uncompiled_steps_have_the_rate_too():
    options = {"jit_compile": False} if BACKEND == "tensorflow" else {"run_eagerly": True}
    collected, reference = compiled(0.05, **options), compiled(CosineCycles(0.1, STEPS), **options)
    fit(collected, mm.Collect(mm.recipes.snapshot(cycles=2, peak=0.1)), epochs=2)
    fit(reference, epochs=2)
    assert_same(collected.get_weights(), reference.get_weights())


def test_rates_set_by_hand_give_the_same_weights():
    """One recipe after another, then none: a step that was compiled for one rate must not serve the next."""
    collected, reference = compiled(0.05, plain=True), compiled(0.05, plain=True)
    for peak in (0.2, 0.001):
        fit(collected, mm.Collect(mm.recipes.snapshot(cycles=1, peak=peak)), epochs=1, shuffle=False)
        for step in range(STEPS):
            reference.optimizer.learning_rate = CosineCycles(peak, STEPS)(step)
            reference.train_on_batch(X[16 * step : 16 * step + 16], Y[16 * step : 16 * step + 16])
        for mine, theirs in zip(collected.get_weights(), reference.get_weights(), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-6)
    reference.optimizer.learning_rate = 0.05
    fit(collected, epochs=1, shuffle=False)
    fit(reference, epochs=1, shuffle=False)
    for mine, theirs in zip(collected.get_weights(), reference.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "lr",
    [
        lambda total: keras.optimizers.schedules.CosineDecay(0.1, total),
        lambda total: lambda step: 0.1 / (1 + keras.ops.cast(step, "float32")),
    ],
    ids=["keras", "function"],
)
def test_a_recipe_may_bring_any_schedule(lr, tmp_path):
    schedule = lr(2 * STEPS)
    history = fit(compiled(), mm.Collect(Own(schedule), into=tmp_path), epochs=2)
    expected = [float(keras.ops.convert_to_numpy(schedule(n - 1))) for n in (STEPS, 2 * STEPS)]
    np.testing.assert_allclose(history.history["learning_rate"], expected, rtol=1e-6)
    curve = mm.Snapshots(tmp_path).run["lr_curve"]
    assert curve["rates"][curve["steps"].index(STEPS - 1)] == pytest.approx(expected[0])


# -- refusals leave nothing behind -----------------------------------------------------------------------------------


class Setter(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.model.optimizer.learning_rate = 0.05 if epoch == 0 else 0.001


class Broken:
    def add(self, weights, step, *, epoch, logs):
        raise OSError("disk full")

    def __iter__(self):
        return iter(())


@pytest.mark.parametrize(
    ("callbacks", "error"),
    [
        (lambda: [mm.Collect(SNAPSHOT), mm.Collect(SNAPSHOT)], "both"),
        (lambda: [mm.Collect(SNAPSHOT), mm.Collect(At(99))], "at least one member"),
        (lambda: [mm.Collect(SNAPSHOT), Setter()], "Remove the callback"),
        (lambda: [mm.Collect(SNAPSHOT, best="max:val_kappa")], "val_kappa"),
        (lambda: [mm.Collect(SNAPSHOT, into=Broken())], "disk full"),
    ],
    ids=["two rates", "another recipe", "rival", "unknown log", "fold"],
)
def test_after_our_own_errors_the_optimizer_has_its_rate_again(callbacks, error):
    model = compiled(0.05)
    with pytest.raises((ValueError, OSError), match=error):
        fit(model, *callbacks())
    model.optimizer.learning_rate = 0.05
    assert float(model.optimizer.learning_rate) == pytest.approx(0.05)
    history = fit(model, mm.Collect(SNAPSHOT), epochs=2)
    assert len(history.members) == 2


class CrashInMidEpoch(keras.callbacks.Callback):
    def on_train_batch_begin(self, batch, logs=None):
        if batch == 3:
            raise RuntimeError("stop")


def test_the_same_collect_works_after_a_crash_in_mid_epoch():
    model, collect = compiled(0.05), mm.Collect(mm.recipes.snapshot(cycles=2))
    with pytest.raises(RuntimeError, match="stop"):
        fit(model, collect, CrashInMidEpoch())
    fit(model, collect, epochs=2)
    assert len(collect.members) == 2
    assert float(model.optimizer.learning_rate) == pytest.approx(0.05)


def test_a_recipe_that_was_not_called():
    with pytest.raises(TypeError, match=r"such as mm.recipes.snapshot\(cycles=5, peak=0.1\)"):
        mm.Collect(mm.recipes.snapshot)


# -- what is said and kept -------------------------------------------------------------------------------------------


def test_metrics_of_several_classes_are_no_score_of_a_member(tmp_path):
    model, labels = network(), np.eye(3)[Y]
    model.compile("sgd", "categorical_crossentropy", metrics=[keras.metrics.F1Score(name="f1")])
    fit(model, mm.Collect(At(3, 14), into=tmp_path), source=(X, labels), validation_data=(X, labels), epochs=2)
    middle, end = mm.Snapshots(tmp_path).members
    assert set(middle.logs) == {"loss"}
    assert set(end.logs) == {"loss", "val_loss"}


@pytest.mark.parametrize("verbose", [1, "auto"])
def test_lines_are_not_mixed_with_the_progress_bar(verbose, capsys):
    fit(compiled(), mm.Collect(At(3, 7)), epochs=1, verbose=verbose)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in lines if line.startswith("member")] == [
        "member 1/2 at step 3",
        "member 2/2 at step 7",
    ]


def test_shuffling_of_arrays_is_as_without_us(tmp_path):
    """No seed is set between: whatever draws from the global generators, Collect does not."""
    runs = []
    for callbacks in ([], [mm.Collect(CHECKPOINTS, into=tmp_path / "run")]):
        keras.utils.set_random_seed(3)
        model = compiled(0.05)
        model.fit(X, Y, batch_size=16, epochs=2, verbose=0, callbacks=callbacks)
        runs.append([*model.get_weights(), random.random(), np.random.random(3)])  # noqa: NPY002
    assert_same(*runs)


def test_callbacks_are_copied_by_tuners():
    collect = copy.deepcopy(mm.Collect(SNAPSHOT))
    fit(compiled(), collect)
    assert len(collect.members) == 2


def test_generators_that_end_early_give_fewer_members():
    x, y = data(16 * 10)
    batches = ((x[16 * i : 16 * i + 16], y[16 * i : 16 * i + 16]) for i in range(10))
    with pytest.warns(UserWarning, match="ran out of data"):
        history = fit(
            compiled(), mm.Collect(CHECKPOINTS), source=batches, shuffle=False, steps_per_epoch=STEPS, epochs=2
        )
    assert [m.step for m in history.members] == [STEPS]


@pytest.mark.parametrize("nested", [lambda c: [[c]], lambda c: [c, []]])
def test_lists_within_callbacks(nested):
    """Keras itself refuses them before anything of ours is called, or takes the list apart; it never trains without us."""
    collect = mm.Collect(CHECKPOINTS)
    try:
        compiled().fit(X, Y, epochs=1, verbose=0, callbacks=nested(collect))
    except AttributeError as error:
        assert "'list' object has no attribute" in str(error)  # noqa: PT017
        assert BACKEND in ("jax", "torch")
    else:
        assert len(collect.members) == 1


def test_layers_that_draw_random_numbers_are_collected_with_their_seeds_untouched(tmp_path):
    x = np.random.default_rng(0).random((32, 4, 4, 1), "float32")
    collected, reference = (
        keras.Sequential(
            [
                keras.Input((4, 4, 1)),
                layers.RandomFlip(seed=1),
                layers.Flatten(),
                layers.Dropout(0.5, seed=2),
                layers.Dense(3, "softmax", kernel_initializer="ones"),
            ]
        )
        for _ in range(2)
    )
    for model, callbacks in ((collected, [mm.Collect(CHECKPOINTS, into=tmp_path / "run")]), (reference, [])):
        model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
        fit(model, *callbacks, source=(x, np.arange(32) % 3), epochs=2)
    assert_same(collected.get_weights(), reference.get_weights())
    assert_same(numbers(collected.non_trainable_variables), numbers(reference.non_trainable_variables))
    assert len(mm.load(tmp_path / "run")) == 2


def test_several_optimizers_have_no_single_rate():
    with pytest.raises(
        ValueError, match="drives one learning rate, and a MultiOptimizer has several. Compile with one"
    ):
        fit(compiled(optimizer=several_optimizers()), mm.Collect(SNAPSHOT))


class Notes(keras.callbacks.Callback):
    """Logs what is no single number, as callbacks of users do."""

    def on_epoch_end(self, epoch, logs=None):
        logs.update(note="warm", nothing=None, pair=np.array([1, 2]), rank=np.int64(3), half=np.float16(0.5))


def test_logs_that_are_no_number_are_left_out_of_members(tmp_path):
    collect = mm.Collect(CHECKPOINTS, into=tmp_path / "run", best="loss")
    fit(compiled(), Notes(), collect, epochs=1)
    (member,) = mm.Snapshots(tmp_path / "run").members
    assert member.logs.keys() == {"loss", "accuracy", "rank", "half"}
    assert (member.logs["rank"], member.logs["half"]) == (3, 0.5)


class Planned:
    """A recipe of a user's own that returns any plan."""

    def __init__(self, plan):
        self.made = plan

    def plan(self, epochs, steps_per_epoch):
        return self.made


@pytest.mark.parametrize(
    "plan", [None, (0.1, mm.when.At((1,))), mm.recipes.Plan(0.1, mm.when.At((1,))), mm.recipes.Plan(None, 3)]
)
def test_a_plan_is_two_functions_of_the_step(plan):
    with pytest.raises(TypeError, match=r"plan\(\) returned .*, expected mm.recipes.Plan\(lr, when\)"):
        fit(compiled(), mm.Collect(Planned(plan)), epochs=1)


def test_a_log_to_watch_has_a_name():
    with pytest.raises(TypeError, match='best=3: expected the name of a log, such as best="val_loss"'):
        mm.Collect(CHECKPOINTS, best=3)
