"""From a run's contract back to its data: its own test rows, or other rows that fit it."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from manyminima.datasets import loading, tables
from manyminima.datasets.checks import check_classes, checked
from manyminima.datasets.loading import TASKS, Dataset
from manyminima.datasets.records import is_table
from manyminima.datasets.sources import file_hash

__all__ = ["Rows", "evaluation_rows", "run_dataset", "training_inputs"]

Progress = Callable[[str, float], Any] | None


class Rows(NamedTuple):
    """Inputs and labels to evaluate on, in words what they are, and the data of which they are the test part, if they are."""

    x: np.ndarray
    y: np.ndarray
    text: str
    dataset: Dataset | None = None


def evaluation_rows(
    contract: dict[str, Any] | None,
    source: str | Path | None = None,
    *,
    target: str | None = None,
    progress: Progress = None,
) -> Rows:
    """Return the rows that a run may be judged on: its own test rows, or all rows of another source.

    Args:
        contract: what the run keeps about its data, or None if it keeps nothing.
        source: a name or file; None, the run's own source, or a copy of its file give the run's test rows.
        target: the column with the labels in another table; None: it is called as in the run's own.
        progress: while a table is read, called with what is being done, and the share of it that is, 0..1.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the data are not those of the run any more, or have other inputs or unknown labels.
    """
    contract = _complete(contract)
    if source is None and not contract:
        raise ValueError("the run does not say which data it was trained on. Name some: --data file.npz.")
    if contract and (source is None or str(source) in (contract["source"], contract.get("name"))):
        return _own_rows(contract, None, progress)
    if is_table(source or "") or (contract and "table" in contract):
        return _table_rows(contract, Path(source or ""), target, progress)
    raw = loading.read(source or "")
    if contract and raw.sha256 and raw.sha256 == contract["sha256"]:
        return _own_rows(contract, source, progress)
    parts = [checked(*xy, task=(contract or {}).get("task", TASKS[0]), part=p) for p, xy in raw.parts.items()]
    x, y = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    if contract:
        _fits(contract, x, y, str(source))
    return Rows(x, y, f"all {len(x):,} rows of {source}")


def _own_rows(contract: dict[str, Any], source: str | Path | None, progress: Progress) -> Rows:
    again = _again(contract, source, progress)
    same = again if again.contract["sha256"] == contract["sha256"] else None
    return Rows(
        again.x_test, again.y_test, f"the {len(again.x_test):,} test rows of {source or contract['source']}", same
    )


def _table_rows(contract: dict[str, Any] | None, path: Path, target: str | None, progress: Progress) -> Rows:
    if contract is None or "table" not in contract:
        known = f"on {contract['source']!r}, which is none" if contract else "elsewhere"
        raise ValueError(
            f"'{path}' is a table, and the run was trained {known}, so what its columns mean is not known. Give arrays: an "
            f".npz file with x and y."
        )
    if not is_table(path):
        raise ValueError(
            f"'{path}' is no table, and the run was trained on one, '{contract['source']}'. Give one with the same columns."
        )
    if path.is_file() and file_hash(path) == contract["sha256"]:
        return _own_rows(contract, path, progress)
    goal = tables.recorded(contract["table"], contract["classes"])[1]
    rows = tables.open_rows(path, contract["table"])
    x, y, unknown = rows.labelled(replace(goal, name=target or goal.name), progress)
    strange = ", ".join(f"{count:,} in column {name!r}" for name, count in unknown.items())
    said = f" (with words not known from training: {strange})" if strange else ""
    return Rows(x, y, f"all {len(x):,} rows of {path}{said}")


def run_dataset(
    contract: dict[str, Any] | None, source: str | Path | None = None, progress: Progress = None
) -> Dataset:
    """Return the data that a run was trained on, in the same parts.

    Args:
        contract: what the run keeps about its data.
        source: where a copy of its file is; None: where it was.
        progress: while a table is read, called with what is being done, and the share of it that is, 0..1.

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
    again = _again(contract, source, progress)
    if again.contract["sha256"] != contract["sha256"]:
        raise ValueError(
            f"'{source or contract['source']}' is not the file any more that the run was trained on: its training and "
            "validation rows may be others. Restore it, or name a copy of it with --data."
        )
    return again


def _again(contract: dict[str, Any], source: str | Path | None, progress: Progress) -> Dataset:
    name = source or contract.get("name", contract["source"])
    named: dict[str, Any] = {"progress": progress}
    if "table" in contract:
        columns, target = tables.recorded(contract["table"])
        named |= {"target": target.name, "drop": tables.dropped(columns)}
    again = loading.load(name, task=contract["task"], seed=contract["seed"], limit=contract.get("limit"), **named)
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
