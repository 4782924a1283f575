"""Files of one line for each row, written as the rows come. A file has its name once it is complete."""

import contextlib
import csv
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from manyminima.runs.format import replacing

__all__ = ["SUFFIXES", "check_suffix", "writing"]

Add = Callable[[Mapping[str, Any]], None]
SUFFIXES = (".csv", ".jsonl", ".npz")


def check_suffix(path: Path) -> None:
    """Raise a ValueError unless the path ends in what can be written."""
    if path.suffix not in SUFFIXES:
        raise ValueError(
            f"'{path}' does not say what to write. Expected a name that ends in {', '.join(SUFFIXES)}: "
            f"{path.with_suffix('.csv')}."
        )


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Add]:
    """Yield a function that takes columns by name, each of as many rows; the same names every time.

    `.csv` and `.jsonl` are written at once, with seven digits; `.npz` has the columns as arrays, all in memory until the end.
    """
    check_suffix(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    way = {".csv": _csv, ".jsonl": _json_lines, ".npz": _npz}[path.suffix]
    with replacing(path) as temporary, way(temporary) as add:
        yield add


@contextlib.contextmanager
def _csv(path: Path) -> Iterator[Add]:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        names: list[str] = []

        def add(columns: Mapping[str, Any]) -> None:
            if not names:
                names.extend(columns)
                writer.writerow(names)
            writer.writerows(zip(*(_texts(columns[name]) for name in names), strict=True))

        yield add


@contextlib.contextmanager
def _json_lines(path: Path) -> Iterator[Add]:
    with path.open("w", encoding="utf-8") as file:

        def add(columns: Mapping[str, Any]) -> None:
            for row in zip(*map(_values, columns.values()), strict=True):
                file.write(json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=False) + "\n")

        yield add


@contextlib.contextmanager
def _npz(path: Path) -> Iterator[Add]:
    pieces: dict[str, list[np.ndarray]] = {}

    def add(columns: Mapping[str, Any]) -> None:
        for name, values in columns.items():
            pieces.setdefault(name, []).append(np.asarray(values))

    yield add
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **{name: np.concatenate(parts) for name, parts in pieces.items()})


def _texts(values: Any) -> list[Any]:
    if isinstance(values, np.ndarray) and values.dtype.kind == "f":
        return [f"{value:.7g}" for value in values.tolist()]
    return values.tolist() if isinstance(values, np.ndarray) else list(values)


def _values(values: Any) -> list[Any]:
    if isinstance(values, np.ndarray) and values.dtype.kind == "f":
        return [float(f"{value:.7g}") for value in values.tolist()]
    return values.tolist() if isinstance(values, np.ndarray) else list(values)
