"""What a model predicts, told from its loss: every loss of Keras that says so, by name, function and object."""

import keras
import numpy as np
import pytest
from scipy.special import expit, softmax

from manyminima.runs import tasks
from manyminima.runs.tasks import Task
from problems import layers

Z = np.array([[2.0, -1.0, 0.5], [-300.0, 300.0, 0.0], [0.0, 0.0, 0.0]], "float32")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("CategoricalCrossentropy", "multiclass"),
        ("SparseCategoricalCrossentropy", "multiclass"),
        ("CategoricalFocalCrossentropy", "multiclass"),
        ("BinaryCrossentropy", "binary"),
        ("BinaryFocalCrossentropy", "binary"),
        ("MeanSquaredError", "regression"),
        ("MeanAbsoluteError", "regression"),
        ("MeanAbsolutePercentageError", "regression"),
        ("MeanSquaredLogarithmicError", "regression"),
        ("Huber", "regression"),
        ("LogCosh", "regression"),
    ],
)
def test_losses_of_keras(name, kind):
    cls = getattr(keras.losses, name)
    assert tasks.infer(cls()) == Task(kind)
    function = getattr(keras.losses, {"LogCosh": "log_cosh"}.get(name, _snake(name)))
    assert tasks.infer(function) == Task(kind)
    assert tasks.infer(function.__name__) == Task(kind)
    if kind != "regression":
        assert tasks.infer(cls(from_logits=True)) == Task(kind, from_logits=True)


def _snake(name):
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


@pytest.mark.parametrize("name", ["mse", "mae", "mape", "msle"])
def test_short_names(name):
    assert tasks.infer(name) == Task("regression")


@pytest.mark.parametrize("loss", [None, "poisson", keras.losses.CTC(), lambda y, p: 0.0, "kl_divergence", "hinge"])
def test_losses_that_do_not_tell(loss):
    assert tasks.infer(loss) is None


def heads(*units):
    x = keras.Input((4,))
    return keras.Model(x, {f"head{i}": layers.Dense(n, name=f"head{i}")(x) for i, n in enumerate(units)})


def test_each_output_has_its_own():
    model = heads(3, 1, 2)
    model.compile(loss={"head0": "sparse_categorical_crossentropy", "head1": "mse", "head2": None})
    found = tasks.of_model(model)
    assert found == {"head0": Task("multiclass"), "head1": Task("regression"), "head2": None}
    said = tasks.of_model(model, {"head2": "multilabel"}, from_logits=True)
    assert said == {
        k: Task(v, True) for k, v in {"head0": "multiclass", "head1": "regression", "head2": "multilabel"}.items()
    }


def test_a_binary_loss_on_several_units_means_several_labels():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, "sigmoid")])
    model.compile(loss="binary_crossentropy")
    assert tasks.of_model(model) == {"": Task("multilabel")}
    assert tasks.of_model(model, "binary") == {"": Task("binary")}
    assert tasks.of_model(model, "regression")[""].kind == "regression"


def test_unknown_tasks_are_named():
    with pytest.raises(ValueError, match=r"no task 'classes'; choose from .*multiclass"):
        tasks.override({"": None}, "classes", None)


def test_probabilities():
    np.testing.assert_allclose(tasks.to_probabilities(Z, Task("multiclass", True)), softmax(Z, -1), atol=1e-6)
    np.testing.assert_array_equal(tasks.to_probabilities(Z, Task("multiclass")), Z)
    np.testing.assert_allclose(tasks.to_probabilities(Z, Task("multilabel", True)), expit(Z), atol=1e-6)
    np.testing.assert_array_equal(tasks.to_probabilities(Z, Task("regression", True)), Z)
    p = tasks.to_probabilities(Z[:, :1], Task("binary", True))
    np.testing.assert_allclose(p, np.stack([expit(-Z[:, 0]), expit(Z[:, 0])], -1), atol=1e-6)
    assert p.dtype == np.float32


def test_what_is_recorded_comes_back():
    found = {"a": Task("binary", True), "b": None}
    assert tasks.from_json(tasks.to_json(found)) == found
    assert tasks.from_json(None) == {}
    assert str(found["a"]) == "binary from logits"
