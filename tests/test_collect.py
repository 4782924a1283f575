"""Collecting leaves training as it was, bit for bit, and takes the weights of exactly the steps it says."""

import subprocess
import sys
from fractions import Fraction
from operator import attrgetter

import keras
import numpy as np
import pytest

import manyminima as mm
from manyminima.schedules import CosineCycles
from problems import BACKEND, assert_same, compiled, data, layers, network, numbers

X, Y = data()  # 100 rows: 7 batches of 16, the last one smaller
STEPS = 7
SNAPSHOT = mm.recipes.snapshot(cycles=2, peak=0.1)


def fit(model, *callbacks, epochs=4, **options):
    keras.utils.set_random_seed(1)
    options = {"batch_size": 16, "verbose": 0, **options}
    source = options.pop("source", (X, Y))
    source = source if isinstance(source, tuple) else (source,)
    if len(source) == 1:
        options.pop("batch_size")
    return model.fit(*source, epochs=epochs, callbacks=list(callbacks), **options)


# -- identities ------------------------------------------------------------------------------------------------------


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


class StopAt(keras.callbacks.Callback):
    def __init__(self, step):
        super().__init__()
        self.step, self.seen = step, 0

    def on_train_batch_end(self, batch, logs=None):
        self.seen += 1
        if self.seen == self.step:
            self.model.stop_training = True


@pytest.mark.parametrize("step", [10, 14, 28])  # in mid-epoch, at an epoch's end, at the run's end
def test_a_member_is_the_run_stopped_at_its_step(step):
    model = compiled()
    collect = mm.Collect(At(step))
    fit(model, collect)
    stopped = compiled()
    fit(stopped, StopAt(step))
    assert len(collect.members) == 1
    assert_same(collect.members[0], stopped.get_weights())


class At:
    """A recipe of a user's own: any object with `plan`."""

    def __init__(self, *steps):
        self.steps = steps

    def plan(self, epochs, steps_per_epoch):
        return mm.recipes.Plan(None, mm.when.At(self.steps))


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


# -- sources of data, and ways to run --------------------------------------------------------------------------------


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


# -- the learning rate -----------------------------------------------------------------------------------------------


class Rates(keras.callbacks.Callback):
    """What TensorBoard and others read off the optimizer."""

    def on_train_begin(self, logs=None):
        self.rates = []

    def on_epoch_end(self, epoch, logs=None):
        self.rates.append(float(self.model.optimizer.learning_rate))


def test_the_rate_is_the_recipes_while_training_and_the_optimizers_afterwards():
    model, seen = compiled(0.05), Rates()
    history = fit(model, mm.Collect(SNAPSHOT), seen)
    lr = SNAPSHOT.plan(4, STEPS).lr
    np.testing.assert_allclose(seen.rates, [lr(n) for n in (7, 14, 21, 28)], rtol=1e-5)
    np.testing.assert_allclose(history.history["learning_rate"], [lr(n - 1) for n in (7, 14, 21, 28)])
    np.testing.assert_allclose(float(model.optimizer.learning_rate), 0.05)
    assert "_get_current_learning_rate" not in vars(model.optimizer)


def test_the_recorded_curve_is_the_executed_schedule(tmp_path):
    fit(compiled(), mm.Collect(SNAPSHOT, into=tmp_path / "run"))
    about, lr = mm.Snapshots(tmp_path / "run").about, SNAPSHOT.plan(4, STEPS).lr
    assert about["lr_curve"]["rates"] == [lr(t) for t in about["lr_curve"]["steps"]]
    assert about["collect"] == [m["step"] for m in about["members"]] == [14, 28]
    assert about["recipe"] == {
        "name": "snapshot",
        "cycles": 2,
        "peak": 0.1,
        "floor": 0.0,
        "length_multiplier": 1.0,
        "rate_multiplier": 1.0,
        "update": "step",
    }
    assert about["task"] == "multiclass"


def test_the_next_fit_has_the_optimizers_own_rate():
    model, reference = compiled(0.05), compiled(0.05)
    fit(model, mm.Collect(SNAPSHOT))
    reference.set_weights(model.get_weights())
    reference.optimizer.build(reference.trainable_variables)
    for name in ("optimizer.variables", "non_trainable_variables"):
        mine, theirs = attrgetter(name)(reference), attrgetter(name)(model)
        for variable, value in zip(mine, numbers(theirs), strict=True):
            variable.assign(value)
    fit(model, epochs=1, shuffle=False)
    fit(reference, epochs=1, shuffle=False)
    assert_same(model.get_weights(), reference.get_weights())


def test_a_second_fit_counts_from_its_own_start():
    model, seen = compiled(), Rates()
    fit(model, epochs=1)
    history = fit(model, mm.Collect(SNAPSHOT), seen)
    lr = SNAPSHOT.plan(4, STEPS).lr
    assert [m.step for m in history.members] == [14, 28]
    np.testing.assert_allclose(seen.rates, [lr(n) for n in (7, 14, 21, 28)], rtol=1e-5)


def test_peak_none_is_the_optimizers_rate():
    collect = mm.Collect(mm.recipes.snapshot(cycles=2))
    history = fit(compiled(optimizer=keras.optimizers.Adam(0.002)), collect)
    np.testing.assert_allclose(history.history["learning_rate"][2], CosineCycles(0.002, 14)(6), rtol=1e-5)


class Crash(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt


def test_after_a_crash_the_next_collect_puts_the_rate_back(tmp_path):
    model, collect = compiled(0.05), mm.Collect(SNAPSHOT, into=tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        fit(model, collect, Crash())
    assert len(mm.Snapshots(tmp_path / "run")) == 1
    history = fit(model, mm.Collect(mm.recipes.snapshot(cycles=2)))
    np.testing.assert_allclose(history.history["learning_rate"][2], CosineCycles(0.05, 14)(6), rtol=1e-5)
    np.testing.assert_allclose(float(model.optimizer.learning_rate), 0.05)


class Setter(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.model.optimizer.learning_rate = 0.001


@pytest.mark.parametrize(
    ("rival", "fix"),
    [
        (lambda: keras.callbacks.ReduceLROnPlateau(), "ReduceLROnPlateau want to set .* Remove the other"),
        (lambda: keras.callbacks.LearningRateScheduler(lambda e: 0.1), "LearningRateScheduler want to set"),
        (lambda: mm.Collect(SNAPSHOT), "Collect want to set"),
        (lambda: Setter(), "set the optimizer's learning rate from 0.05 to 0.001 .* Remove the callback"),
    ],
    ids=["plateau", "scheduler", "collect", "own"],
)
def test_two_masters_of_the_rate_are_refused(rival, fix):
    with pytest.raises(ValueError, match=fix):
        fit(compiled(0.05), mm.Collect(SNAPSHOT), rival())


def test_a_rival_is_welcome_where_the_recipe_leaves_the_rate_alone():
    scheduler = keras.callbacks.LearningRateScheduler(lambda epoch: 0.01)
    history = fit(compiled(), mm.Collect(mm.recipes.checkpoints()), scheduler)
    assert len(history.members) == 4


def test_an_optimizer_with_a_schedule_is_refused():
    model = compiled(keras.optimizers.schedules.CosineDecay(0.1, 100))
    with pytest.raises(ValueError, match=r"CosineDecay. Compile with a number, such as SGD\(learning_rate=0.1\)"):
        fit(model, mm.Collect(SNAPSHOT))
    assert len(fit(model, mm.Collect(mm.recipes.checkpoints())).members) == 4


# -- what is said and kept -------------------------------------------------------------------------------------------


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
    with pytest.raises(ValueError, match=r"not among the logs: .*loss.* pass validation_data="):
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


# -- refusals, all before the first batch ----------------------------------------------------------------------------


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
