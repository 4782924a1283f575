"""The zoo: known sizes, scaling inside the model, and `build` with an error for each model that does not fit."""

import keras
import numpy as np
import pytest

from manyminima import datasets, zoo


@pytest.fixture(scope="module")
def wine():
    return datasets.load("wine")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    path = tmp_path_factory.mktemp("images") / "images.npz"
    x = np.random.default_rng(0).integers(0, 256, (40, 12, 12), np.uint8)
    np.savez(path, x=x, y=np.arange(40) % 4)
    return datasets.load(path)


def outputs(model, x):
    return model.predict_on_batch(x)


def kinds(model):
    return [type(layer).__name__ for layer in model.layers]


def test_published_and_promised_sizes():
    assert zoo.cnn1d((40,), 10).count_params() == 5210
    assert zoo.cnn((28, 28), 10).count_params() == 49_026
    assert zoo.mlp((64,), 10, widths=(256, 128)).count_params() == 64 * 256 + 256 + 256 * 128 + 128 + 1290
    assert zoo.mlp((4,), 3, widths=()).count_params() == 15


@pytest.mark.parametrize(
    ("make", "shape"),
    [(zoo.mlp, (5, 3)), (zoo.cnn, (8, 12, 3)), (zoo.cnn1d, (9, 2))],
)
def test_rows_are_probabilities_and_the_file_gives_the_same(make, shape, tmp_path):
    x = np.random.default_rng(0).normal(3, 5, (6, *shape)).astype("float32")
    model = make(shape, 3, adapt_to=x)
    probs = outputs(model, x)
    assert probs.shape == (6, 3)
    np.testing.assert_allclose(probs.sum(-1), 1, atol=1e-5)
    model.save(tmp_path / "m.keras")
    np.testing.assert_array_equal(outputs(keras.saving.load_model(tmp_path / "m.keras"), x), probs)


def test_scaling_is_inside_and_is_no_weight():
    x = np.random.default_rng(0).normal(50, 9, (100, 4)).astype("float32")
    x[:, 2] = 7  # never varies
    model = zoo.mlp((4,), 2, adapt_to=x)
    scaled = outputs(keras.Model(model.input, model.layers[1].output), x)
    np.testing.assert_allclose(scaled.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(scaled.std(0), [1, 1, 0, 1], atol=1e-4)
    assert len(model.weights) == len(zoo.mlp((4,), 2).weights)
    other = outputs(keras.Model(model.input, model.layers[1].output), x[:1] + 1)
    assert np.abs(other).max() < 10  # a new value in the constant column does not explode


def test_bytes_are_divided_by_255(images):
    model = zoo.build("cnn", images)
    assert kinds(model)[1:3] == ["Rescaling", "Reshape"]
    scaled = outputs(keras.Model(model.input, model.layers[1].output), images.x_train)
    np.testing.assert_allclose(scaled, images.x_train / 255, rtol=1e-5)


def test_build_knows_words_and_widths(wine, images):
    assert [layer.units for layer in zoo.build("mlp:256,128", wine).layers if hasattr(layer, "units")] == [256, 128, 3]
    assert zoo.build("mlp", wine).count_params() == 13 * 64 + 64 + 64 * 3 + 3
    assert zoo.build("cnn1d", wine).output_shape == (None, 3)
    assert zoo.build("mlp", images).output_shape == (None, 4)
    assert not zoo.build("mlp", wine).compiled


def test_build_ends_a_regression_in_plain_numbers(tmp_path):
    np.savez(tmp_path / "r.npz", x=np.random.default_rng(0).normal(size=(30, 2)), y=np.linspace(-5, 5, 30))
    model = zoo.build("mlp", datasets.load(tmp_path / "r.npz", task="regression"))
    assert model.layers[-1].activation is keras.activations.linear
    assert model.output_shape == (None, 1)


def test_build_loads_a_keras_file(tmp_path, wine):
    model = zoo.mlp((13,), 3)
    model.compile("adam", "mse")
    model.save(tmp_path / "m.keras")
    loaded = zoo.build(str(tmp_path / "m.keras"), wine)
    np.testing.assert_array_equal(outputs(loaded, wine.x_val), outputs(model, wine.x_val))
    assert not loaded.compiled


def write_functions(path):
    path.write_text(
        "import keras\n"
        "def good(shape, classes):\n"
        "    return keras.Sequential([keras.Input(shape), keras.layers.Dense(classes, activation='softmax')])\n"
        "def narrow(shape, classes):\n"
        "    return keras.Sequential([keras.Input(shape), keras.layers.Dense(1, activation='sigmoid')])\n"
        "def logits(shape, classes):\n"
        "    return keras.Sequential([keras.Input(shape), keras.layers.Dense(classes)])\n"
        "def other_inputs(shape, classes):\n"
        "    return keras.Sequential([keras.Input((99,)), keras.layers.Dense(classes, activation='softmax')])\n"
        "def nothing(shape, classes):\n"
        "    pass\n"
    )
    return path


def test_build_calls_a_function_of_a_file(tmp_path, wine):
    path = write_functions(tmp_path / "nets.py")
    assert zoo.build(f"{path}:good", wine).count_params() == 13 * 3 + 3


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        (
            "resnet",
            ValueError,
            r"no model 'resnet'\. Expected mlp, .*cnn1d, .*the path of a \.keras file, or path/file\.py",
        ),
        ("cnn:3", ValueError, "no model 'cnn:3'. Expected mlp"),
        ("mlp:a,b", ValueError, r"no whole numbers\. Write them like mlp:256,128"),
        ("mlp:0", ValueError, r"widths are \(0,\).*write widths=\(256, 128\)"),
        ("cnn", ValueError, r"cnn got inputs of shape \(13,\)\. Expected 2 or 3 axes.*use mlp"),
        ("missing.keras", FileNotFoundError, r"no file 'missing\.keras'\. Save a model there with model\.save"),
        ("missing.py:net", FileNotFoundError, r"no file 'missing\.py'\. Expected a Python file"),
        ("{nets}", ValueError, r"no function in it\. Write .*nets\.py:function"),
        ("{nets}:absent", ValueError, r"has no function 'absent'\. Expected def absent\(input_shape, classes\)"),
        ("{nets}:nothing", TypeError, r"returned NoneType\. Expected a keras\.Model: end the function in return"),
        (
            "{nets}:narrow",
            ValueError,
            r'returns \(2, 1\) for 2 rows, but .* \(2, 3\).*Dense\(3, activation="softmax"\)',
        ),
        ("{nets}:logits", ValueError, r'rows that sum to .*give its last layer activation="softmax"'),
        ("{nets}:other_inputs", ValueError, r"cannot be called on inputs of shape \(13,\).*Build it for that shape"),
    ],
)
def test_build_refuses_what_does_not_fit(tmp_path, wine, spec, error, message):
    nets = write_functions(tmp_path / "nets.py")
    with pytest.raises(error, match=message):
        zoo.build(spec.replace("{nets}", str(nets)), wine)


def test_networks_refuse_wrong_numbers():
    with pytest.raises(ValueError, match=r"cnn got 0 classes.*write cnn\(shape, 2\)"):
        zoo.cnn((28, 28), 0)
    with pytest.raises(ValueError, match=r"cnn1d got inputs of shape \(4,\).*of at least 8"):
        zoo.cnn1d((4,), 2)
    with pytest.raises(
        ValueError, match=r"adapt_to has inputs of shape \(5,\)\. Expected \(4,\): pass the training inputs"
    ):
        zoo.mlp((4,), 2, adapt_to=np.ones((3, 5)))


def test_a_short_fit_learns(wine):
    keras.utils.set_random_seed(0)
    model = zoo.build("mlp:16", wine)
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    model.fit(datasets.Batches(wine.x_train, wine.y_train, 16), epochs=20, shuffle=False, verbose=0)
    assert (outputs(model, wine.x_test).argmax(-1) == wine.y_test).mean() > 0.8


def test_names():
    networks = {"cnn", "cnn1d", "densenet", "mlp", "wide_resnet"}
    assert set(zoo.__all__) == set(dir(zoo)) == networks | {"add_weight_decay", "build"}
    assert zoo.wide_resnet is zoo.wide_resnet
