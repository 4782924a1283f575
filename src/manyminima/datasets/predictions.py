"""Members' predictions and labels that others wrote: read from .npy and .npz, checked, and split. No Keras."""

import zipfile
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit, softmax

from manyminima.arrays import Task, as_problem, finite
from manyminima.datasets.natural import natural_order

__all__ = ["Predicted", "read", "split"]

_SEED = 0


class Predicted(NamedTuple):
    """Members' predictions of some rows, (members, examples, ..., classes), with labels and, if known, inputs.

    `places` are the rows' numbers in the files, `task` one of those of `manyminima.arrays`.
    """

    probs: np.ndarray
    y: np.ndarray
    x: np.ndarray | None
    task: Task
    places: np.ndarray


def read(
    probs: Path, labels: Path, inputs: Path | None, *, from_logits: bool = False, task: str | None = None
) -> Predicted:
    """Read predictions and labels of the same rows; all of them are checked, before any is set apart.

    Args:
        probs: `.npy` of (members, examples, ..., classes), or `.npz` with that one array, or with an array of (examples, ...,
            classes) for each member, oldest first by the numbers in their names.
        labels: `.npy`, or `.npz` with one array.
        inputs: `.npy` or `.npz` of the rows' inputs, or None.
        from_logits: whether to apply a softmax first; for "multilabel" and single outputs it is a sigmoid.
        task: as for `mm.report`; None infers it from all rows.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no file of arrays, or the arrays do not fit together.
    """
    found = {name: np.asarray(array) for name, array in _arrays(probs).items()}
    members = next(iter(found.values())) if len(found) == 1 else _stacked(found, probs)
    if members.ndim < 3:
        raise ValueError(
            f"'{probs}' holds an array of shape {members.shape}, expected (members, examples, classes). For a single member "
            "save probs[None]; for two classes np.stack([1 - p, p], axis=-1); for regression of one number p[..., None]."
        )
    y, x = _rows(labels, "labels", members, probs), None if inputs is None else _rows(inputs, "inputs", members, probs)
    members = _probabilities(members, y, task) if from_logits else members
    return Predicted(members, y, x, as_problem(y, members, task).task, np.arange(len(y)))


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
    x = None if rows.x is None else rows.x[at]
    return rows._replace(probs=rows.probs[:, at], y=rows.y[at], x=x, places=rows.places[at])


def _rows(path: Path, what: str, members: np.ndarray, probs: Path) -> np.ndarray:
    """The one array of a file, checked to have a row for each example of the predictions."""
    array = _only(path)
    if array.ndim == 0 or len(array) != members.shape[1]:
        count = f"the single value {array}" if array.ndim == 0 else f"{len(array)} {what}"
        raise ValueError(
            f"'{path}' has {count}, but '{probs}' predictions of {members.shape[1]} examples (its shape is {members.shape}, "
            "members first). Save the same rows, in the same order."
        )
    return array


def _probabilities(logits: np.ndarray, y: np.ndarray, task: str | None) -> np.ndarray:
    if task == "regression":
        return logits
    if task is None and y.dtype.kind in "buif" and y.shape == logits.shape[1:] and np.any(y.sum(-1) != 1):
        raise ValueError(
            f"labels have the shape {y.shape}, one for each logit, and several are 1: it cannot be told what the logits mean. "
            "Type --task multilabel, or --task regression."
        )
    numbers = finite(logits).astype("float64")
    return expit(numbers) if task == "multilabel" or logits.shape[-1] == 1 else softmax(numbers, axis=-1)


def _stacked(found: dict[str, np.ndarray], path: Path) -> np.ndarray:
    shapes = {name: array.shape for name, array in found.items()}
    if not found:
        raise ValueError(f"'{path}' holds no arrays. Write it with np.savez('{path.name}', *members).")
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
        with path.open("rb") as file:  # np.load leaves a damaged file open
            loaded = np.load(file, allow_pickle=False)
            return {"": loaded} if isinstance(loaded, np.ndarray) else {name: loaded[name] for name in loaded.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        why = "it holds Python objects, or is no such file" if "pickle" in str(error) else str(error).rstrip(".")
        raise ValueError(
            f"'{path}' cannot be read as .npy or .npz: {why}. Write it with np.save or np.savez, as numbers."
        ) from error
