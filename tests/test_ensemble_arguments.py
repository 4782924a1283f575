"""What users hand to an ensemble: right, or one clear error before anything is computed."""

import pickle

import keras
import numpy as np
import pytest

import manyminima as mm
from problems import data

X, _ = data()


def collect_of(model) -> mm.Collect:
    collect = mm.Collect(mm.recipes.checkpoints(every=1))
    collect.members.add(model.get_weights(), 1)
    return collect


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda model: mm.Ensemble(None, [model.get_weights()]),
            TypeError,
            r"the model is None.*Ensemble\(model, members\)",
        ),
        (lambda model: mm.Ensemble([model.get_weights()], model), TypeError, "expected a Keras model first"),
        (lambda model: mm.Ensemble(model, None), TypeError, r"members are None: .*model.get_weights\(\)"),
        (lambda model: mm.Ensemble(model, model), TypeError, "members are <.*: expected lists of arrays"),
        (lambda model: mm.Ensemble(model, [model, model]), TypeError, "these are models: write .* for model in models"),
        (lambda model: mm.Ensemble(model, collect_of(model)), TypeError, r"Ensemble\(model, collect.members\)"),
        (lambda model: mm.load(None), TypeError, r'None is no run: write mm.load\("runs/x"\)'),
        (lambda model: mm.load(3), TypeError, "3 is no run"),
    ],
)
def test_what_is_no_ensemble_is_refused(model, make, error, message):
    with pytest.raises(error, match=message):
        make(model)


@pytest.mark.parametrize(
    ("do", "error", "message"),
    [
        (lambda e: e.part([]), ValueError, "no members are left"),
        (lambda e: e.part(0), TypeError, r"0 are no members: .*ensemble.part\(\[0, 2\]\)"),
        (lambda e: e.part([99]), IndexError, "there is no member 99: expected a place between 0 and"),
        (lambda e: e.newest(1.5), ValueError, "the newest 1.5 members: expected between 1"),
        (lambda e: e.newest(0), ValueError, "the newest 0 members"),
        (lambda e: e.newest(99), ValueError, "the newest 99 members"),
        (lambda e: e[99], IndexError, "there is no member 99"),
        (lambda e: e["a"], TypeError, r"'a' is no member: .*ensemble\[-1\]"),
        (lambda e: e[1.0], TypeError, "1.0 is no member"),
        (lambda e: e.predict(X, batch_size=2.5), ValueError, "batch_size=2.5: expected a whole number"),
        (lambda e: e.predict(X, batch_size="32"), ValueError, "batch_size='32'"),
        (
            lambda e: e.predict_members(X, batch_size=0),
            ValueError,
            "batch_size=0: expected a whole number of at least 1",
        ),
        (lambda e: e.predict(X, combine="mean"), TypeError, "combine='mean' is no function: .*mm.combine.median"),
        (lambda e: e.predict(X, combine=lambda p: None), ValueError, "combine returned None for 100 examples"),
        (lambda e: e.predict(X, combine=lambda p: p), ValueError, r"combine returned an array \(.*\) for 100 examples"),
        (lambda e: e.combined_by("fitted"), TypeError, r"'fitted' is no Combination: .*mm.Combination.fit"),
    ],
)
def test_what_an_ensemble_cannot_do_is_one_clear_error(ensemble, do, error, message):
    with pytest.raises(error, match=message):
        do(ensemble)


def test_places_may_be_numpys_and_count_from_the_end(ensemble):
    np.testing.assert_array_equal(ensemble[np.int64(-1)][0], ensemble[len(ensemble) - 1][0])
    chosen = ensemble.part(np.array([0, -1]))
    np.testing.assert_array_equal(chosen.predict_members(X), ensemble.predict_members(X)[[0, -1]])


@pytest.mark.filterwarnings(
    "ignore:Skipping variable loading for optimizer"
)  # Keras's own, of a compiled model's pickle
def test_an_ensemble_that_has_predicted_goes_to_another_process(ensemble):
    expected = ensemble.predict(X)
    twin = pickle.loads(pickle.dumps(ensemble))
    np.testing.assert_array_equal(twin.predict(X), expected)


def test_one_file_needs_no_list(model, tmp_path):
    model.save_weights(tmp_path / "one.weights.h5")
    found = mm.Ensemble.from_files(lambda: keras.models.clone_model(model), tmp_path / "one.weights.h5")
    np.testing.assert_array_equal(found[0][0], model.get_weights()[0])
