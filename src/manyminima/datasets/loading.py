"""From a name or a file to arrays for training, validation and test, with a contract that a run keeps."""

import difflib
import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from manyminima.datasets import sources, tables
from manyminima.datasets.checks import check_classes, check_every_class, checked
from manyminima.datasets.files import read_npz
from manyminima.datasets.image_folder import is_images, read_images
from manyminima.datasets.limiting import limited
from manyminima.datasets.records import is_table
from manyminima.datasets.sources import NAMES, Source, file_hash
from manyminima.datasets.splitting import fifths
from manyminima.parameters import is_whole

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
            test_sha256 (of the test rows), seed, split, rows, classes (names), input_shape, dtype, task; of a table also
            table: its target, and what its columns hold.
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


def load(
    source: str | Path,
    *,
    target: str | None = None,
    drop: str | Sequence[str] = (),
    task: str | None = None,
    seed: int = 0,
    limit: int | None = None,
    progress: Callable[[str, float], Any] | None = None,
) -> Dataset:
    """Load a data set and split it: the same source and seed give the same rows in the same parts.

    A source without a test part is split 60/20/20. Where it has one, that is left alone, and a fifth of the training
    part becomes validation. Both splits are stratified by class. A source's own validation part is used as it is.

    A table's columns come as numbers, (rows, columns) float32: NaN where one is missing, a category as its place in the
    vocabulary of the training rows. `zoo.build` makes models that start from there.

    Args:
        source: one of `NAMES`, the path of an `.npz` with x_train, y_train[, x_test, y_test] or x, y, or of a table: `.csv`,
            `.tsv`, `.txt`, or with pyarrow `.parquet`, `.feather`, `.arrow`; or a folder or archive of images, with a folder for
            each class, and train and test above them or not.
        target: the column of a table that is to be predicted.
        drop: columns of a table that are left out, or one.
        task: "multiclass" for class numbers, "regression" for real targets (split without strata). None is "multiclass", and
            for tables what the target column holds.
        seed: of the split.
        limit: at most so many training rows, and as large a share of the validation rows; the test rows stay. None: all.
        progress: while a table is read, called with what is being done, and the share of it that is, 0..1.

    Returns:
        The arrays and their contract. float64 inputs come as float32; other types, such as bytes of images, stay.

    Raises:
        FileNotFoundError: there is no such file.
        ImportError: the table needs pyarrow.
        ValueError: there is no such name, the file's arrays or columns cannot be trained on, or a table does not fit into memory.

    >>> wine = load("wine")
    >>> wine.contract["rows"]
    {'train': 106, 'val': 36, 'test': 36}
    """
    if task not in (None, *TASKS):
        raise ValueError(f"task {task!r} is not known. Expected one of: {', '.join(TASKS)}.")
    if not isinstance(source, str | os.PathLike) or not str(source):
        raise _no_such(str(source))
    if not is_whole(seed, 0) or seed >= 2**64:
        raise ValueError(f"the seed is {seed!r}. Expected a whole number of at least 0, below 2**64, such as seed=0.")
    if is_table(source):
        names = [drop] if isinstance(drop, str) else drop
        return _of_table(Path(source), tables.Wanted(target, names, task, int(seed), limit), progress)
    if target is not None or drop:
        raise ValueError(f"{str(source)!r} is no table, so it has no columns to name. Leave out --target and --drop.")
    task = task or TASKS[0]
    raw = read(source)
    parts = {part: checked(*xy, task=task, part=part) for part, xy in raw.parts.items()}
    _same_inputs(parts)
    classes = _classes(raw, parts) if task == "multiclass" else []
    parts, how = _split(parts, int(seed), stratify=task == "multiclass")
    contract = {
        "source": raw.title or (str(source) if str(source) in NAMES else raw.origin),
        **({"name": str(source)} if raw.title else {}),
        "origin": raw.origin,
        "sha256": raw.sha256,
        "seed": int(seed),
        "split": how,
        "classes": classes,
        "task": task,
        **_facts(parts),
    }
    return limited(Dataset(*parts["train"], *parts["val"], *parts["test"], contract), limit)


def _of_table(path: Path, wanted: tables.Wanted, progress: Callable[[str, float], Any] | None) -> Dataset:
    parts, goal, facts, limit = tables.read(path, wanted, progress)
    contract = {
        "source": str(path.resolve()),
        "origin": str(path.resolve()),
        "sha256": file_hash(path),
        "seed": wanted.seed,
        "split": f"60/20/20, {'at random' if goal.task == 'regression' else 'stratified'}",
        "classes": list(goal.classes),
        "task": goal.task,
        "table": facts,
        **({} if limit is None else {"limit": int(limit)}),
        **_facts(parts),
    }
    return Dataset(*parts["train"], *parts["val"], *parts["test"], contract)


def _facts(parts: dict[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, Any]:
    return {
        "test_sha256": _hash(*parts["test"]),
        "rows": {part: len(parts[part][0]) for part in ("train", "val", "test")},
        "input_shape": list(parts["train"][0].shape[1:]),
        "dtype": str(parts["train"][0].dtype),
    }


def read(source: str | Path) -> Source:
    """Return a source's arrays as they come, before any split; not for tables."""
    name = str(source)
    if name in NAMES:
        return getattr(sources, name.replace("-", "_"))()
    if is_images(name):
        return read_images(Path(name))
    if Path(name).suffix == ".npz" or Path(name).is_file():
        return read_npz(Path(name))
    raise _no_such(name)


def _no_such(name: str) -> ValueError:
    close = difflib.get_close_matches(name.replace("_", "-"), NAMES, n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    return ValueError(
        f"no data set {name!r}.{hint} Expected one of {', '.join(NAMES)}, or the path of an .npz file "
        f"or a table (.csv, .parquet), or a folder of images."
    )


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


def _hash(x: np.ndarray, y: np.ndarray) -> str:
    digest = hashlib.sha256(f"{x.dtype}{x.shape}".encode())
    digest.update(np.ascontiguousarray(x).data)
    digest.update(np.ascontiguousarray(y).data)
    return digest.hexdigest()
