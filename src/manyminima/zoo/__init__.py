"""Small networks to start from, those of papers, and `build`, which makes a Keras model of a word, a file or a function.

All come uncompiled. Scaling of the inputs is their first layer, so a run predicts on raw rows. Keras is imported on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING

_NAMES = {
    "add_weight_decay": "decay",
    "build": "building",
    "cnn": "networks",
    "cnn1d": "networks",
    "densenet": "dense",
    "mlp": "networks",
    "wide_resnet": "residual",
}

__all__ = ["add_weight_decay", "build", "cnn", "cnn1d", "densenet", "mlp", "wide_resnet"]

if TYPE_CHECKING:
    from manyminima.zoo.building import build
    from manyminima.zoo.decay import add_weight_decay
    from manyminima.zoo.dense import densenet
    from manyminima.zoo.networks import cnn, cnn1d, mlp
    from manyminima.zoo.residual import wide_resnet


def __getattr__(name: str):
    if name in _NAMES:
        return getattr(import_module(f"manyminima.zoo.{_NAMES[name]}"), name)
    raise AttributeError(f"module 'manyminima.zoo' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__():
    return __all__
