"""Changes of training images that keep their class: functions of (images, generator), on bytes or floats, many at once.

Give them to `Batches(...).through(...)`: the generator there depends on the seed, the epoch and the batch alone, so a run
can be repeated, and resumed. Nothing here imports Keras. New pixels get a `fill`, the mean colour in the papers, which is 0
once the channels are standardised.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

__all__ = ["CHOICES", "crop", "cutout", "flip", "mean_colour", "named"]

CHOICES = ("none", "flip", "crop-flip", "reflect-crop-flip")

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def named(name: str, images: np.ndarray) -> tuple[Change, ...]:
    """Return the changes that a word stands for.

    Args:
        name: "none"; "flip"; "crop-flip", crops of images with 4 pixels of their mean colour around, as for ResNet and DenseNet;
            "reflect-crop-flip", with 4 pixels of their reflection around, as for wide residual networks.
        images: training images, (rows, height, width) or (rows, height, width, channels), of which the mean colour is taken.

    Raises:
        ValueError: there is no such word, or these are no images.
    """
    if name not in CHOICES:
        raise ValueError(f"no augmentation {name!r}. Expected one of {', '.join(CHOICES)}.")
    if name == "none":
        return ()
    _check(images)
    cropped = {
        "crop-flip": (partial(crop, fill=mean_colour(images)),),
        "reflect-crop-flip": (crop,),
    }
    return (*cropped.get(name, ()), flip)


def crop(
    images: np.ndarray, generator: np.random.Generator, *, pad: int = 4, fill: np.ndarray | float | None = None
) -> np.ndarray:
    """Return images of the same size, each cut at a random place out of itself with `pad` pixels around.

    Args:
        images: (rows, height, width) or (rows, height, width, channels).
        generator: where the places come from: each of (2 · pad + 1)² is equally likely.
        pad: pixels on each side; below height and width.
        fill: the colour around, (channels,) or one number; None puts the image's reflection there.

    Raises:
        ValueError: these are no images, or there are fewer pixels than `pad`.

    >>> crop(np.arange(4).reshape(1, 2, 2), np.random.default_rng(0), pad=1, fill=9).tolist()
    [[[2, 3], [9, 9]]]
    """
    rows, height, width = _check(images)[:3]
    if not 0 <= pad < min(height, width):
        raise ValueError(
            f"pad is {pad}. Expected at least 0 and below {min(height, width)}, the smaller side of these images of "
            f"{height} × {width}: write pad={min(4, min(height, width) - 1)}."
        )
    padded = _padded(images, pad, fill)
    places = generator.integers(0, 2 * pad + 1, (rows, 2)).tolist()
    cut = np.empty_like(images)
    for row, (down, right) in enumerate(places):
        cut[row] = padded[row, down : down + height, right : right + width]
    return cut


def flip(images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return the images, half of them at random mirrored left to right.

    >>> flip(np.arange(4).reshape(1, 2, 2), np.random.default_rng(2)).tolist()
    [[[1, 0], [3, 2]]]
    """
    mirrored = generator.random(_check(images)[0]) < 0.5
    flipped = images.copy()
    flipped[mirrored] = images[mirrored, :, ::-1]
    return flipped


def cutout(
    images: np.ndarray, generator: np.random.Generator, *, size: int = 16, fill: np.ndarray | float = 0
) -> np.ndarray:
    """Return the images, each with one square painted over; its centre is any pixel, so that part of it may lie outside.

    Args:
        images: (rows, height, width) or (rows, height, width, channels).
        generator: where the centres come from.
        size: side of the square in pixels; the paper has 16 for CIFAR-10 and 8 for CIFAR-100.
        fill: its colour, (channels,) or one number.

    Raises:
        ValueError: these are no images, or the size is below 1.

    Reference:
        DeVries & Taylor 2017, Improved Regularization of Convolutional Neural Networks with Cutout.
    """
    rows, height, width = _check(images)[:3]
    if size < 1:
        raise ValueError(f"the size of the square is {size}. Expected at least 1 pixel: write size=16.")
    inside = []
    for side in (height, width):
        first = generator.integers(0, side, (rows, 1)) - size // 2
        pixels = np.arange(side)
        inside.append((first <= pixels) & (pixels < first + size))
    painted = images.copy()
    painted[inside[0][:, :, None] & inside[1][:, None, :]] = fill
    return painted


def mean_colour(images: np.ndarray) -> np.ndarray:
    """Return the mean of each channel, (channels,) or a single number, in the images' own type; bytes are rounded."""
    _check(images)
    pieces = np.array_split(images, -(-len(images) // 1000))
    mean = sum(piece.sum((0, 1, 2), dtype=np.float64) for piece in pieces) / np.prod(images.shape[:3])
    return (np.round(mean) if images.dtype.kind in "iu" else np.asarray(mean)).astype(images.dtype)


def _padded(images: np.ndarray, pad: int, fill: np.ndarray | float | None) -> np.ndarray:
    rows, height, width, *channels = images.shape
    if fill is None:
        return np.pad(images, [(0, 0), (pad, pad), (pad, pad), *[(0, 0)] * len(channels)], mode="reflect")
    padded = np.empty((rows, height + 2 * pad, width + 2 * pad, *channels), images.dtype)
    padded[...] = np.broadcast_to(fill, padded.shape[2:]).copy()  # one row at a time: single pixels are slow to copy
    padded[:, pad : pad + height, pad : pad + width] = images
    return padded


def _check(images: np.ndarray) -> tuple[int, ...]:
    if images.ndim not in (3, 4):
        raise ValueError(
            f"these rows have shape {images.shape[1:]}. Expected images, (height, width) or (height, width, channels): type "
            f"--augment none, or use x.reshape(len(x), height, width)."
        )
    return images.shape
