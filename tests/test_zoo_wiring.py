"""What networks of papers compute: their wiring against PyTorch's own layers, of bytes, in each layout and precision."""

import keras
import numpy as np
import pytest

from manyminima import zoo
from manyminima.datasets.natural import natural_order

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 8, 12, 3), np.uint8)


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
