"""From a name or a file to arrays for training, validation and test, and back from a run's contract to its test rows."""

import difflib
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from manyminima.datasets import sources
from manyminima.datasets.checks import check_classes, check_every_class, checked
from manyminima.datasets.files import read_npz
from manyminima.datasets.sources import NAMES, Source

TASKS = ("multiclass", "regression")

_LEAST = 5  # the smallest class of which a fifth is one row


@dataclass(frozen=True)
class Dataset:
    """Arrays to train on, to choose with, and to report on; each row is in exactly one part.

    Args:
        x_train: inputs, (rows, ...).
        y_train: class numbers (rows,) int64, or float32 targets.
        x_val: inputs for choosing: early stopping, coefficients, temperatures.
        y_val: their labels.
        x_test: inputs that nothing is chosen on.
        y_test: their labels.
        contract: what a run keeps about its data, JSON-able: source, origin, sha256 (of the file, if it is one),
            test_sha256 (of the test rows), seed, split, rows, classes (names), input_shape, dtype, task.
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_val: np.ndarray
    y_val: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    contract: dict[str, Any]

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input, without the rows."""
        return self.x_train.shape[1:]

    @property
    def outputs(self) -> int:
        """Number of classes; for regression, of targets."""
        return len(self.contract["classes"]) or int(np.prod(self.y_train.shape[1:]))

    @property
    def task(self) -> str:
        """What the labels are: "multiclass" or "regression"."""
        return self.contract["task"]


class Rows(NamedTuple):
    """Inputs and labels to evaluate on, in words what they are, and the data of which they are the test part, if they are."""

    x: np.ndarray
    y: np.ndarray
    text: str
    dataset: Dataset | None = None


def load(source: str | Path, *, task: str = "multiclass", seed: int = 0) -> Dataset:
    """Load a data set and split it: the same source and seed give the same rows in the same parts.

    A source without a test part is split 60/20/20. Where it has one, that is left alone, and a fifth of the training
    part becomes validation. Both splits are stratified by class. A source's own validation part is used as it is.

    Args:
        source: one of `NAMES`, or the path of an `.npz` with x_train, y_train[, x_test, y_test] or x, y.
        task: "multiclass" for class numbers, "regression" for real targets (split without strata).
        seed: of the split.

    Returns:
        The arrays and their contract. float64 inputs come as float32; other types, such as bytes of images, stay.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: there is no such name, or the file's arrays cannot be trained on.

    >>> wine = load("wine")
    >>> wine.contract["rows"]
    {'train': 106, 'val': 36, 'test': 36}
    """
    if task not in TASKS:
        raise ValueError(f"task {task!r} is not known. Expected one of: {', '.join(TASKS)}.")
    if not isinstance(seed, int | np.integer) or isinstance(seed, bool) or seed < 0:
        raise ValueError(f"the seed is {seed!r}. Expected a whole number of at least 0, such as seed=0.")
    raw = _read(source)
    parts = {part: checked(*xy, task=task, part=part) for part, xy in raw.parts.items()}
    _same_inputs(parts)
    classes = _classes(raw, parts) if task == "multiclass" else []
    parts, how = _split(parts, int(seed), stratify=task == "multiclass")
    contract = {
        "source": str(source) if str(source) in NAMES else raw.origin,
        "origin": raw.origin,
        "sha256": raw.sha256,
        "test_sha256": _hash(*parts["test"]),
        "seed": int(seed),
        "split": how,
        "rows": {part: len(parts[part][0]) for part in ("train", "val", "test")},
        "classes": classes,
        "input_shape": list(parts["train"][0].shape[1:]),
        "dtype": str(parts["train"][0].dtype),
        "task": task,
    }
    return Dataset(*parts["train"], *parts["val"], *parts["test"], contract)


def evaluation_rows(contract: dict[str, Any] | None, source: str | Path | None = None) -> Rows:
    """Return the rows that a run may be judged on: its own test rows, or all rows of another source.

    Args:
        contract: what the run keeps about its data, or None if it keeps nothing.
        source: a name or file; None, the run's own source, or a copy of its file give the run's test rows.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the data are not those of the run any more, or have other inputs or unknown labels.
    """
    contract = _complete(contract)
    if source is None and not contract:
        raise ValueError("the run does not say which data it was trained on. Name some: --data file.npz.")
    if contract and (source is None or str(source) == contract["source"]):
        return _own_rows(contract)
    raw = _read(source or "")
    if contract and raw.sha256 and raw.sha256 == contract["sha256"]:
        return _own_rows(contract, source)
    parts = [checked(*xy, task=(contract or {}).get("task", TASKS[0]), part=p) for p, xy in raw.parts.items()]
    x, y = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    if contract:
        _fits(contract, x, y, str(source))
    return Rows(x, y, f"all {len(x):,} rows of {source}")


def _own_rows(contract: dict[str, Any], source: str | Path | None = None) -> Rows:
    again = _again(contract, source)
    same = again if again.contract["sha256"] == contract["sha256"] else None
    return Rows(
        again.x_test, again.y_test, f"the {len(again.x_test):,} test rows of {source or contract['source']}", same
    )


def run_dataset(contract: dict[str, Any] | None, source: str | Path | None = None) -> Dataset:
    """Return the data that a run was trained on, in the same parts.

    Args:
        contract: what the run keeps about its data.
        source: where a copy of its file is; None: where it was.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the run does not say, or the data are not those of the run any more.
    """
    contract = _complete(contract)
    if not contract:
        raise ValueError(
            "the run does not say which data it was trained on: only `manyminima train` records that. In Python the data are "
            "passed: mm.load(run).average(x=x_train)."
        )
    again = _again(contract, source)
    if again.contract["sha256"] != contract["sha256"]:
        raise ValueError(
            f"'{source or contract['source']}' is not the file any more that the run was trained on: its training and "
            "validation rows may be others. Restore it, or name a copy of it with --data."
        )
    return again


def _again(contract: dict[str, Any], source: str | Path | None) -> Dataset:
    name = source or contract["source"]
    again = load(name, task=contract["task"], seed=contract["seed"])
    if again.contract["test_sha256"] != contract["test_sha256"]:
        raise ValueError(
            f"'{name}' has other test rows now than when the run was trained (from {again.contract['origin']}, then "
            f"{contract['origin']}). Some of them may have been trained on. Restore the data, or name a copy of them with "
            "--data; evaluate takes other rows there, too."
        )
    return again


def training_inputs(contract: dict[str, Any] | None, rows: Rows) -> np.ndarray | None:
    """Return the inputs that a run was trained on, found with the rows it is judged on; None if the run does not say.

    Raises:
        FileNotFoundError: the file is not where it was.
        ValueError: the data are not those of the run any more.
    """
    if rows.dataset is None and not _complete(contract):
        return None
    return (rows.dataset or run_dataset(contract)).x_train


def _complete(contract: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the contract, or None if it is not one that `load` made but whatever a user has recorded."""
    needed = ("source", "origin", "sha256", "test_sha256", "seed", "classes", "input_shape", "task")
    return contract if isinstance(contract, Mapping) and all(key in contract for key in needed) else None


def _fits(contract: dict[str, Any], x: np.ndarray, y: np.ndarray, name: str) -> None:
    if list(x.shape[1:]) != contract["input_shape"]:
        raise ValueError(
            f"'{name}' has inputs of shape {x.shape[1:]}, but the run was trained on {tuple(contract['input_shape'])} "
            f"from '{contract['source']}'. Give rows of that shape."
        )
    if contract["task"] == "multiclass":
        check_classes(y, len(contract["classes"]), name)


def _read(source: str | Path) -> Source:
    name = str(source)
    if name in NAMES:
        return getattr(sources, name.replace("-", "_"))()
    if Path(name).suffix == ".npz" or Path(name).is_file():
        return read_npz(Path(name))
    close = difflib.get_close_matches(name.replace("_", "-"), NAMES, n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    raise ValueError(f"no data set {name!r}.{hint} Expected one of {', '.join(NAMES)}, or the path of an .npz file.")


def _same_inputs(parts: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    train = parts["train"][0]
    for part, (x, _) in parts.items():
        if x.shape[1:] != train.shape[1:] or x.dtype != train.dtype:
            raise ValueError(
                f"the {part} inputs are {x.dtype} of shape {x.shape[1:]}, the train inputs {train.dtype} of shape "
                f"{train.shape[1:]}. Expected the same of both: save them alike."
            )


def _classes(raw: Source, parts: dict[str, tuple[np.ndarray, np.ndarray]]) -> list[str]:
    y = parts["train"][1]
    least = 1 if "val" in parts and "test" in parts else _LEAST
    check_every_class(y, least, "so that each part of the split gets one")
    names = raw.classes or [str(c) for c in range(int(y.max()) + 1)]
    for part, (_, labels) in parts.items():
        check_classes(labels, len(names), part)
    return names


def _split(parts: dict, seed: int, *, stratify: bool) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], str]:
    missing = [part for part in ("val", "test") if part not in parts]
    if not missing:
        return parts, "the source's own parts"
    x, y = parts["train"]
    if len(x) < _LEAST:
        raise ValueError(f"there are {len(x)} training rows. Expected at least {_LEAST} to split off a part: add rows.")
    rows = fifths(y if stratify else np.zeros(len(x), int), missing, seed)
    kind = "stratified" if stratify else "at random"
    how = "60/20/20" if len(missing) == 2 else f"{missing[0]} is 20 % of the training part"
    return parts | {part: (x[r], y[r]) for part, r in rows.items()}, f"{how}, {kind}"


def fifths(strata: np.ndarray, names: list[str], seed: int) -> dict[str, np.ndarray]:
    """Take a fifth of each stratum's rows for each name; "train" is what remains. Rows come in rising order.

    >>> {part: rows.tolist() for part, rows in fifths(np.array([0, 0, 0, 0, 0]), ["test"], seed=1).items()}
    {'test': [0], 'train': [1, 2, 3, 4]}
    """
    generator = np.random.Generator(np.random.Philox(seed))
    taken: dict[str, list[np.ndarray]] = {part: [] for part in [*names, "train"]}
    for stratum in np.unique(strata):
        rows = generator.permutation(np.flatnonzero(strata == stratum))
        fifth = round(len(rows) / 5)
        for k, part in enumerate(names):
            taken[part].append(rows[k * fifth : (k + 1) * fifth])
        taken["train"].append(rows[len(names) * fifth :])
    return {part: np.sort(np.concatenate(pieces)) for part, pieces in taken.items()}


def _hash(x: np.ndarray, y: np.ndarray) -> str:
    digest = hashlib.sha256(f"{x.dtype}{x.shape}".encode())
    digest.update(np.ascontiguousarray(x).data)
    digest.update(np.ascontiguousarray(y).data)
    return digest.hexdigest()
