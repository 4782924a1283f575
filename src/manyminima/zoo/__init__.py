"""Small networks to start from, and `build`, which turns a word, a file or a function into an ordinary Keras model.

All come uncompiled. Scaling of the inputs is their first layer, so a run predicts on raw rows. Keras is imported on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING

_NAMES = {"build": "building", "cnn": "networks", "cnn1d": "networks", "mlp": "networks"}

__all__ = ["build", "cnn", "cnn1d", "mlp"]

if TYPE_CHECKING:
    from manyminima.zoo.building import build
    from manyminima.zoo.networks import cnn, cnn1d, mlp


def __getattr__(name: str):
    if name in _NAMES:
        return getattr(import_module(f"manyminima.zoo.{_NAMES[name]}"), name)
    raise AttributeError(f"module 'manyminima.zoo' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__():
    return __all__
