"""A replica of the engine is a run of `fit`: its members, its history, its averages."""

import random

import keras
import numpy as np
import pytest
from keras.src.backend.common import global_state
from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR
from keras.src.utils.rng_utils import GLOBAL_RANDOM_SEED

import manyminima as mm
from engine_runs import EPOCHS, STEPS, TOGETHER, X, Y, alone, assert_members, model, of_replica, small, together
from manyminima.training.engine.replicas import train_replicas
from problems import BACKEND, assert_same

jax_only = pytest.mark.skipif(BACKEND != "jax", reason="elsewhere replicas are trained by fit itself")
WAYS = ["stacked", "unrolled"] if BACKEND == "jax" else ["auto"]
ROUNDING = 2e-4  # vectorised over replicas, sums of products are taken in another order


@pytest.mark.parametrize("execution", WAYS)
def test_every_replica_is_a_fit(execution):
    found = together(execution=execution)
    assert found.about["engine"]["execution"] == (execution if BACKEND == "jax" else "fit")
    assert [(m["step"], m["replica"]) for m in found.about["members"]] == [
        (step, replica) for step in (10, 19, 28) for replica in (0, 1)
    ]
    for replica in (0, 1):
        members, history = alone(5 + replica)
        assert_members(of_replica(found, replica), members, 0 if execution != "stacked" else ROUNDING)
        for name in ("loss", "accuracy"):
            ours = np.array(found.about["history"][name])[:, replica]
            np.testing.assert_allclose(ours, history.history[name], rtol=1e-5)
        known = [m for m in found.about["members"] if m["replica"] == replica]
        for ours, theirs in zip(known, history.members, strict=True):
            assert ours["epoch"] == theirs.epoch
            assert ours["logs"].keys() == theirs.logs.keys()
            np.testing.assert_allclose([ours["logs"][k] for k in theirs.logs], list(theirs.logs.values()), rtol=1e-5)


def test_one_replica_is_a_fit_bit_for_bit():
    found = together(replicas=1)
    members, history = alone(5)
    assert_members(list(found), members)
    assert [row[0] for row in found.about["history"]["loss"]] == history.history["loss"]
    assert_same(found.model.get_weights(), members[-1])  # the run ended with this member


@pytest.mark.parametrize(
    "recipe",
    [mm.recipes.ema(0.9), *([mm.recipes.lawa(2), mm.recipes.swa(0.5, 0.05)] if BACKEND == "jax" else [])],
    ids=lambda recipe: type(recipe).__name__,
)
def test_averages_are_those_of_fit(recipe, tmp_path):
    """In memory the newest is kept, as in Collect; on disk what Collect writes, of every replica."""
    found = together(recipe, into=tmp_path / "run")
    members, _ = alone(6, recipe, into=tmp_path / "fit")
    assert_members(of_replica(found, 1), members, ROUNDING)
    ours = [(m["step"], m["kind"]) for m in found.about["members"] if m["replica"] == 1]
    assert ours == [(m.step, m.kind) for m in mm.Snapshots(tmp_path / "fit").members]
    in_memory = together(recipe)
    assert [m["replica"] for m in in_memory.about["members"]] == [0, 1]
    in_memory_alone, _ = alone(6, recipe)
    assert_members(of_replica(in_memory, 1), in_memory_alone, ROUNDING)


def test_a_run_on_disk(tmp_path):
    found, held = together(into=tmp_path / "run"), together()
    run = mm.Snapshots(tmp_path / "run")
    assert run.problems() == []
    assert [m.file for m in run.members[:3]] == [
        f"members/r00{replica}-s{step:08d}.safetensors" for step, replica in ((10, 0), (10, 1), (19, 0))
    ]
    for ours, theirs in zip(mm.load(tmp_path / "run"), held, strict=True):
        assert_same(ours, theirs)
    np.testing.assert_array_equal(mm.load(tmp_path / "run").predict(X), found.predict(X))
    assert run.run["engine"] == found.about["engine"] == held.about["engine"]
    assert run.run["engine"]["execution"] == TOGETHER
    assert [r["seed"] for r in run.run["replicas"]] == [5, 6]
    assert found.about["replicas"] == held.about["replicas"]
    assert found.about["history"] == held.about["history"]
    with pytest.raises(FileExistsError, match="Choose another directory"):
        together(into=tmp_path / "run")


def test_snapshots_take_the_number_of_a_replica(tmp_path):
    run = mm.Snapshots(tmp_path / "run")
    for replica, step in ((1, 4), (0, 4), (0, 2)):
        run.add([np.array([10.0 * replica + step])], step, replica=replica)
    assert [(m.step, m.replica) for m in run.members] == [(2, 0), (4, 0), (4, 1)]
    assert [float(w[0][0]) for w in run] == [2.0, 4.0, 14.0]
    assert run.problems() == []


@jax_only
def test_replicas_of_one_seed_may_differ_in_their_rates():
    """As a study does: two peaks, two seeds, and the same first weights, batches and dropout for a pair."""
    recipes = [mm.recipes.snapshot(cycles=3, peak=peak) for peak in (0.1, 0.1, 0.02, 0.02)]
    found = train_replicas(model, (X, Y), recipes, [5, 6, 5, 6], epochs=EPOCHS, batch_size=16)
    for replica, (seed, recipe) in enumerate(zip([5, 6, 5, 6], recipes, strict=True)):
        if replica in (1, 2):
            assert_members(of_replica(found, replica), alone(seed, recipe)[0], ROUNDING)
        rates = [m["logs"].get("learning_rate", 0) for m in found.about["members"] if m["replica"] == replica]
        assert 0 < max(rates) < recipe.peak
    assert [r["recipe"] for r in found.about["replicas"]] == [repr(recipe) for recipe in recipes]


def test_members_are_judged_on_validation_data():
    found = together(replicas=1, validation_data=(X[:30], Y[:30]))
    _, history = alone(5, validation_data=(X[:30], Y[:30]))
    ours, theirs = found.about["members"][-1]["logs"], history.members[-1].logs
    assert ours.keys() == theirs.keys()
    np.testing.assert_allclose([ours[k] for k in theirs], list(theirs.values()), rtol=1e-5)


def test_random_generators_are_left_alone():
    keras.utils.set_random_seed(3)
    generator = keras.random.uniform((2,)) is not None and global_state.get_global_attribute(GLOBAL_SEED_GENERATOR)
    before = random.getstate(), np.random.get_state()[1].copy(), np.array(generator.state)  # noqa: NPY002
    together(epochs=1, recipe=mm.recipes.checkpoints())
    assert global_state.get_global_attribute(GLOBAL_SEED_GENERATOR) is generator
    assert global_state.get_global_attribute(GLOBAL_RANDOM_SEED) == 3
    assert random.getstate() == before[0]
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    np.testing.assert_array_equal(generator.state, before[2])


def test_progress_is_told_up_to_the_end():
    told = []
    together(progress=lambda done, total: told.append((done, total)))
    assert {total for _, total in told} == {2 * EPOCHS * STEPS}
    done = [done for done, _ in told]
    assert done == sorted(set(done))
    assert done[-1] == 2 * EPOCHS * STEPS
    assert len(done) >= EPOCHS


def test_replicas_that_diverge_are_named_and_kept():
    recipes = [mm.recipes.snapshot(cycles=1, peak=peak) for peak in (0.05, 1e30)]
    with pytest.warns(UserWarning, match=r"1 of 2 replicas .* replica 1 \(seed 9, epoch 1\).*ensemble.part"):
        found = train_replicas(model, (X, Y), recipes, [8, 9], epochs=2, batch_size=16)
    assert [r.get("diverged") for r in found.about["replicas"]] == [None, 1]
    assert len(found) == 2
    assert np.isfinite(found.part([0]).predict(X)).all()
    with pytest.raises(ValueError, match="has diverged"):
        found.predict(X)


@jax_only
def test_a_second_call_runs_the_same_program(monkeypatch):
    """New models, another rate, another seed and other data are no reason to trace it again; another optimizer is."""
    from manyminima.training.engine import program as programs
    from manyminima.training.engine import stacked

    traces, run = [], stacked.Stacked._run
    monkeypatch.setattr(stacked.Stacked, "_run", lambda self, *args: traces.append(1) or run(self, *args))
    monkeypatch.setattr(programs, "_programs", type(programs._programs)())
    one, two = (mm.recipes.snapshot(cycles=c, peak=p) for c, p in ((1, 0.1), (2, 0.2)))
    options = {"build": small, "x": X[:96], "y": Y[:96], "epochs": 2}
    together(one, **options)
    assert len(traces) == 1
    again = together(
        two, **{**options, "seed": 77, "x": X[:96] + 1, "build": lambda: small(optimizer=keras.optimizers.SGD(1.0))}
    )
    assert len(traces) == 1
    assert again.about["recipe"]["peak"] == 0.2
    together(one, **{**options, "build": lambda: small(optimizer=keras.optimizers.SGD(0.1, momentum=0.5))})
    assert len(traces) == 2


@jax_only
@pytest.mark.parametrize("execution", WAYS)
def test_a_run_compiles_each_of_its_programs_once(execution, monkeypatch):
    """Also from one stretch to the next, where what came out goes in again."""
    from manyminima.training.engine import program as programs

    monkeypatch.setattr(programs, "_programs", type(programs._programs)())
    together(build=small, execution=execution)
    (program,) = programs._programs.values()
    compiled = [program._compiled] if execution == "stacked" else [program._whole, program._rest, program._results]
    assert [len(one) for one in compiled] == [1] * len(compiled)
