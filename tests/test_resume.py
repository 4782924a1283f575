"""A training that was interrupted, at any step and more than once, is the training that never was, bit for bit."""

import keras
import pytest

import manyminima as mm
from problems import BACKEND, compiled, layers, several_optimizers
from resumed_runs import (
    EPOCHS,
    SNAPSHOT,
    STEPS,
    TOTAL,
    Killed,
    KilledAt,
    X,
    Y,
    arrays,
    assert_same_training,
    batches,
    fit,
    interrupted,
    state_at_every_step,
)

CHECKPOINTS = mm.recipes.checkpoints(last=2)


def places(path):
    """A run, and every kind of average."""
    return [path, mm.Mean(), mm.Ema(0.9), mm.Ema(0.5, every=3, into=path.with_name("averages")), mm.LastK(2), None]


def everywhere(path, source=batches, recipe=SNAPSHOT, **options):
    """A program that collects into all places, watches the best, and has dropout and batch statistics."""

    def program(*others, seed):
        model = compiled(seed=seed, **options)
        collect = mm.Collect(recipe, into=places(path), best="val_loss", resume=True)
        return model, fit(model, source(), collect, *others, seed=seed), collect

    return program


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The training that nothing has interrupted."""
    return everywhere(tmp_path_factory.mktemp("whole") / "run")(seed=10)


@pytest.mark.parametrize(
    "kills",
    [
        (
            0,
            3,
            STEPS,
            9,
            10,
            19,
            19,
            TOTAL - 1,
        ),  # before the first, within epochs, between, at collections, before the last
        (5,),
        (2 * STEPS, 3 * STEPS + 1),
    ],
)
def test_any_step(tmp_path, monkeypatch, whole, kills):
    state_at_every_step(monkeypatch)
    assert_same_training(interrupted(everywhere(tmp_path / "run"), kills), whole)


def test_few_states_are_as_good(tmp_path, whole):
    """Saved as seldom as it is by default: more is trained again, to the same end."""
    assert_same_training(interrupted(everywhere(tmp_path / "run"), (4, 12, 20)), whole)


def test_saving_changes_nothing(tmp_path, whole):
    model = compiled(seed=10)
    collect = mm.Collect(SNAPSHOT, into=places(tmp_path / "run"), best="val_loss")
    assert_same_training((model, fit(model, batches(), collect, seed=10), collect), whole)
    assert not (tmp_path / "run" / "resume").exists()


def shuffled(path):
    """Plain arrays, dropout without a seed, Adam, and callbacks of Keras's that remember."""

    def program(*others, seed):
        keras.utils.set_random_seed(seed)
        model = keras.Sequential(
            [keras.Input((4,)), layers.Dense(8, "relu"), layers.Dropout(0.3), layers.Dense(3, "softmax")]
        )
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        collect = mm.Collect(CHECKPOINTS, into=path, resume=True)
        remember = [
            keras.callbacks.EarlyStopping("val_accuracy", patience=2, mode="max", restore_best_weights=True),
            keras.callbacks.ReduceLROnPlateau("val_accuracy", factor=0.5, patience=1, mode="max", min_delta=1.0),
            keras.callbacks.ModelCheckpoint(
                path.with_name("best.weights.h5"), save_best_only=True, save_weights_only=True
            ),
        ]
        return model, fit(model, arrays(), collect, *remember, *others, seed=seed), collect

    return program


@pytest.mark.skipif(BACKEND == "tensorflow", reason="TensorFlow gives its order of arrays to nobody")
def test_arrays_in_the_order_of_global_generators(tmp_path, monkeypatch):
    state_at_every_step(monkeypatch)
    found = interrupted(shuffled(tmp_path / "run"), (0, 10, 2 * STEPS, 2 * STEPS + 1))
    expected = shuffled(tmp_path / "whole")(seed=10)
    assert_same_training(found, expected)
    assert float(found[0].optimizer.learning_rate) < 0.001  # ReduceLROnPlateau had something to remember


def test_data_whose_order_nobody_can_have_again(tmp_path, monkeypatch, capsys):
    """They go on with the last epoch that was not finished."""
    state_at_every_step(monkeypatch)

    def program(*others, seed):
        def endless():
            while True:
                yield from batches()

        model = compiled(seed=seed)
        collect = mm.Collect(SNAPSHOT, into=tmp_path / "run", resume=True)
        if BACKEND == "tensorflow":
            return collect, fit(model, arrays(), collect, *others, seed=seed, verbose=2)
        options = {"steps_per_epoch": STEPS, "epochs": EPOCHS, "verbose": 2, "shuffle": False}
        return collect, model.fit(endless(), callbacks=[collect, *others], **options)

    collect, history = interrupted(program, (STEPS + 4, 2 * STEPS + 1))
    assert [m.step for m in collect.members.members] == [10, 19, 28]
    assert history.epoch == list(range(EPOCHS))
    said = capsys.readouterr().out
    assert f"going on after step {STEPS}, epoch 2: 0 of 3 members" in said
    assert "the order of the rows is another one" in said


def test_members_after_the_state_are_written_again(tmp_path, monkeypatch, whole):
    """As if the newest states had never reached the disk: members later than the state are there, and stay until they come."""
    state_at_every_step(monkeypatch)
    program, state = everywhere(tmp_path / "run"), tmp_path / "run" / "resume" / "state.safetensors"
    with pytest.raises(Killed):
        program(KilledAt(4), seed=10)
    early = state.read_bytes()
    with pytest.raises(Killed):
        program(KilledAt(22), seed=11)
    there = [p.read_bytes() for p in sorted((tmp_path / "run" / "members").iterdir())]
    state.write_bytes(early)
    with pytest.raises(Killed):
        program(KilledAt(5), seed=12)
    assert [p.read_bytes() for p in sorted((tmp_path / "run" / "members").iterdir())] == there
    assert [m.step for m in mm.Snapshots(tmp_path / "run").members] == [10, 19]
    assert_same_training(program(seed=13), whole)


@pytest.mark.skipif(BACKEND == "torch", reason="torch has no steps_per_execution")
def test_several_steps_at_once(tmp_path, monkeypatch):
    state_at_every_step(monkeypatch)

    def program(path):
        def run(*others, seed):
            model = compiled(seed=seed, steps_per_execution=2)
            collect = mm.Collect(mm.recipes.checkpoints(), into=path, resume=True)
            return model, fit(model, batches(), collect, *others, seed=seed, epochs=2), collect

        return run

    assert_same_training(interrupted(program(tmp_path / "a"), (4, STEPS + 2)), program(tmp_path / "b")(seed=10))


def test_losses_that_are_scaled(tmp_path, monkeypatch):
    state_at_every_step(monkeypatch)

    def program(path):
        def run(*others, seed):
            keras.config.set_dtype_policy("mixed_float16")
            try:
                model = compiled(seed=seed)
            finally:
                keras.config.set_dtype_policy("float32")
            collect = mm.Collect(SNAPSHOT, into=[path, mm.Ema(0.9)], resume=True)
            return model, fit(model, batches(), collect, *others, seed=seed), collect

        return run

    assert_same_training(interrupted(program(tmp_path / "a"), (4, 15)), program(tmp_path / "b")(seed=10))


# -- a run that has ended --------------------------------------------------------------------------------------------


def test_a_finished_run_trains_nothing(tmp_path, capsys):
    program = everywhere(tmp_path / "run")
    before = program(seed=10)
    files = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    steps = []
    counting = keras.callbacks.LambdaCallback(on_train_batch_begin=lambda batch, logs: steps.append(batch))
    after = program(counting, seed=11)
    assert steps == []
    assert_same_training(after, before)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == files
    model = compiled()
    fit(model, batches(), mm.Collect(SNAPSHOT, into=places(tmp_path / "run"), best="val_loss", resume=True), verbose=2)
    assert (
        f"this run is finished, after step {TOTAL}: 3 of 3 members are there; nothing is trained"
        in capsys.readouterr().out
    )
    epochs = model.fit(X, Y, epochs=2, verbose=0).epoch
    assert epochs == [0, 1]  # the next fit begins where it always does


def test_a_run_that_was_ended_early_is_finished(tmp_path):
    def program(*others, seed):
        model = compiled(seed=seed)
        collect = mm.Collect(SNAPSHOT, into=tmp_path / "run", resume=True)
        stop = keras.callbacks.EarlyStopping("val_loss", patience=0, mode="max", baseline=100.0)
        return model, fit(model, batches(), collect, stop, *others, seed=seed), collect

    before = program(seed=1)
    assert before[1].epoch == [0, 1]
    assert_same_training(program(seed=2), before)


def test_a_fit_after_a_resumed_one_is_its_own(tmp_path, monkeypatch):
    state_at_every_step(monkeypatch)
    model, _, _ = interrupted(everywhere(tmp_path / "run"), (10,))
    assert model.fit(X, Y, epochs=1, verbose=0).epoch == [0]
    assert model.train_function is None or "Skipping" not in repr(model.train_function)


# -- in the same program ---------------------------------------------------------------------------------------------


def test_the_same_objects_again(tmp_path, monkeypatch, whole):
    """In a notebook the cell is run again, with the model as the interrupted training has left it."""
    state_at_every_step(monkeypatch)
    model = compiled(seed=10)
    collect = mm.Collect(SNAPSHOT, into=places(tmp_path / "run"), best="val_loss", resume=True)
    for step in (3, 12):
        with pytest.raises(Killed):
            fit(model, batches(), collect, KilledAt(step), seed=10)
    history = fit(model, batches(), collect, seed=77)
    assert_same_training((model, history, collect), whole)


def test_what_is_said_on_the_way(tmp_path, monkeypatch, capsys):
    state_at_every_step(monkeypatch)

    def program(*others, seed):
        collect = mm.Collect(SNAPSHOT, into=tmp_path / "run", resume=True)
        return fit(compiled(seed=seed), batches(), collect, *others, seed=seed, verbose=2)

    interrupted(program, (10,))
    assert "going on after step 10, epoch 2: 1 of 3 members are there" in capsys.readouterr().out


def test_several_optimizers(tmp_path, monkeypatch):
    state_at_every_step(monkeypatch)

    def program(path):
        def run(*others, seed):
            model = compiled(seed=seed, optimizer=several_optimizers())
            collect = mm.Collect(CHECKPOINTS, into=path, resume=True)
            return model, fit(model, batches(), collect, *others, seed=seed), collect

        return run

    assert_same_training(interrupted(program(tmp_path / "a"), (4,)), program(tmp_path / "b")(seed=10))
