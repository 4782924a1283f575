"""Wide residual networks, as published."""

import keras
import numpy as np

from manyminima.zoo.images import activated, classified, convolved, dropped, image_inputs
from manyminima.zoo.papers import residual_blocks

__all__ = ["wide_resnet"]


def wide_resnet(
    depth: int, width: int, classes: int = 10, *, dropout: float = 0.0, adapt_to: np.ndarray | None = None
) -> keras.Model:
    """A wide residual network, WRN-depth-width: images → three groups of residual blocks → one probability per class.

    `width` multiplies the 16, 32 and 64 channels of the groups; the second and third halve the image by stride 2. Statistics
    and ReLU come before each convolution; where the channels change, the shortcut is a 1 × 1 convolution of what they give.
    The paper trains with Nesterov momentum 0.9, batches of 128, rate 0.1 and weight decay 5e-4 (`zoo.add_weight_decay`).

    Args:
        depth: number of convolutions on the longest way, without the shortcuts: 6N + 4.
        width: factor of the channels, at least 1.
        classes: number of classes, at least 2.
        dropout: share of the numbers between a block's two convolutions that is dropped; the paper has 0, or 0.3.
        adapt_to: training images, (rows, height, width, channels): the model takes images of this shape and standardises
            each channel by their mean and variance. None: images of 32 × 32 × 3, taken as they are.

    Raises:
        ValueError: the depth is not 6N + 4, a number is out of range, or these are no images.

    Reference:
        Zagoruyko & Komodakis 2016, Wide Residual Networks.

    >>> model = wide_resnet(10, 1)
    >>> sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    77850
    """
    blocks = residual_blocks(depth)
    if width < 1 or not 0 <= dropout < 1:
        raise ValueError(
            f"wide_resnet got width {width} and dropout {dropout}. Expected a width of at least 1 and a dropout of at least 0 "
            f"and below 1: write wide_resnet({depth}, 4, dropout=0.3)."
        )
    inputs, x = image_inputs(classes, adapt_to, "wide_resnet")
    x, channels = convolved(x, 16, 3), 16
    for group in range(3):
        for block in range(blocks):
            wanted = 16 * width * 2**group
            x = _block(x, wanted, 2 if group and not block else 1, dropout, widened=wanted != channels)
            channels = wanted
    return keras.Model(inputs, classified(activated(x), classes), name=f"wrn-{depth}-{width}")


def _block(x, channels: int, strides: int, dropout: float, *, widened: bool):
    before = activated(x)
    shortcut = convolved(before, channels, 1, strides) if widened else x
    inside = activated(convolved(before, channels, 3, strides))
    return keras.layers.Add()([convolved(dropped(inside, dropout), channels, 3), shortcut])
