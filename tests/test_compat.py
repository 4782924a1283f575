"""The callbacks of the repository Snapshot-Ensembles and of the package snapshot_ensemble, as their users call them."""

import contextlib
import math
from fractions import Fraction
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import manyminima as mm
from manyminima.compat import (
    GenerateSnapshotCallbacks,
    SnapshotCallbackBuilder,
    SnapshotEnsembleCallback,
    VisualizeLR,
)
from manyminima.compat.cycles import EpochCycles, GrowingCycles
from problems import assert_same, compiled, data, network

X, Y = data(60)
VALIDATION = data(40, seed=1)
STEPS = 2  # of 32 rows


def fit(model, epochs, callbacks, **options):
    options = {"verbose": 0, "shuffle": False, "validation_data": VALIDATION, **options}
    return model.fit(X, Y, epochs=epochs, callbacks=callbacks, **options)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """What a run of the builder leaves behind: its folder, the model, the history, and what the epochs' weights were."""
    folder = tmp_path_factory.mktemp("builder")
    with contextlib.chdir(folder):
        model, epochs = compiled(plain=True), []
        each = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: epochs.append(model.get_weights()))
        M = 3
        T = 6
        alpha_zero = 0.1
        snapshot = SnapshotCallbackBuilder(T, M, alpha_zero)
        history = fit(model, T, [*snapshot.get_callbacks(model_prefix="net"), each])
    return folder / "weights", model, history, epochs


def members_by_keras(folder, prefix, numbers):
    """Read weight files with Keras alone."""
    model = network(plain=True)
    for number in numbers:
        model.load_weights(folder / f"{prefix}-{number}.weights.h5")
        yield model.get_weights()


def test_the_builder_writes_files_and_a_run(built):
    folder, _, _, epochs = built
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["net", "net-1.weights.h5", "net-2.weights.h5", "net-3.weights.h5", "net-Best.weights.h5"]
    run = mm.Snapshots(folder / "net")
    for found in (run, members_by_keras(folder, "net", (1, 2, 3))):
        for weights, epoch in zip(found, (2, 4, 6), strict=True):
            assert_same(weights, epochs[epoch - 1])


def test_the_ensemble_of_the_builder_predicts(built):
    folder, model, _, _ = built
    ensemble = mm.load(folder / "net")
    assert len(ensemble) == 3
    before = model.get_weights()
    by_hand = []
    for number in (1, 2, 3):
        model.load_weights(folder / f"net-{number}.weights.h5")
        by_hand.append(model.predict(X, verbose=0))
    model.set_weights(before)
    np.testing.assert_allclose(ensemble.predict(X), np.mean(by_hand, axis=0), atol=1e-6)


def test_the_builders_rate_is_the_one_it_always_had(built):
    _, model, history, _ = built
    cycle = 6 // 3
    expected = [0.1 / 2 * (math.cos(math.pi * (t % cycle) / cycle) + 1) for t in range(6)]
    np.testing.assert_allclose(history.history["learning_rate"], expected, rtol=1e-6)
    np.testing.assert_allclose(float(keras.ops.convert_to_numpy(model.optimizer.learning_rate)), 0.05, rtol=1e-6)


def test_the_best_epoch_is_the_first_with_the_highest_validation_accuracy(built):
    folder, _, history, epochs = built
    best = int(np.argmax(history.history["val_accuracy"]))
    (weights,) = members_by_keras(folder, "net", ["Best"])
    assert_same(weights, epochs[best])
    member, kept = mm.Snapshots(folder / "net").best
    assert_same(kept, epochs[best])
    assert member.step == (best + 1) * STEPS
    assert member.logs == {"val_accuracy": pytest.approx(max(history.history["val_accuracy"]))}


def test_a_second_run_of_that_name_is_refused_before_it_is_built(built, monkeypatch):
    monkeypatch.chdir(built[0].parent)
    snapshot = SnapshotCallbackBuilder(nb_epochs=6, nb_snapshots=3)
    with pytest.raises(FileExistsError, match=r'get_callbacks\(model_prefix="net2"\), or delete it and weights.net-\*'):
        snapshot.get_callbacks("net")
    with pytest.raises(FileExistsError, match="already holds a run"):
        snapshot.get_callbacks("weights/net")  # the same folder, as the repository's train_cifar_100.py spells it


def test_without_validation_the_training_rows_tell_the_best(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = compiled(plain=True, metrics=["acc"], optimizer="adam")
    snapshot = SnapshotCallbackBuilder(nb_epochs=3, nb_snapshots=2, init_lr=0.01)
    within = [snapshot.get_callbacks()]  # a list within the list is the mistake that is made most
    history = fit(model, 3, within, validation_data=None)
    member, _ = mm.Snapshots("weights/Model").best
    assert member.logs == {"acc": pytest.approx(max(history.history["acc"]))}
    assert len(mm.load("weights/Model")) == 2


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 7))
def test_every_number_of_epochs_gives_exactly_so_many_snapshots_each_at_a_low(epochs, cycles, steps):
    cycles = min(epochs, cycles)
    lr, when = EpochCycles(epochs, cycles, 0.1).plan(epochs, steps)
    due = [n for n in range(1, epochs * steps + 1) if when(n)]
    assert len(due) == cycles
    assert due[-1] == epochs * steps
    assert all(n % steps == 0 for n in due)
    assert all(lr(n - 1) <= lr(n) for n in due[:-1])


BUILDER_ERRORS = {
    "more snapshots than epochs": (
        (10, 20),
        "Ask for 10 or fewer, train longer, or let the rate change at every batch",
    ),
    "no snapshots": ((10, 0), "expected cycles to be a whole number of at least 1, got 0"),
    "no whole number": ((10, 10 / 3), r"expected cycles to be a whole number of at least 1, got 3\.33"),
}


@pytest.mark.parametrize(("numbers", "message"), BUILDER_ERRORS.values(), ids=BUILDER_ERRORS)
def test_impossible_numbers_are_refused_at_once(numbers, message):
    with pytest.raises(ValueError, match=message):
        SnapshotCallbackBuilder(*numbers, 0.1)


def test_a_fit_of_another_length_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    callbacks = SnapshotCallbackBuilder(200, 5).get_callbacks()
    with pytest.raises(
        ValueError, match=r"told of 200 epochs, but this fit trains 1\. Write model\.fit\(…, epochs=200\)"
    ):
        fit(compiled(plain=True), 1, callbacks)
    assert not Path("weights").exists()


def test_an_unknown_number_of_steps_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    endless = ((X[:4], Y[:4]) for _ in range(3))
    with pytest.raises(ValueError, match=r"Pass steps_per_epoch= to fit"):
        compiled(plain=True).fit(
            endless, epochs=1, verbose=0, shuffle=False, callbacks=SnapshotCallbackBuilder(1, 1).get_callbacks()
        )


def test_a_list_within_the_list_has_the_hooks_of_its_entries(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    callbacks, batches = SnapshotCallbackBuilder(1, 1).get_callbacks(), []
    callbacks.append(keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: batches.append(batch)))
    fit(compiled(plain=True), 1, [callbacks, keras.callbacks.TerminateOnNaN()])
    assert batches == [0, 1]
    assert len(mm.load("weights/Model")) == 1


def test_the_list_is_a_list():
    callbacks = SnapshotCallbackBuilder(2, 1).get_callbacks("x")
    other = keras.callbacks.TerminateOnNaN()
    assert callbacks + [other] == [*callbacks, other]  # noqa: RUF005
    with pytest.raises(AttributeError, match="has no attribute 'lenght'"):
        callbacks.lenght  # noqa: B018


# -- the package snapshot_ensemble -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """What ten epochs of cycles of 1, 1.5, 2.25, … epochs leave behind, and their history."""
    folder = tmp_path_factory.mktemp("package")
    with contextlib.chdir(folder):
        callbacks = GenerateSnapshotCallbacks(cycle_length=1, ensemble_options={"num_snapshots": 3})
        history = fit(compiled(plain=True), 10, callbacks)
    return folder / "Ensemble", history


def package_rates(epochs, steps, length, length_multiplier, high, low, multiplier):
    """The package's rule, batch after batch, with fractions of epochs; returns rates, and after how many batches cycles end."""
    rates, ends, length, start = [], [], Fraction(length), Fraction(0)
    for n in range(epochs * steps):
        t = Fraction(n, steps)
        while t >= start + length:
            start, length = start + length, length * Fraction(length_multiplier)
            high, low = high * multiplier, low * multiplier
            ends.append(n)
        rates.append(low + (high - low) / 2 * (1 + math.cos(math.pi * float((t - start) / length))))
    return rates, ends


def test_the_packages_rate_is_the_one_it_said_it_had(generated):
    expected, ends = package_rates(10, STEPS, 1, 1.5, 0.01, 1e-6, 0.9)
    curve = mm.Snapshots(generated[0]).run["lr_curve"]
    assert curve["steps"] == list(range(10 * STEPS))
    np.testing.assert_allclose(curve["rates"], expected, rtol=1e-6)
    np.testing.assert_allclose(generated[1].history["learning_rate"], expected[STEPS - 1 :: STEPS], rtol=1e-6)
    assert ends == [2, 5, 10, 17]


def test_the_package_keeps_the_newest_in_the_order_of_their_age(generated):
    folder, _ = generated
    assert {path.name for path in folder.glob("*.h5")} == {f"Model-{n}.weights.h5" for n in (1, 2, 3, "Best")}
    run = mm.Snapshots(folder)
    assert [member.step for member in run.members] == [5, 10, 17]
    for weights, by_keras in zip(run, members_by_keras(folder, "Model", (1, 2, 3)), strict=True):
        assert_same(weights, by_keras)


def test_the_folder_of_the_package_is_the_ensemble(generated):
    ensemble = mm.load(generated[0])
    assert len(ensemble) == 3
    np.testing.assert_allclose(ensemble.predict(X).sum(axis=1), 1, atol=1e-5)
    assert mm.Snapshots(generated[0]).best[0].logs.keys() == {"val_loss"}


def test_another_run_in_the_folder_is_refused_at_once(generated, monkeypatch):
    monkeypatch.chdir(generated[0].parent)
    with pytest.raises(FileExistsError, match=r'ensemble_options=\{"dirpath": "Ensemble2/"\}, or delete it'):
        SnapshotEnsembleCallback()


def test_the_last_cycle_is_saved_and_one_cut_off_is_not():
    assert GrowingCycles(num_snapshots=10).ends(25, 3) == [30, 75]
    assert GrowingCycles(num_snapshots=10).ends(47, 3) == [30, 75]
    assert GrowingCycles(num_snapshots=10).ends(48, 3) == [30, 75, 143]  # 47.5 epochs
    assert GrowingCycles(2, 1, num_snapshots=10).ends(6, 5) == [10, 20, 30]


def test_no_ensemble_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    callback = SnapshotEnsembleCallback(cycle_length=50, ensemble=False)
    history = fit(compiled(plain=True), 2, [callback])
    assert not list(tmp_path.iterdir())
    assert history.history["learning_rate"][0] == pytest.approx(0.01, rel=1e-2)


@pytest.mark.parametrize(
    "options", [{}, {"epochs": 12, "cycle_length": 3, "cycle_length_multiplier": 1, "lr_min": 0.001}]
)
def test_the_picture_is_what_runs(options):
    figure = VisualizeLR(**options)
    epochs = options.pop("epochs", 500)
    x, y = figure.axes[0].lines[0].get_data()
    lr = GrowingCycles(**options).schedule(7)
    executed = lr(np.arange(epochs * 7))
    at_whole_epochs = np.isin(x, np.arange(epochs))
    np.testing.assert_allclose(y[at_whole_epochs], executed[::7], rtol=1e-6)
    dots = figure.axes[0].lines[-1].get_xdata()
    np.testing.assert_allclose(np.ceil(dots * 7 - 1e-9), GrowingCycles(**options).ends(epochs, 7), atol=1)


PACKAGE_ERRORS = {
    "no cycle ends": ({"cycle_length": 10}, r"first cycle takes 10 epochs and this fit trains 2.*Write cycle_length=2"),
    "shorter than a batch": ({"cycle_length": 0.1}, "the first cycle is shorter than a batch"),
}


@pytest.mark.parametrize(("options", "message"), PACKAGE_ERRORS.values(), ids=PACKAGE_ERRORS)
def test_runs_without_a_member_are_refused_before_training(options, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        fit(compiled(plain=True), 2, [SnapshotEnsembleCallback(**options)])
    assert not list(tmp_path.iterdir())


WRONG = {
    "shrinking": ({"cycle_length_multiplier": 0.5}, "cycle_length_multiplier of 1 or at least 1.001"),
    "upside down": ({"lr_min": 0.1}, "0 <= lr_min < lr_init"),
    "none kept": (
        {"ensemble_options": {"num_snapshots": 0}},
        "expected num_snapshots to be a whole number of at least 1",
    ),
    "misspelt": ({"ensemble_options": {"path": "x"}}, "has no path. It has num_snapshots, dirpath, model_prefix"),
}


@pytest.mark.parametrize(("options", "message"), WRONG.values(), ids=WRONG)
def test_wrong_options_are_refused_at_once(options, message):
    with pytest.raises(ValueError, match=message):
        SnapshotEnsembleCallback(**options)


def test_weight_files_of_a_longer_run_are_not_mixed_in(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("weights").mkdir()
    Path("weights/Model-3.weights.h5").touch()
    Path("weights/Model-10.weights.h5").touch()
    with pytest.raises(
        FileExistsError, match=r"Model-3\.weights\.h5' is there from another run: this one writes 2 files"
    ):
        fit(compiled(plain=True), 2, SnapshotCallbackBuilder(2, 2).get_callbacks())
