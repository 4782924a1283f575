"""What a study is given: every mistake is one error, before anything is trained, that says what to type."""

import re

import keras
import numpy as np
import pytest

import manyminima as mm
from manyminima.comparison.asked import peaks_asked
from manyminima.comparison.methods import method_of, methods_of
from manyminima.comparison.rows import dataset_of
from problems import layers
from small_studies import X, Y, build_model, parts, study


def never():
    pytest.fail("a model was built")


# -- numbers -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"peaks": 0.1}, TypeError, r"peaks=0.1 is one number, expected a list of them: peaks=(0.1,)"),
        ({"peaks": []}, ValueError, "expected one learning rate above 0 or several, and there is none"),
        ({"peaks": (0.1, 0)}, ValueError, "and 0.0 is none. Write peaks=(0.03, 0.1, 0.3)"),
        ({"peaks": (0.1, -1)}, ValueError, "and -1.0 is none"),
        ({"peaks": (float("nan"),)}, ValueError, "and nan is none"),
        ({"peaks": (0.1, float("inf"))}, ValueError, "and inf is none"),
        ({"peaks": (0.1, 0.3, 0.1)}, ValueError, "a peak is there twice. Write peaks=(0.1, 0.3)"),
        ({"peaks": "high"}, TypeError, "expected learning rates, such as peaks=(0.03, 0.1, 0.3)"),
        ({"peaks": [None]}, TypeError, "expected learning rates, such as peaks=(0.03, 0.1, 0.3)"),
        ({"seeds": 1}, ValueError, "an interval over seeds needs at least 2, and 20 to tell something: seeds=20"),
        ({"seeds": 0}, ValueError, "seeds=0: expected a whole number of at least 2"),
        ({"seeds": -1}, ValueError, "seeds=-1: expected a whole number of at least 2"),
        ({"seeds": True}, ValueError, "seeds=True: expected a whole number of at least 2"),
        ({"seeds": 5.0}, ValueError, "seeds=5.0: expected a whole number"),
        ({"seeds": [0, 1, 2]}, TypeError, "expected how many there are, as a number. Write seeds=3"),
        ({"seeds": 10_001}, ValueError, "seeds=10001: expected at most 10,000"),
        ({"epochs": 0}, ValueError, "epochs=0: expected a whole number of at least 1"),
        ({"epochs": "60"}, ValueError, "epochs='60': expected a whole number of at least 1"),
        ({"batch_size": 0}, ValueError, "batch_size=0: expected a whole number of at least 1"),
        ({"batch_size": 1000}, ValueError, "expected 1 to 60, the number of training rows. Write batch_size=32"),
        ({"recipes": "swa"}, TypeError, 'is one text, expected a list of them: ["swa"]'),
        ({"recipes": []}, ValueError, "there are no recipes to compare. Name one or several"),
        ({"recipes": ["swa", "swa"]}, ValueError, "'swa' and 'swa' are the same method. Leave one out"),
        ({"recipes": ["swa", "swa:start=0.75"]}, ValueError, "'swa' and 'swa:start=0.75' are the same method"),
        ({"recipes": ["snapshto"]}, ValueError, "no method 'snapshto'. Did you mean snapshot? Expected one of single"),
        (
            {"recipes": [mm.recipes.ema(decay=0.9)]},
            TypeError,
            "Write recipes as they are typed, such as 'ema:decay=0.9'",
        ),
        ({"recipes": [3]}, TypeError, "such as 'snapshot:cycles=5'"),
        ({"recipes": ["snapshot:cycles=100"]}, ValueError, "snapshot:cycles=100: "),
        ({"recipes": ["deep-ensemble:members=9"]}, ValueError, "2 epochs cannot be shared by 9 runs"),
    ],
)
def test_numbers_and_recipes(changes, error, message):
    with pytest.raises(error, match=re.escape(message)):
        study(build=never, **changes)


def test_peaks_come_as_they_were_written():
    assert peaks_asked(np.array([0.1, 0.03])) == (0.1, 0.03)
    assert peaks_asked(None) is None


def test_baselines_may_be_named_once():
    assert [m.name for m in methods_of(["single", "swa"], 60)] == [
        "single",
        "constant",
        "swa",
        "deep-ensemble:members=5",
    ]
    with pytest.raises(ValueError, match="'single' and 'single' are the same method"):
        methods_of(["single", "single"], 60)
    assert [m.name for m in methods_of(["deep-ensemble:members=3"], 60)][2:] == ["deep-ensemble:members=3"]


@pytest.mark.parametrize(
    ("text", "python"),
    [
        ("single", "mm.recipes.snapshot(cycles=1, peak=0.1)"),
        ("snapshot:cycles=5,update=epoch", "mm.recipes.snapshot(cycles=5, update='epoch', peak=0.1)"),
        ("ema:decay=0.9", "mm.recipes.ema(decay=0.9) with learning_rate=0.1"),
        ("constant", "fit with learning_rate=0.1"),
        ("deep-ensemble:members=4", "mm.train with replicas=4 and mm.recipes.snapshot(cycles=1, peak=0.1)"),
    ],
)
def test_a_method_says_what_to_type_in_python(text, python):
    assert method_of(text).python(0.1) == python


# -- rows ----------------------------------------------------------------------------------------------------------------


NAN = X.copy()
NAN[70, 1] = np.nan


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        ((X, Y), TypeError, "are a tuple: expected ((x_train, y_train), (x_val, y_val), (x_test, y_test))"),
        ({"x": X, "y": Y}, TypeError, "are a dict with x, y: expected ((x_train, y_train)"),
        (parts()[:2], TypeError, "expected ((x_train, y_train), (x_val, y_val), (x_test, y_test))"),
        ((parts()[0], (X[:0], Y[:0]), parts()[2]), ValueError, "the val part has no rows"),
        ((parts()[0], (X[60:90], Y[60:91]), parts()[2]), ValueError, "the val part has 30 inputs"),
        ((parts()[0], parts()[2], parts()[2]), ValueError, "the val part and the test part have rows in common"),
        (
            (parts()[0], (X[50:80], Y[50:80]), parts()[2]),
            ValueError,
            "the train part and the val part have rows in common",
        ),
        (
            (parts()[0], (X[:60].copy(), Y[:60]), parts()[2]),
            ValueError,
            "Split the rows once, for example with sklearn",
        ),
        (parts(NAN), ValueError, "row 10 of the val inputs holds nan (1 of 30 rows do)"),
        (parts(y={"a": Y}["a"].astype(str)), ValueError, "the train labels are <U"),
        (parts(y=Y + 0.5), ValueError, "the train labels are float64, not integers"),
        (parts(y=Y - 1), ValueError, "has label -1. Expected class numbers 0, 1, 2"),
        (parts(y=Y + 1), ValueError, "and the model knows 3 classes: expected 0 to 2. Give its last layer 4 units"),
        (parts(y=0 * Y), ValueError, "all training labels are 0: there is nothing to learn"),
    ],
)
def test_rows(rows, error, message):
    with pytest.raises(error, match=re.escape(message)):
        study(rows)


def test_labels_of_several_outputs():
    with pytest.raises(TypeError, match="the labels are a dictionary of a, b: a study compares one output"):
        study([(x, {"a": y, "b": y}) for x, y in parts()])


def test_a_table_may_have_gaps():
    dataset = mm.datasets.load("wine")
    dataset.x_train[3, 2] = np.nan
    with pytest.raises(ValueError, match="row 3 of the train inputs holds nan"):
        dataset_of(dataset)
    dataset.contract["table"] = {}
    assert dataset_of(dataset) is dataset


# -- models --------------------------------------------------------------------------------------------------------------


def two_outputs():
    inputs = keras.Input((4,))
    outputs = {name: layers.Dense(3, "softmax", name=name)(inputs) for name in ("left", "right")}
    model = keras.Model(inputs, outputs)
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def uncompiled():
    return keras.Sequential([keras.Input((4,)), layers.Dense(3, "softmax")])


def unnamed_loss(y, probs):
    return keras.losses.sparse_categorical_crossentropy(y, probs)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (build_model(), TypeError, "expected a function that returns a new compiled one. Write def build_model()"),
        ("mlp", TypeError, "build_model is 'mlp'"),
        (lambda: None, TypeError, "End the function with return model"),
        (uncompiled, ValueError, "is not compiled: call model.compile(optimizer=…, loss=…) in build_model"),
        (two_outputs, ValueError, "has the outputs left, right: a study compares one. Let build_model return"),
        (lambda: build_model(loss=unnamed_loss), ValueError, "it cannot be told from the loss"),
        (
            lambda: build_model(2, "binary_crossentropy", activation="sigmoid"),
            ValueError,
            "predicts several labels at once",
        ),
        (
            lambda: build_model(optimizer=keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 10))),
            ValueError,
            "Compile with a number",
        ),
    ],
)
def test_models(build, error, message):
    with pytest.raises(error, match=re.escape(message)):
        study(build=build)


def test_training_wants_a_function_too():
    with pytest.raises(TypeError, match="expected a function that returns a new compiled one. Write def build_model"):
        mm.train(build_model(), X, Y, mm.recipes.swa(peak=0.1), epochs=2, batch_size=16)


def test_one_hot_rows_and_columns_of_numbers_are_labels():
    one_hot = keras.utils.to_categorical(Y, 3)
    found = study(parts(y=one_hot), lambda: build_model(loss="categorical_crossentropy"))
    expected = study()
    np.testing.assert_allclose(found.rows[0].scores["nll"], expected.rows[0].scores["nll"], rtol=1e-4)
    column = (Y[:, None] > 0).astype("float32")
    binary = study(parts(y=column), lambda: build_model(1, "binary_crossentropy", activation="sigmoid"))
    assert 0 < binary.rows[0].mean("error") < 0.5


def test_inputs_by_name_and_regression():
    def build():
        inputs = {name: keras.Input((2,), name=name) for name in ("a", "b")}
        model = keras.Model(inputs, layers.Dense(1)(layers.Concatenate()(list(inputs.values()))))
        model.compile(keras.optimizers.SGD(0.01), "mse")
        return model

    target = X @ np.array([1.0, -1.0, 0.5, 0.0], "float32")
    rows = [({"a": x[:, :2], "b": x[:, 2:]}, y) for x, y in parts(y=target)]
    found = study(rows, build)
    assert found.metric == "squared_error"
    assert found.rows[0].mean("squared_error") < np.var(target)
    assert found.about["data"]["rows"] == {"train": 60, "val": 30, "test": 30}
