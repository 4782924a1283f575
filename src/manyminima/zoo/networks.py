"""Three small networks, each trained in seconds to minutes on two CPU cores."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers

__all__ = ["cnn", "cnn1d", "mlp"]

Shape = tuple[int, ...]


def mlp(
    input_shape: Shape,
    classes: int,
    *,
    widths: Sequence[int] = (64,),
    adapt_to: np.ndarray | None = None,
    task: str = "multiclass",
) -> keras.Model:
    """A multilayer perceptron with ReLU: inputs, flattened → widths → one probability per class.

    Args:
        input_shape: of one input, (features,) or any other shape.
        classes: number of classes, at least 2; for regression, of targets.
        widths: units of each hidden layer.
        adapt_to: training inputs, (rows, *input_shape). Bytes are divided by 255; other numbers get zero mean and unit
            variance, each feature for itself. None: inputs are taken as they are.
        task: "multiclass" ends in a softmax, "regression" in plain numbers.

    Raises:
        ValueError: a number is not positive, or the inputs do not have this shape.

    >>> mlp((4,), 3, widths=(8, 5)).count_params()
    103
    """
    shape = _checked(input_shape, classes, range(1, 9), "mlp")
    if not all(isinstance(width, int) and width > 0 for width in widths):
        raise ValueError(f"widths are {tuple(widths)}. Expected positive whole numbers: write widths=(256, 128).")
    stack = [*_scaling(adapt_to, shape, each=True), *([layers.Flatten()] if len(shape) > 1 else [])]
    stack += [layers.Dense(width, activation="relu") for width in widths]
    return _model("mlp", shape, [*stack, _head(classes, task)])


def cnn(
    input_shape: Shape, classes: int, *, adapt_to: np.ndarray | None = None, task: str = "multiclass"
) -> keras.Model:
    """A convolutional network with BatchNormalization for small images: 49,026 parameters for 28 × 28 × 1, ten classes.

    Args:
        input_shape: of one image, (height, width) or (height, width, channels), at least 8 × 8.
        classes: number of classes, at least 2; for regression, of targets.
        adapt_to: training images, (rows, *input_shape). Bytes are divided by 255; other numbers get zero mean and unit
            variance, over all pixels. None: images are taken as they are.
        task: "multiclass" ends in a softmax, "regression" in plain numbers.

    Raises:
        ValueError: the shape is not that of an image, a number is not positive, or the images do not have this shape.

    >>> cnn((28, 28), 10).count_params() < 100_000
    True
    """
    shape = _checked(input_shape, classes, (2, 3), "cnn", least=8)
    stack = _scaling(adapt_to, shape, each=False)
    if len(shape) == 2:
        stack.append(layers.Reshape((*shape, 1)))
    for width in (24, 48, 64):
        stack += [
            layers.Conv2D(width, 3, strides=2, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
        ]
    return _model("cnn", shape, [*stack, layers.Flatten(), _head(classes, task)])


def cnn1d(
    input_shape: Shape, classes: int, *, adapt_to: np.ndarray | None = None, task: str = "multiclass"
) -> keras.Model:
    """The convolutional network published with MNIST-1D: three layers of 25 channels, 5,210 parameters for 40 samples.

    Args:
        input_shape: of one signal, (samples,) or (samples, channels), at least 8 samples.
        classes: number of classes, at least 2; for regression, of targets.
        adapt_to: training signals, (rows, *input_shape). Bytes are divided by 255; other numbers get zero mean and unit
            variance, over all samples. None: signals are taken as they are.
        task: "multiclass" ends in a softmax, "regression" in plain numbers.

    Raises:
        ValueError: the shape is not that of a signal, a number is not positive, or the signals do not have this shape.

    Reference:
        Greydanus & Kobak 2020, Scaling down Deep Learning with MNIST-1D.

    >>> cnn1d((40,), 10).count_params()
    5210
    """
    shape = _checked(input_shape, classes, (1, 2), "cnn1d", least=8)
    stack = _scaling(adapt_to, shape, each=False)
    if len(shape) == 1:
        stack.append(layers.Reshape((*shape, 1)))
    for size in (5, 3, 3):
        stack += [layers.ZeroPadding1D(1), layers.Conv1D(25, size, strides=2, activation="relu")]
    return _model("cnn1d", shape, [*stack, layers.Flatten(), _head(classes, task)])


def _checked(shape: Shape, classes: int, ranks: Sequence[int], name: str, least: int = 1) -> Shape:
    shape = tuple(int(size) for size in shape)
    space = shape[: ranks[0]]
    if len(shape) not in ranks or min(shape, default=0) < 1 or min(space) < least:
        raise ValueError(
            f"{name} got inputs of shape {shape}. Expected {' or '.join(map(str, ranks[:2]))} axes, the first "
            f"{len(ranks[:1]) and ranks[0]} of at least {least}; for rows of numbers use mlp."
        )
    if classes < 1:
        raise ValueError(
            f"{name} got {classes} classes. Expected at least 2 (1 target for a regression): write {name}(shape, 2)."
        )
    return shape


def _scaling(adapt_to: np.ndarray | None, shape: Shape, *, each: bool) -> list[Any]:
    """The first layer: `each` feature for itself, or one mean and variance for all numbers.

    Mean and variance are constants of the model's config, not weights: no averaging of members can touch them. A feature
    that never varies is only shifted; dividing by its variance of 0 would blow up the first row that has another value.
    """
    if adapt_to is None:
        return []
    if adapt_to.shape[1:] != shape:
        raise ValueError(
            f"adapt_to has inputs of shape {adapt_to.shape[1:]}. Expected {shape}: pass the training inputs."
        )
    if adapt_to.dtype == np.uint8:
        return [layers.Rescaling(1 / 255)]
    axes = 0 if each else None
    mean, variance = adapt_to.mean(axes, dtype=np.float64), adapt_to.var(axes, dtype=np.float64)
    variance = np.where(variance > 0, variance, 1.0)
    axis = tuple(range(1, 1 + len(shape))) if each else None
    return [layers.Normalization(axis=axis, mean=mean.tolist(), variance=variance.tolist())]


def _head(classes: int, task: str) -> Any:
    return layers.Dense(classes, activation=None if task == "regression" else "softmax", name="head")


def _model(name: str, shape: Shape, stack: list[Any]) -> keras.Model:
    inputs = outputs = keras.Input(shape)
    for layer in stack:
        outputs = layer(outputs)
    return keras.Model(inputs, outputs, name=name)
