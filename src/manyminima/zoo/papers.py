"""Networks that papers made known, by the names they have there, and what their papers trained them with. No Keras.

`wrn-16-4` is a wide residual network of depth 16 and width 4; `densenet-40-12` and `densenet-bc-100-12` are densely connected
ones of depth 40 and 100 and growth 12. `wrn-28-10:dropout=0.3` has dropout as well.
"""

import re
from dataclasses import dataclass, field

__all__ = ["Paper", "Training", "dense_blocks", "paper_of", "residual_blocks"]

NAMES = "wrn-16-4, wrn-28-10, densenet-40-12, densenet-bc-100-12"

_WRN = re.compile(r"wrn-(\d+)-(\d+)(?::dropout=([\d.e-]+))?")
_DENSENET = re.compile(r"densenet(-bc)?-(\d+)-(\d+)")


@dataclass(frozen=True)
class Training:
    """What a network is trained with unless one says otherwise.

    Args:
        batch_size: rows in a step.
        optimizer: one that `manyminima train` knows.
        weight_decay: what is added to the gradient for each weight, as a share of the weight.
        augment: one of `manyminima.datasets.augmentation.CHOICES`.
    """

    batch_size: int = 32
    optimizer: str = "sgd"
    weight_decay: float = 0.0
    augment: str = "none"


@dataclass(frozen=True)
class Paper:
    """A network of a paper: the function of the zoo that makes it, its options, and how it was trained there."""

    function: str
    options: dict[str, int | float | bool] = field(default_factory=dict)
    training: Training = field(default_factory=Training)


def paper_of(spec: str) -> Paper | None:
    """Return the network that a name stands for; None if it is no such name.

    Raises:
        ValueError: the name is of the right kind, but there is no network of this depth, width or dropout.

    >>> paper_of("wrn-16-4").options
    {'depth': 16, 'width': 4}
    >>> paper_of("densenet-bc-100-12").options
    {'depth': 100, 'growth': 12, 'bottleneck': True, 'compression': 0.5}
    """
    if found := _WRN.fullmatch(spec):
        options: dict[str, int | float | bool] = {"depth": int(found[1]), "width": int(found[2])}
        residual_blocks(int(found[1]))
        extra = {"dropout": _number(spec, found[3])} if found[3] else {}
        return Paper("wide_resnet", options | extra, Training(128, "nesterov", 5e-4, "reflect-crop-flip"))
    if found := _DENSENET.fullmatch(spec):
        options = {"depth": int(found[2]), "growth": int(found[3])}
        dense_blocks(int(found[2]), bottleneck=bool(found[1]))
        extra = {"bottleneck": True, "compression": 0.5} if found[1] else {}
        return Paper("densenet", options | extra, Training(64, "nesterov", 1e-4, "crop-flip"))
    return None


def residual_blocks(depth: int) -> int:
    """Return the number of blocks in each of the three groups of a wide residual network, (depth - 4) / 6.

    Raises:
        ValueError: the depth is not 6N + 4.

    >>> residual_blocks(28)
    4
    """
    return _blocks(depth, 6, "a wide residual network", "wrn-{}-4")


def dense_blocks(depth: int, *, bottleneck: bool) -> int:
    """Return the number of layers in each of the three blocks of a DenseNet: (depth - 4) / 3, with bottlenecks half of it.

    Raises:
        ValueError: the depth is not 3N + 4; with bottlenecks, not 6N + 4.

    >>> dense_blocks(40, bottleneck=False), dense_blocks(100, bottleneck=True)
    (12, 16)
    """
    if bottleneck:
        return _blocks(depth, 6, "a DenseNet with bottlenecks", "densenet-bc-{}-12")
    return _blocks(depth, 3, "a DenseNet", "densenet-{}-12")


def _blocks(depth: int, each: int, what: str, name: str) -> int:
    blocks, rest = divmod(int(depth) - 4, each)
    if blocks < 1 or rest or isinstance(depth, bool) or depth != int(depth):
        below, above = 4 + each * max(blocks, 1), 4 + each * (max(blocks, 1) + 1)
        near = f"{below} and {above}" if blocks >= 1 else f"{below} and {above}, the smallest ones"
        raise ValueError(
            f"{what} of depth {depth} does not exist: depths are {each}N + 4. The nearest are {near}: write "
            f"depth={below}, or --model {name.format(below)}."
        )
    return blocks


def _number(spec: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{spec!r} has a dropout that is no number. Write it like wrn-28-10:dropout=0.3.") from None
