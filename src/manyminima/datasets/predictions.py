"""Members' predictions and labels that others wrote: read from .npy and .npz, checked, and split. No Keras."""

import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit, softmax

from manyminima.datasets.natural import natural_order

__all__ = ["Predicted", "read", "split"]

_SEED = 0


class Predicted(NamedTuple):
    """Members' predictions of some rows, (members, examples, ..., classes), with labels and, if known, inputs."""

    probs: np.ndarray
    y: np.ndarray
    x: np.ndarray | None = None


def read(
    probs: Path, labels: Path, inputs: Path | None, *, from_logits: bool = False, task: str | None = None
) -> Predicted:
    """Read predictions and labels of the same rows.

    Args:
        probs: `.npy` of (members, examples, ..., classes), or `.npz` with that one array, or with an array of (examples, ...,
            classes) for each member, oldest first by the numbers in their names.
        labels: `.npy`, or `.npz` with one array.
        inputs: `.npy` or `.npz` of the rows' inputs, or None.
        from_logits: whether to apply a softmax (for "multilabel" a sigmoid) first.
        task: as for `mm.report`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no file of arrays, or the arrays do not fit together.
    """
    found = {name: np.asarray(array) for name, array in _arrays(probs).items()}
    members = next(iter(found.values())) if len(found) == 1 else _stacked(found, probs)
    y = _only(labels)
    if members.ndim < 3:
        raise ValueError(
            f"'{probs}' holds an array of shape {members.shape}, expected (members, examples, classes). For two classes save "
            "np.stack([1 - p, p], axis=-1)."
        )
    if from_logits and task != "regression":
        members = expit(members) if task == "multilabel" else softmax(members.astype("float64"), axis=-1)
    if len(y) != members.shape[1]:
        raise ValueError(
            f"'{labels}' has {len(y)} labels, but '{probs}' predictions of {members.shape[1]} examples (its shape is "
            f"{members.shape}, members first). Save the same rows, in the same order."
        )
    return Predicted(members, y, None if inputs is None else _only(inputs))


def split(rows: Predicted, share: float | None) -> tuple[Predicted, Predicted | None]:
    """Set a share of the examples apart, drawn at random with a fixed seed; the rest comes first.

    Raises:
        ValueError: one of the two parts would be empty.
    """
    if share is None:
        return rows, None
    count = round(share * len(rows.y))
    if not 0 < count < len(rows.y):
        raise ValueError(f"a share of {share} of {len(rows.y)} examples leaves one part empty. Take another share.")
    order = np.random.default_rng(_SEED).permutation(len(rows.y))
    apart, rest = np.sort(order[:count]), np.sort(order[count:])
    return _part(rows, rest), _part(rows, apart)


def _part(rows: Predicted, at: np.ndarray) -> Predicted:
    return Predicted(rows.probs[:, at], rows.y[at], None if rows.x is None else rows.x[at])


def _stacked(found: dict[str, np.ndarray], path: Path) -> np.ndarray:
    shapes = {name: array.shape for name, array in found.items()}
    if len(set(shapes.values())) > 1:
        raise ValueError(
            f"'{path}' holds arrays of different shapes: {shapes}. Expected one array for each member, of (examples, classes), "
            "or one of (members, examples, classes)."
        )
    return np.stack([found[name] for name in sorted(found, key=natural_order)])


def _only(path: Path) -> np.ndarray:
    found = _arrays(path)
    if len(found) != 1:
        raise ValueError(
            f"'{path}' holds {len(found)} arrays: {', '.join(found)}. Save the one that is meant, as .npy."
        )
    return np.asarray(next(iter(found.values())))


def _arrays(path: Path) -> dict[str, Any]:
    """Return a file's arrays by name; pickled objects, which would run code, are refused."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no file '{path}'. Write one with np.save or np.savez.")
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return {"": loaded}
        with loaded:
            return {name: loaded[name] for name in loaded.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"'{path}' cannot be read as .npy or .npz: {error}. Write it with np.save or np.savez, as numbers."
        ) from error
