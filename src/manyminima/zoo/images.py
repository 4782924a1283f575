"""What the image networks of papers have in common: the inputs, convolutions, batch statistics and the last layer.

Settings are those of the papers' code in Torch: He et al.'s normal weights over the outputs of a filter, no bias in
convolutions, batch statistics that forget a tenth in each step, and Torch's first weights of a linear layer.
"""

from typing import Any

import keras
import numpy as np
from keras import layers

__all__ = ["activated", "classified", "convolved", "dropped", "image_inputs"]

_PLAIN = (32, 32, 3)


def image_inputs(classes: int, adapt_to: np.ndarray | None, name: str) -> tuple[Any, Any]:
    """Return a model's input, images with their channels last, and what goes on from there: standardised channels.

    Mean and variance of each channel are constants in the model's config, computed in float32 whatever the policy. Where
    Keras is set to channels_first the images are turned around inside, so that the same images and weights serve both.

    Raises:
        ValueError: there are fewer than two classes, or the images have no three axes.
    """
    shape = _PLAIN if adapt_to is None else adapt_to.shape[1:]
    if classes < 2:
        raise ValueError(f"{name} got {classes} classes. Expected at least 2: write classes=10.")
    if len(shape) not in (2, 3) or min(shape[:2]) < 8 or (len(shape) == 3 and shape[2] > 4):
        raise ValueError(
            f"{name} got images of shape {tuple(shape)}. Expected (height, width) or (height, width, channels), at least 8 × 8, "
            f"with 1 to 4 channels, which come last: use numpy.moveaxis(x, 1, -1) where they come first; for rows of numbers mlp."
        )
    x = inputs = keras.Input(shape)
    if len(shape) == 2:
        x = layers.Reshape((*shape, 1))(x)
    if adapt_to is not None:
        mean, variance = _moments(adapt_to if len(shape) == 3 else adapt_to[..., None])
        x = layers.Normalization(axis=-1, mean=mean, variance=variance, dtype="float32")(x)
    if keras.config.image_data_format() == "channels_first":
        x = layers.Permute((3, 1, 2))(x)
    return inputs, x


def _moments(images: np.ndarray) -> tuple[list[float], list[float]]:
    """Return mean and variance of each channel, in float64, without a second copy of the images."""
    pieces = np.array_split(images, -(-len(images) // 1000))
    pixels = images.size / images.shape[-1]
    mean = sum(piece.sum((0, 1, 2), dtype=np.float64) for piece in pieces) / pixels
    variance = sum(((piece - mean) ** 2).sum((0, 1, 2)) for piece in pieces) / pixels
    return mean.tolist(), np.where(variance > 0, variance, 1.0).tolist()


def convolved(x, filters: int, size: int, strides: int = 1):
    """Return x after a convolution without bias, zeros around it."""
    # Padding "same" with stride 2 puts all zeros at the far side in Keras, one at each side in Torch.
    if size > 1 and strides > 1:
        x, padding = layers.ZeroPadding2D(size // 2)(x), "valid"
    else:
        padding = "same"
    he = keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")
    conv = layers.Conv2D(filters, size, strides, padding, use_bias=False, kernel_initializer=he)
    return conv(x)


def activated(x):
    """Return ReLU of x standardised over the batch: what comes before a convolution in both papers."""
    axis = 1 if keras.config.image_data_format() == "channels_first" else -1
    return layers.ReLU()(layers.BatchNormalization(axis, momentum=0.9, epsilon=1e-5)(x))


def dropped(x, rate: float):
    """Return x with a share of its numbers set to zero in training."""
    return layers.Dropout(rate)(x) if rate else x


def classified(x, classes: int):
    """Return probabilities, in float32 under any policy, from the mean of each channel."""
    uniform = keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")
    head = layers.Dense(classes, "softmax", kernel_initializer=uniform, dtype="float32", name="head")
    return head(layers.GlobalAveragePooling2D()(x))
