"""Data sets with an honest split, and batches whose order can be repeated.

`load` turns a name or an `.npz` file into arrays for training, validation and test, with a contract that a run keeps.
`Batches` feeds `fit` in an order that is a pure function of (seed, epoch). Nothing here imports Keras until it is needed.
"""

from importlib import import_module
from typing import TYPE_CHECKING

_NAMES = {
    "Batches": "batches",
    "Dataset": "loading",
    "Rows": "loading",
    "evaluation_rows": "loading",
    "run_dataset": "loading",
    "load": "loading",
    "training_inputs": "loading",
    "NAMES": "sources",
}

__all__ = ["NAMES", "Batches", "Dataset", "Rows", "evaluation_rows", "load", "run_dataset", "training_inputs"]

if TYPE_CHECKING:
    from manyminima.datasets.batches import Batches
    from manyminima.datasets.loading import Dataset, Rows, evaluation_rows, load, run_dataset, training_inputs
    from manyminima.datasets.sources import NAMES


def __getattr__(name: str):
    if name in _NAMES:
        return getattr(import_module(f"manyminima.datasets.{_NAMES[name]}"), name)
    raise AttributeError(f"module 'manyminima.datasets' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__():
    return __all__
