"""Where the batches of a `fit` come from, and how much of their order can be had again."""

import hashlib
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

__all__ = ["Source"]

_SAMPLE = 1000  # rows, evenly spaced: hashing a large data set would take longer than many a training


@dataclass(frozen=True)
class Source:
    """What `fit` was given to train on.

    Args:
        about: what can be told of it, to be compared with that of another `fit`.
        dataset: the object with an `epoch` of its own, as `mm.datasets.Batches`; None if there is none.
        lost: why the order of its rows cannot be had again; "" if it can.
    """

    about: dict[str, Any]
    dataset: Any = None
    lost: str = ""

    @classmethod
    def of(cls, adapter: Any) -> "Source":
        """Return what Keras's data adapter draws from; None stands for one that was not found."""
        dataset = getattr(adapter, "py_dataset", None)
        if dataset is not None:
            moves = isinstance(getattr(dataset, "epoch", None), int)
            return cls(_about_dataset(dataset), dataset if moves else None)
        if hasattr(adapter, "_shuffle") and hasattr(adapter, "_inputs"):
            fixed = keras.backend.backend() != "tensorflow" or not adapter._shuffle
            lost = "" if fixed else "TensorFlow shuffles arrays with a generator that gives its state to nobody"
            return cls(_about_arrays(adapter._inputs, adapter._batch_size), lost=lost)
        kind = type(adapter).__name__.removesuffix("Adapter")
        return cls({"kind": kind}, lost=f"the order of a {kind} is its own")


def _about_dataset(dataset: Any) -> dict[str, Any]:
    about = {"kind": type(dataset).__name__, "batches": dataset.num_batches}
    about |= {name: getattr(dataset, name) for name in ("batch_size", "seed") if hasattr(dataset, name)}
    arrays = getattr(dataset, "_arrays", None)
    return about if arrays is None else {**_about_arrays(arrays, about.get("batch_size")), **about}


def _about_arrays(arrays: Any, batch_size: Any) -> dict[str, Any]:
    found = [array for array in keras.tree.flatten(arrays) if array is not None]
    rows = int(found[0].shape[0])
    return {"kind": "arrays", "rows": rows, "batch_size": batch_size, "sha256": _sampled(found, rows)}


def _sampled(arrays: list[Any], rows: int) -> str:
    """Return a hash of the arrays' shapes and of evenly spaced rows; "" if they cannot be read row by row."""
    chosen = np.unique(np.linspace(0, rows - 1, _SAMPLE).astype(int))
    digest = hashlib.sha256()
    for array in arrays:
        try:
            part = np.asarray(array[chosen] if isinstance(array, np.ndarray) else keras.ops.take(array, chosen, axis=0))
        except (TypeError, ValueError, IndexError):
            return ""
        digest.update(f"{array.shape}{part.dtype}".encode() + np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()
