"""Densely connected networks, as published."""

import keras
import numpy as np

from manyminima.zoo.images import activated, classified, convolved, image_inputs
from manyminima.zoo.papers import dense_blocks

__all__ = ["densenet"]


def densenet(
    depth: int,
    growth: int,
    classes: int = 10,
    *,
    bottleneck: bool = False,
    compression: float = 1.0,
    adapt_to: np.ndarray | None = None,
) -> keras.Model:
    """A DenseNet for small images: three blocks, in which each layer sees what all layers before it made.

    A layer is statistics, ReLU and a 3 × 3 convolution of `growth` channels, with `bottleneck` a 1 × 1 convolution of
    4 · growth channels before it. Between blocks a 1 × 1 convolution keeps the share `compression` of the channels, and means
    over 2 × 2 halve the image. The first convolution has 16 channels, with bottleneck and compression (DenseNet-BC) 2 · growth.
    The paper trains with Nesterov momentum 0.9, batches of 64, rate 0.1 and weight decay 1e-4 (`zoo.add_weight_decay`).

    Args:
        depth: number of convolutions and the last layer, in a row: 3N + 4; with bottlenecks 6N + 4.
        growth: channels that each layer adds, at least 1.
        classes: number of classes, at least 2.
        bottleneck: whether each layer starts with a 1 × 1 convolution: DenseNet-B.
        compression: share of the channels that pass between blocks, above 0 to 1; DenseNet-C has 0.5.
        adapt_to: training images, (rows, height, width, channels): the model takes images of this shape and standardises
            each channel by their mean and variance. None: images of 32 × 32 × 3, taken as they are.

    Raises:
        ValueError: there is no DenseNet of this depth, a number is out of range, or these are no images.

    Reference:
        Huang, Liu, van der Maaten & Weinberger 2017, Densely Connected Convolutional Networks.

    >>> model = densenet(10, 4)
    >>> sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    8562
    """
    count = dense_blocks(depth, bottleneck=bottleneck)
    if growth < 1 or not 0 < compression <= 1:
        raise ValueError(
            f"densenet got growth {growth} and compression {compression}. Expected a growth of at least 1 and a compression "
            f"above 0 and at most 1: write densenet({depth}, 12, compression=0.5)."
        )
    inputs, x = image_inputs(classes, adapt_to, "densenet")
    channels = 2 * growth if bottleneck and compression < 1 else 16
    x = convolved(x, channels, 3)
    for block in range(3):
        if block:
            channels = int(channels * compression)
            x = keras.layers.AveragePooling2D(2)(convolved(activated(x), channels, 1))
        for _ in range(count):
            x = _layer(x, growth, bottleneck=bottleneck)
        channels += count * growth
    kind = "densenet-bc" if bottleneck and compression < 1 else "densenet"
    return keras.Model(inputs, classified(activated(x), classes), name=f"{kind}-{depth}-{growth}")


def _layer(x, growth: int, *, bottleneck: bool):
    axis = 1 if keras.config.image_data_format() == "channels_first" else -1
    made = activated(x)
    if bottleneck:
        made = activated(convolved(made, 4 * growth, 1))
    return keras.layers.Concatenate(axis=axis)([x, convolved(made, growth, 3)])
