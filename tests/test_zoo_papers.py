"""Networks of papers: their numbers of parameters, their wiring against PyTorch's own layers, and weight decay as L2."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import manyminima as mm
from manyminima import datasets, zoo
from manyminima.datasets.natural import natural_order
from manyminima.zoo.papers import dense_blocks, paper_of, residual_blocks

# Keras 3.15 asks NumPy 2 for a copy in a way that NumPy is giving up, whenever it turns a variable into an array.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 8, 12, 3), np.uint8)


@pytest.fixture
def blank(monkeypatch):
    """Networks without first weights, where they do not matter: JAX compiles a program for each shape that it draws."""
    zeros = keras.initializers.Zeros()
    monkeypatch.setattr(
        keras.initializers.VarianceScaling, "__call__", lambda self, shape, dtype=None: zeros(shape, dtype)
    )


def trainable(model):
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


def wide(depth, width, classes=10):
    """Trainable weights of WRN-depth-width, counted from the paper's table 1."""
    count, before = 27 * 16, 16
    for channels in (16 * width, 32 * width, 64 * width):
        for _ in range((depth - 4) // 6):
            count += 2 * before + 9 * before * channels + 2 * channels + 9 * channels**2
            count += before * channels if before != channels else 0
            before = channels
    return count + 2 * before + (before + 1) * classes


def densely(depth, growth, *, bc=False, classes=10):
    """Trainable weights of DenseNet or DenseNet-BC for CIFAR, counted from the paper's section 3."""
    channels = 2 * growth if bc else 16
    count = 27 * channels
    for block in range(3):
        if block:
            kept = channels // 2 if bc else channels
            count, channels = count + 2 * channels + channels * kept, kept
        for _ in range((depth - 4) // (6 if bc else 3)):
            layer = 4 * growth * channels + 8 * growth + 36 * growth**2 if bc else 9 * growth * channels
            count, channels = count + 2 * channels + layer, channels + growth
    return count + 2 * channels + (channels + 1) * classes


# Millions as printed: Zagoruyko & Komodakis 2016, tables 2 to 4; Huang et al. 2017, table 2.
@pytest.mark.parametrize(
    ("count", "millions"),
    [
        *[(wide(40, 1), 0.6), (wide(40, 2), 2.2), (wide(40, 4), 8.9), (wide(40, 8), 35.7), (wide(28, 10), 36.5)],
        *[(wide(28, 12), 52.5), (wide(22, 8), 17.2), (wide(22, 10), 26.8), (wide(16, 8), 11.0), (wide(16, 10), 17.1)],
        *[(densely(40, 12), 1.0), (densely(100, 12), 7.0), (densely(100, 24), 27.2), (densely(100, 12, bc=True), 0.8)],
        *[(densely(250, 24, bc=True), 15.3), (densely(190, 40, bc=True), 25.6)],
    ],
)
def test_the_reference_counts_are_those_that_the_papers_print(count, millions):
    assert round(count / 1e6, 1) == millions


@pytest.mark.parametrize(
    ("make", "count"),
    [
        (lambda: zoo.wide_resnet(16, 4), 2_748_890),
        (lambda: zoo.wide_resnet(28, 10), 36_479_194),
        (lambda: zoo.wide_resnet(10, 1, 100), wide(10, 1, 100)),
        (lambda: zoo.wide_resnet(22, 2, dropout=0.3), wide(22, 2)),
        (lambda: zoo.densenet(40, 12), 1_019_722),
        (lambda: zoo.densenet(100, 12, bottleneck=True, compression=0.5), 769_162),
        (lambda: zoo.densenet(10, 4, 7), densely(10, 4, classes=7)),
    ],
)
@pytest.mark.usefixtures("blank")
def test_published_sizes(make, count):
    assert trainable(make()) == count


@pytest.mark.usefixtures("blank")
def test_names_are_read_as_written():
    assert zoo.wide_resnet(10, 1).name == "wrn-10-1"
    assert paper_of("wrn-28-10:dropout=0.3").options == {"depth": 28, "width": 10, "dropout": 0.3}
    assert paper_of("densenet-40-12").options == {"depth": 40, "growth": 12}
    assert paper_of("densenet-bc-100-12").options["bottleneck"]
    assert paper_of("wrn-16-4").training.weight_decay == 5e-4
    assert paper_of("densenet-40-12").training.batch_size == 64
    for other in ("cnn", "wrn", "wrn-16", "densenet-bc", "wrn-16-4.keras", "nets.py:wrn-16-4"):
        assert paper_of(other) is None


@given(st.integers(-5, 300), st.sampled_from(["wrn", "dense", "bc"]))
def test_depths_fit_or_name_neighbours_that_do(depth, kind):
    def blocks(depth):
        return residual_blocks(depth) if kind == "wrn" else dense_blocks(depth, bottleneck=kind == "bc")

    each = 3 if kind == "dense" else 6
    if depth > 4 and (depth - 4) % each == 0:
        assert blocks(depth) == (depth - 4) // each
        return
    with pytest.raises(ValueError, match=rf"of depth {depth} does not exist: depths are {each}N \+ 4") as caught:
        blocks(depth)
    text = str(caught.value)
    below, above = (int(word) for word in text.split("nearest are ")[1].split(":")[0].split(",")[0].split(" and "))
    assert above - below == each
    assert blocks(below) * each + 4 == below
    assert depth < 10 or below < depth < above
    assert f"write depth={below}" in text


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: zoo.wide_resnet(17, 4), r"depth 17 .*nearest are 16 and 22: write depth=16, or --model wrn-16-4"),
        (lambda: zoo.densenet(41, 12), r"depth 41 .*nearest are 40 and 43: write depth=40, or --model densenet-40-12"),
        (lambda: zoo.densenet(99, 12, bottleneck=True), r"bottlenecks of depth 99 .*94 and 100.*densenet-bc-94-12"),
        (lambda: zoo.wide_resnet(4, 4), r"depth 4 .*10 and 16, the smallest ones"),
        (lambda: zoo.wide_resnet(16, 0), r"got width 0 and dropout 0\.0.*write wide_resnet\(16, 4, dropout=0\.3\)"),
        (lambda: zoo.wide_resnet(16, 1, dropout=1.0), r"dropout 1\.0.*below 1"),
        (lambda: zoo.densenet(10, 0), r"growth 0 .*write densenet\(10, 12, compression=0\.5\)"),
        (lambda: zoo.densenet(10, 4, compression=0.0), r"compression 0\.0\. Expected .*above 0"),
        (lambda: zoo.wide_resnet(10, 1, 1), r"got 1 classes\. Expected at least 2: write classes=10"),
        (lambda: zoo.wide_resnet(10, 1, adapt_to=np.ones((4, 7))), r"shape \(7,\).*for rows of numbers mlp"),
        (lambda: zoo.densenet(10, 4, adapt_to=np.ones((4, 3, 32, 32))), r"\(3, 32, 32\).*numpy\.moveaxis\(x, 1, -1\)"),
        (lambda: paper_of("wrn-16-4:dropout=1.2.3"), r"dropout that is no number\. Write it like wrn-28-10:dropout"),
    ],
)
def test_what_there_is_not(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# -- the wiring, against PyTorch's layers --------------------------------------------------------------------------------


def in_torch(model, x):
    """PyTorch's layers, which take their weights from the model's in the order in which those were made."""
    torch = pytest.importorskip("torch")
    f = torch.nn.functional

    def made(kind):
        found = sorted(
            (layer for layer in model.layers if isinstance(layer, kind)), key=lambda a: natural_order(a.name)
        )
        return iter([[torch.tensor(np.array(w)) for w in layer.weights] for layer in found])

    kernels, statistics = made(keras.layers.Conv2D), made(keras.layers.BatchNormalization)
    (head_weights,) = made(keras.layers.Dense)

    def conv(x, stride=1):
        kernel = next(kernels)[0].permute(3, 2, 0, 1)
        return f.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2)

    def act(x):
        gamma, beta, mean, variance = next(statistics)
        return f.relu(f.batch_norm(x, mean, variance, gamma, beta, eps=1e-5))

    def head(x):
        probs = f.softmax(act(x).mean((2, 3)) @ head_weights[0] + head_weights[1], -1)
        assert next(kernels, None) is next(statistics, None) is None
        return probs.numpy()

    scaled = (x - x.mean((0, 1, 2))) / x.std((0, 1, 2))
    return conv, act, head, torch.tensor(np.moveaxis(scaled, -1, 1))


@pytest.mark.usefixtures("blank")
def test_wide_residual_networks_are_wired_as_published():
    x = np.random.default_rng(1).normal(size=(3, 8, 12, 3)).astype("float32")
    model = shaken(zoo.wide_resnet(16, 2, adapt_to=x))
    conv, act, head, t = in_torch(model, x)
    t = conv(t)
    for group in range(3):
        for block in range(2):
            before = act(t)
            shortcut = conv(before, 1 + (group > 0)) if block == 0 else t
            t = conv(act(conv(before, 1 + (group > 0 and block == 0)))) + shortcut
    np.testing.assert_allclose(model.predict_on_batch(x), head(t), atol=2e-5)


@pytest.mark.usefixtures("blank")
@pytest.mark.parametrize("bottleneck", [False, True])
def test_densenets_are_wired_as_published(bottleneck):
    x = np.random.default_rng(1).normal(size=(3, 8, 12, 3)).astype("float32")
    torch = pytest.importorskip("torch")
    model = shaken(zoo.densenet(10, 4, bottleneck=bottleneck, compression=0.5, adapt_to=x))
    conv, act, head, t = in_torch(model, x)
    t = conv(t)
    for block in range(3):
        if block:
            t = torch.nn.functional.avg_pool2d(conv(act(t)), 2)
        for _ in range(1 if bottleneck else 2):
            made = conv(act(t))
            t = torch.cat([t, conv(act(made)) if bottleneck else made], 1)
    np.testing.assert_allclose(model.predict_on_batch(x), head(t), atol=2e-5)


def shaken(model, seed=0):
    """Weights that differ everywhere: fresh ones hide a swapped mean, offset or scale."""
    rng = np.random.default_rng(seed)
    made = [rng.uniform(0.5, 1.5, w.shape) if w.ndim == 1 else rng.normal(size=w.shape) for w in model.get_weights()]
    scaled = [w if w.ndim == 1 else w / np.sqrt(np.prod(w.shape[:-1])) for w in made]
    model.set_weights([w.astype("float32") for w in scaled])
    return model


# -- inputs, layouts and precision ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("blank")
def test_channels_are_standardised_inside_from_bytes():
    model = zoo.wide_resnet(10, 1, adapt_to=IMAGES)
    scaled = keras.Model(model.input, model.layers[1].output).predict_on_batch(IMAGES)
    np.testing.assert_allclose(scaled.mean((0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.std((0, 1, 2)), 1, rtol=1e-5)
    assert len(model.weights) == len(zoo.wide_resnet(10, 1).weights)  # constants, not weights


@pytest.mark.usefixtures("blank")
def test_grey_images_need_no_axis_of_channels():
    model = zoo.densenet(10, 4, adapt_to=IMAGES[..., 0])
    assert model.predict_on_batch(IMAGES[..., 0]).shape == (6, 10)


@pytest.fixture
def restored():
    before = keras.config.image_data_format(), keras.config.dtype_policy()
    yield
    keras.config.set_image_data_format(before[0])
    keras.config.set_dtype_policy(before[1])


@pytest.mark.parametrize(
    "make",
    [
        lambda: zoo.wide_resnet(10, 1, adapt_to=IMAGES),
        lambda: zoo.densenet(10, 4, bottleneck=True, compression=0.5, adapt_to=IMAGES),
    ],
)
@pytest.mark.usefixtures("blank", "restored")
def test_channels_first_computes_the_same_of_the_same_images_and_weights(make):
    last = shaken(make())
    keras.config.set_image_data_format("channels_first")
    first = make()
    first.set_weights(last.get_weights())
    np.testing.assert_allclose(first.predict_on_batch(IMAGES), last.predict_on_batch(IMAGES), atol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_keeps_float32_where_it_matters(policy, restored):
    plain = zoo.wide_resnet(10, 1, adapt_to=IMAGES)
    keras.config.set_dtype_policy(policy)
    mixed = zoo.wide_resnet(10, 1, adapt_to=IMAGES)
    mixed.set_weights(plain.get_weights())
    probs = mixed.predict_on_batch(IMAGES)
    assert probs.dtype == np.float32
    assert {str(v.dtype) for v in mixed.weights} == {"float32"}
    assert {layer.compute_dtype for layer in mixed.layers if "conv" in layer.name} == {policy.removeprefix("mixed_")}
    np.testing.assert_allclose(probs.sum(-1), 1, atol=1e-5)
    np.testing.assert_allclose(probs, plain.predict_on_batch(IMAGES), atol=0.05)


def test_first_weights_are_he_s_over_the_outputs_of_a_filter():
    keras.utils.set_random_seed(0)
    kernels = [np.array(v) for v in zoo.wide_resnet(10, 2).trainable_variables if v.name == "kernel"]
    for kernel in (kernels[0], kernels[2], kernels[-2]):
        size, _, _, filters = kernel.shape
        np.testing.assert_allclose(kernel.std(), np.sqrt(2 / (size**2 * filters)), rtol=0.1)
    assert np.abs(kernels[-1]).max() <= 1 / np.sqrt(128)


# -- weight decay --------------------------------------------------------------------------------------------------------


def small(rate=0.1, momentum=0.9):
    keras.utils.set_random_seed(0)
    hidden = [keras.layers.Dense(5), keras.layers.BatchNormalization(), keras.layers.ReLU()]
    model = keras.Sequential([keras.Input((4,)), *hidden, keras.layers.Dense(3, "softmax")])
    model.compile(keras.optimizers.SGD(rate, momentum), "sparse_categorical_crossentropy")
    return model


def penalty(model):
    return sum(float(keras.ops.convert_to_numpy(loss)) for loss in model.losses)


def test_one_step_moves_by_the_gradient_and_decay_times_the_weight():
    x, y = np.random.default_rng(0).normal(size=(8, 4)).astype("float32"), np.arange(8) % 3
    steps = []
    for decay in (0.0, 0.25):
        model = small()
        model.set_weights([w + 0.3 for w in model.get_weights()])
        if decay:
            zoo.add_weight_decay(model, decay)
        before = [np.array(v) for v in model.trainable_variables]
        model.fit(x, y, batch_size=8, epochs=1, shuffle=False, verbose=0)
        steps.append([np.array(v) - b for v, b in zip(model.trainable_variables, before, strict=True)])
    for plain, decayed, weight in zip(*steps, before, strict=True):
        np.testing.assert_allclose(decayed - plain, -0.1 * 0.25 * weight, atol=1e-6)
    assert len(before) == 6  # kernels, biases, scale and offset: all of them


def test_decay_is_part_of_the_loss_and_of_the_record(tmp_path):
    model = small()
    zoo.add_weight_decay(model, 1e-2)
    total = sum(float((np.array(v) ** 2).sum()) for v in model.trainable_variables)
    np.testing.assert_allclose(penalty(model), 0.5e-2 * total, rtol=1e-5)
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras", compile=False)
    np.testing.assert_allclose(penalty(again), 0.5e-2 * total, rtol=1e-5)
    zoo.add_weight_decay(model, 0)
    assert model.losses == []


def test_decay_that_is_none():
    with pytest.raises(ValueError, match=r"weight decay is -1\. Expected .*write 5e-4"):
        zoo.add_weight_decay(small(), -1)
    with pytest.raises(ValueError, match=r"has no weights yet\. Build it first, by keras\.Input"):
        zoo.add_weight_decay(keras.Sequential([keras.layers.Dense(2)], name="late"), 1e-4)


# -- a run ---------------------------------------------------------------------------------------------------------------


def test_a_run_of_a_paper_s_network_gives_members_and_its_model(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (48, 8, 8, 3), np.uint8)
    y = np.arange(48) % 3
    np.savez(tmp_path / "images.npz", x=x, y=y)
    data = datasets.load(tmp_path / "images.npz")
    keras.utils.set_random_seed(0)
    model = zoo.build("wrn-10-1", data)
    zoo.add_weight_decay(model, 5e-4)
    model.compile(keras.optimizers.SGD(momentum=0.9), "sparse_categorical_crossentropy")
    batches = datasets.Batches(data.x_train, data.y_train, 16).through(*datasets.augmentation.named("crop-flip", x))
    collect = mm.Collect(mm.recipes.snapshot(cycles=2, peak=0.1), into=tmp_path / "run")
    model.fit(batches, epochs=2, shuffle=False, verbose=0, callbacks=[collect])
    ensemble = mm.load(tmp_path / "run")
    np.testing.assert_allclose(
        ensemble.predict_members(data.x_test)[-1], model.predict(data.x_test, verbose=0), atol=1e-5
    )
    assert ensemble.model.losses  # the decay is on record
    np.savez(tmp_path / "numbers.npz", x=x, y=y / 3)
    numbers = datasets.load(tmp_path / "numbers.npz", task="regression")
    with pytest.raises(ValueError, match=r"tells classes apart, but the task is regression\. Use cnn"):
        zoo.build("wrn-10-1", numbers)
