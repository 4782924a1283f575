"""What Collect says, keeps and refuses; every refusal comes before the first batch."""

import subprocess
import sys

import keras
import numpy as np
import pytest

import manyminima as mm
from problems import assert_same, compiled, layers
from runs_of_100 import SNAPSHOT, At, X, Y, fit


def test_members_carry_the_logs_of_their_moment(capsys):
    collect = mm.Collect(At(10, 14))
    history = fit(compiled(), collect, validation_data=(X, Y), epochs=2, verbose=2)
    middle, end = history.members
    assert set(middle.logs) == {"loss", "accuracy"}
    assert {"val_loss", "val_accuracy"} <= set(end.logs)
    assert end.logs["val_loss"] == pytest.approx(history.history["val_loss"][1])
    out = capsys.readouterr().out
    assert f"member 1/2 at step 10, epoch 1.429: loss {middle.logs['loss']:.4g}, " in out
    assert f"member 2/2 at step 14, epoch 2: val_loss {end.logs['val_loss']:.4g}, " in out


def test_nothing_is_printed_where_fit_is_silent(capsys):
    fit(compiled(), mm.Collect(SNAPSHOT))
    assert "member" not in capsys.readouterr().out


@pytest.mark.parametrize(("monitor", "pick"), [("val_loss", np.argmin), ("max:val_accuracy", np.argmax)])
def test_the_best_is_kept_apart(monitor, pick, tmp_path):
    collect = mm.Collect(mm.recipes.checkpoints(), into=[None, tmp_path / "run"], best=monitor)
    history = fit(compiled(), collect, validation_data=(X, Y))
    epoch = int(pick(history.history[monitor.removeprefix("max:")]))
    assert_same(collect.members.best[1], collect.members[epoch])
    about, weights = mm.Snapshots(tmp_path / "run").best
    assert (about.kind, about.epoch) == ("best", epoch + 1)
    assert_same(weights, collect.members[epoch])
    assert len(mm.Snapshots(tmp_path / "run")) == 4


def test_the_best_needs_a_direction_and_a_log():
    with pytest.raises(ValueError, match='write "max:val_kappa" or "min:val_kappa"'):
        mm.Collect(SNAPSHOT, best="val_kappa")
    with pytest.raises(ValueError, match="pass validation_data= to fit, or watch 'loss'"):
        fit(compiled(), mm.Collect(SNAPSHOT, best="val_loss"))


@pytest.mark.parametrize("during", [False, True], ids=["afterwards", "checkpoint"])
def test_what_keras_saves_needs_nothing_of_ours(during, tmp_path):
    model, path = compiled(optimizer=keras.optimizers.Adam(0.01)), tmp_path / "model.keras"
    callbacks = [keras.callbacks.ModelCheckpoint(path)] if during else []
    fit(model, mm.Collect(SNAPSHOT), *callbacks)
    if not during:
        model.save(path)
    program = (
        "import sys, warnings, keras; warnings.simplefilter('error'); warnings.filterwarnings('ignore', '__array__');"
        f"m = keras.saving.load_model({str(path)!r}); assert 'manyminima' not in sys.modules;"
        "print(len(m.optimizer.variables), float(m.optimizer.learning_rate))"
    )
    out = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    assert int(out[0]) == len(model.optimizer.variables)
    np.testing.assert_allclose(float(out[1]), 0.01, rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "error", "fix"),
    [
        (lambda: mm.Collect(5), TypeError, r"such as mm.recipes.snapshot\(cycles=5, peak=0.1\)"),
        (lambda: mm.Collect(SNAPSHOT, into=[3]), TypeError, 'write into="runs/x"'),
        (lambda: mm.Collect(SNAPSHOT, into=[]), ValueError, "into=None for memory"),
    ],
)
def test_wrong_arguments(make, error, fix):
    with pytest.raises(error, match=fix):
        make()


@pytest.mark.parametrize(
    ("recipe", "fix"),
    [
        (mm.recipes.snapshot(cycles=29, peak=0.1), "Ask for fewer cycles or train for more epochs"),
        (mm.recipes.snapshot(cycles=2, peak=-1.0), "floor < peak"),
        (At(99), "Ask for at least one member"),
    ],
)
def test_recipes_that_do_not_fit_the_run(recipe, fix):
    model = compiled()
    before = model.get_weights()
    with pytest.raises(ValueError, match=fix):
        fit(model, mm.Collect(recipe))
    assert_same(model.get_weights(), before)


def test_a_run_is_never_overwritten(tmp_path):
    collect = mm.Collect(SNAPSHOT, into=tmp_path / "run")
    fit(compiled(), collect)
    members = [p.read_bytes() for p in sorted((tmp_path / "run").glob("**/*.*"))]
    for again in (collect, mm.Collect(SNAPSHOT, into=tmp_path / "run")):
        with pytest.raises(FileExistsError, match="never overwritten. Choose another directory"):
            fit(compiled(), again)
    assert [p.read_bytes() for p in sorted((tmp_path / "run").glob("**/*.*"))] == members


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="Choose a directory that can be written to"):
        fit(compiled(), mm.Collect(SNAPSHOT, into=tmp_path / "file" / "run"))


class Custom(layers.Layer):
    """A layer that nobody has registered with Keras."""

    def call(self, x):
        return x * 2


class Unconfigured(keras.Model):
    """A subclassed model that does not say how it was made."""

    def __init__(self, units):
        super().__init__()
        self.head = layers.Dense(len(units), "softmax")

    def call(self, x):
        return self.head(x)


def test_a_model_that_cannot_be_rebuilt_is_refused_before_training(tmp_path):
    model = keras.Sequential([keras.Input((4,)), Custom(), layers.Dense(3, "softmax")])
    model.compile(loss="sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match=r"Custom.*register_keras_serializable"):
        fit(model, mm.Collect(SNAPSHOT, into=tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_the_way_out_for_models_without_a_config(tmp_path):
    model = Unconfigured({1, 2, 3})
    model(X[:1])
    model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy")
    with pytest.raises(
        ValueError, match=r"rebuild=False\) and predict with mm.Ensemble\(model, mm.Snapshots\(path\)\)"
    ):
        fit(model, mm.Collect(SNAPSHOT, into=tmp_path / "run"))
    fit(model, mm.Collect(SNAPSHOT, into=mm.Snapshots(tmp_path / "run", rebuild=False)))
    with pytest.raises(ValueError, match=r"write mm.Ensemble\(model, mm.Snapshots\(path\)\)"):
        mm.load(tmp_path / "run")
    probs = mm.Ensemble(model, mm.Snapshots(tmp_path / "run")).predict_members(X)
    np.testing.assert_allclose(probs[-1], model.predict(X, verbose=0), atol=1e-6)
