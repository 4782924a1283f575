"""Weights that are not finite are never stored, and the user hears of it at once: in the program, in the run, in the report."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import manyminima as mm
from manyminima.reporting import about
from manyminima.training.diverged import Finite
from problems import assert_same, compiled, head
from runs_of_100 import STEPS, At, X, Y, fit

CHECKPOINTS = mm.recipes.checkpoints()


class Breaks(keras.callbacks.Callback):
    """Makes a bias of the last layer `value` before batch `step`, and whole again before batch `until`."""

    def __init__(self, step, value=np.nan, until=None):
        super().__init__()
        self.step, self.value, self.until, self.seen = step, value, until, 0

    def on_train_batch_begin(self, batch, logs=None):
        if self.seen == self.step:
            self.before = self.model.get_weights()
            bias = self.before[-1].copy()
            bias[0] = self.value
            self.model.set_weights([*self.before[:-1], bias])
        if self.seen == self.until:
            self.model.set_weights(self.before)
        self.seen += 1


def test_training_stops_with_an_error(tmp_path):
    steps = []
    counting = keras.callbacks.LambdaCallback(on_train_batch_begin=lambda batch, logs: steps.append(batch))
    with pytest.raises(
        FloatingPointError, match=r"by step 14: .* 'net/dense.*/kernel' holds .*NaN.* 1 of 4 members.*clipnorm"
    ):
        fit(compiled(), mm.Collect(CHECKPOINTS, into=tmp_path / "run"), Breaks(10), counting)
    assert len(steps) == 2 * STEPS
    run = mm.Snapshots(tmp_path / "run")
    assert [m.step for m in run.members] == [7]
    ((left),) = run.left_out
    assert left["step"] == 14
    assert "the weights were not finite at epoch 2" in left["why"]
    assert "loss nan" in left["why"]


def test_going_on_is_a_choice(tmp_path, capsys):
    collect = mm.Collect(CHECKPOINTS, into=tmp_path / "run", diverged="go on")
    history = fit(compiled(), collect, Breaks(10, np.inf), verbose=2)
    assert len(history.history["loss"]) == 4
    assert [m.step for m in history.members] == [7]
    assert [left["step"] for left in collect.members.left_out] == [14, 21, 28]
    out = capsys.readouterr().out
    assert "nothing is collected after step 14: the weights were not finite at epoch 2" in out
    assert "training ended at step 28: 1 of 4 members were collected" in out


def test_what_is_finite_again_is_collected_again():
    history = fit(
        compiled(plain=True, optimizer=keras.optimizers.SGD(0.05)),
        mm.Collect(At(7, 12, 21, 28), diverged="go on"),
        Breaks(10, until=14),
    )
    assert [m.step for m in history.members] == [7, 21, 28]


def test_averages_stay_finite(tmp_path):
    mean, window, moving = mm.Mean(), mm.LastK(9), mm.Ema(0.9, into=tmp_path / "ema")
    model = compiled(plain=True, optimizer=keras.optimizers.SGD(0.05))
    fit(model, mm.Collect(CHECKPOINTS, into=[mean, window, moving], diverged="go on"), Breaks(8, until=14))
    for fold in (mean, window):
        assert all(np.isfinite(w).all() for weights in fold for w in weights)
    assert [m.step for m in moving.members] == [7]
    lefts = moving.into.left_out
    assert [left["step"] for left in lefts] == [14, 21, 28]
    assert lefts[0]["why"].startswith("the weights were")
    assert lefts[-1]["why"].startswith("the average was not finite: 'net/dense")


def test_a_loss_that_is_no_number_ends_a_long_cycle_early():
    """Nobody waits for the end of a cycle of many epochs to hear of it."""
    with pytest.raises(FloatingPointError, match="by step 7: .*0 of 1 members"):
        fit(compiled(), mm.Collect(mm.recipes.snapshot(cycles=1, peak=0.1)), Breaks(3))


def test_the_best_is_finite():
    """Weights may break in the last step of an epoch, whose loss tells nothing of it."""

    class BreaksLast(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if int(self.model.optimizer.iterations) == 3 * STEPS:
                self.model.set_weights([w * np.nan if w.dtype.kind == "f" else w for w in self.model.get_weights()])

    collect = mm.Collect(At(28), best="loss", diverged="go on")
    history = fit(compiled(), collect, BreaksLast())
    assert np.isfinite(history.history["loss"]).tolist() == [True, True, True, False]
    assert collect.members.best[0].step == 2 * STEPS
    assert all(np.isfinite(w).all() for w in collect.members.best[1])


def test_rates_that_are_far_too_high(tmp_path):
    """No callback that breaks it: SGD does."""
    model = head(1, loss="mse")
    model.compile(keras.optimizers.SGD(1e6), "mse")
    with pytest.raises(FloatingPointError, match=r"Lower the peak or the rate.*diverged=\"go on\""):
        fit(model, mm.Collect(CHECKPOINTS, into=tmp_path / "run"), epochs=30)
    assert all(np.isfinite(w).all() for weights in mm.Snapshots(tmp_path / "run") for w in weights)


def test_the_optimizer_is_as_it_was():
    model = compiled(0.05)
    with pytest.raises(FloatingPointError):
        fit(model, mm.Collect(mm.recipes.snapshot(cycles=4, peak=0.1), into=[None, mm.Ema(0.9)]), Breaks(3))
    assert float(model.optimizer.learning_rate) == pytest.approx(0.05)
    assert not [v for v in model.optimizer.variables if "average" in v.path]


def test_infinities_of_a_layers_own_are_no_divergence():
    """A mask may hold them; it is not trained."""

    class Masked(keras.layers.Layer):
        def build(self, shape):
            self.mask = self.add_weight(shape=(3,), initializer="zeros", trainable=False)

        def call(self, x):
            return x + keras.ops.where(keras.ops.isfinite(self.mask), 0.0, 0.0)

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), Masked(), keras.layers.Softmax()])
    model.layers[1].mask.assign([0.0, -np.inf, 0.0])
    model.compile("sgd", "sparse_categorical_crossentropy")
    history = fit(model, mm.Collect(CHECKPOINTS), epochs=1)
    assert len(history.members) == 1


def test_a_choice_that_does_not_exist():
    with pytest.raises(ValueError, match=r"diverged='warn': expected \"stop\" or \"go on\""):
        mm.Collect(CHECKPOINTS, diverged="warn")


def test_the_report_tells(tmp_path):
    collect = mm.Collect(CHECKPOINTS, into=tmp_path / "run", diverged="go on")
    fit(compiled(), collect, Breaks(22))
    facts = dict(about.lines(mm.Snapshots(tmp_path / "run").about))
    assert facts["not stored"].startswith("after step 28, the weights were not finite at epoch 4: 'net/dense")
    ensemble = mm.load(tmp_path / "run")
    report = mm.report(Y, ensemble.predict_members(X), run=ensemble)
    assert "after step 28, the weights were not finite" in str(report)
    fine = mm.Snapshots(tmp_path / "fine")
    fine.add(mm.Snapshots(tmp_path / "run")[0], 1)
    assert "not stored" not in dict(about.lines(fine.about))


arrays = st.lists(
    st.floats(width=32) | st.sampled_from([np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-45]), min_size=1, max_size=9
)


@given(values=arrays, kind=st.sampled_from(["float32", "float64", "float16", "bfloat16"]))
def test_finite_is_finite(values, kind):
    """Also where squares overflow."""
    with np.errstate(over="ignore"):
        array = np.array(values, "float32").astype(kind)
    problem = FINITE.problem([array, np.zeros(3, "float32")])
    assert bool(problem) == (not np.isfinite(array.astype("float64")).all())
    if problem:
        assert f"among its {array.size} values" in problem


FINITE = Finite(head(3))


def test_nothing_changes_while_all_is_well():
    plain, watched = compiled(), compiled()
    fit(plain)
    fit(watched, mm.Collect(CHECKPOINTS, diverged="go on"))
    assert_same(watched.get_weights(), plain.get_weights())
