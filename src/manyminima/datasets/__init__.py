"""Data sets with an honest split, and batches whose order can be repeated.

`load` turns a name, an `.npz` file, a table or a folder of images into arrays for training, validation and test, with a
contract that a run keeps. `Batches` feeds `fit` in an order that is a pure function of (seed, epoch), and `augmentation` changes
images on the way there. Nothing here imports Keras until it is needed.
"""

from importlib import import_module
from typing import TYPE_CHECKING

_NAMES = {
    "Batches": "batches",
    "Dataset": "loading",
    "Rows": "evaluation",
    "evaluation_rows": "evaluation",
    "run_dataset": "evaluation",
    "load": "loading",
    "new_rows": "unlabelled",
    "training_inputs": "evaluation",
    "NAMES": "sources",
}

__all__ = [
    "NAMES",
    "Batches",
    "Dataset",
    "Rows",
    "augmentation",
    "evaluation_rows",
    "load",
    "new_rows",
    "run_dataset",
    "training_inputs",
]

if TYPE_CHECKING:
    from manyminima.datasets import augmentation
    from manyminima.datasets.batches import Batches
    from manyminima.datasets.evaluation import Rows, evaluation_rows, run_dataset, training_inputs
    from manyminima.datasets.loading import Dataset, load
    from manyminima.datasets.sources import NAMES
    from manyminima.datasets.unlabelled import new_rows


def __getattr__(name: str):
    if name == "augmentation":
        return import_module("manyminima.datasets.augmentation")
    if name in _NAMES:
        return getattr(import_module(f"manyminima.datasets.{_NAMES[name]}"), name)
    raise AttributeError(f"module 'manyminima.datasets' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__():
    return __all__
