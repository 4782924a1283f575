"""What a study has done so far, on disk: one file for each part, so that an interrupted study goes on where it stopped."""

import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from manyminima.folders import check_writable
from manyminima.runs.format import json_text, replacing, write_json

__all__ = ["FORMAT", "Store", "parts_in"]

FORMAT = 1
_NAME, _PARTS = "study.json", "parts"
_SHOWN = 60  # characters of a value, in an error


def parts_in(path: str | os.PathLike) -> int:
    """Return how many finished parts a study's directory holds."""
    return sum(1 for _ in (Path(path) / _PARTS).glob("*.npz"))


class Store:
    """Arrays by what they were made from, in a directory or in memory.

    Args:
        path: The directory; None keeps everything in memory.
        about: What all parts have in common: data, model, budget, versions. A directory belongs to one such study.

    Raises:
        FileExistsError: The directory holds another study, or files of another kind.
        NotADirectoryError: It is a file, or would lie in one.
        PermissionError: It cannot be written to.
        ValueError: What it says of its study is damaged.
    """

    def __init__(self, path: str | os.PathLike | None, about: Mapping[str, Any]):
        self._path = None if path is None else Path(path)
        self._about = json.loads(json_text({"format": FORMAT, **about}))
        self._kept: dict[str, dict[str, np.ndarray]] = {}
        if self._path is not None:
            self._claim(self._path)

    def _claim(self, path: Path) -> None:
        record = path / _NAME
        check_writable(path, f"a study cannot be kept in '{path}'", "directory")
        if record.exists():
            self._check_same(record)
        elif path.exists() and any(path.iterdir()):
            raise FileExistsError(f"'{path}' is not empty, and holds no study. Choose another directory.")
        (path / _PARTS).mkdir(parents=True, exist_ok=True)
        if not record.exists():
            write_json(record, self._about)

    def _check_same(self, record: Path) -> None:
        try:
            known = json.loads(record.read_text(encoding="utf-8"))
            other = sorted(key for key in {*known, *self._about} if known.get(key) != self._about.get(key))
        except (ValueError, TypeError, AttributeError) as error:
            raise ValueError(
                f"'{record}' is damaged ({error}), so it cannot be told which study this is. Choose another directory."
            ) from None
        if other:
            changes = "; ".join(_change(key, known.get(key), self._about.get(key)) for key in other)
            raise FileExistsError(
                f"'{record.parent}' holds another study: {changes}. Its parts are not mixed with those of this one: choose "
                f"another directory, or delete it to begin anew."
            )

    def get(self, key: Mapping[str, Any], make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """Return the arrays kept under `key`, or make and keep them."""
        name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:24]
        if name not in self._kept:
            found = self._read(name)
            self._kept[name] = self._write(name, make()) if found is None else found
        return self._kept[name]

    def total(self, entry: str) -> float:
        """Return the sum of a number over all parts that were made or read."""
        return float(sum(arrays[entry] for arrays in self._kept.values()))

    def _read(self, name: str) -> dict[str, np.ndarray] | None:
        path = None if self._path is None else self._path / _PARTS / f"{name}.npz"
        if path is None or not path.exists():
            return None
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
                return dict(found)
        except (ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
            raise ValueError(
                f"'{path}' is damaged: {error}. Delete this file: the same call again makes this part anew, and keeps the others."
            ) from error

    def _write(self, name: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        if self._path is None:
            return arrays
        try:
            with replacing(self._path / _PARTS / f"{name}.npz") as temporary, temporary.open("wb") as file:
                np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]
        except OSError as error:
            raise type(error)(
                error.errno,
                f"{error.strerror or error}: a part of the study cannot be kept. The {parts_in(self._path)} parts before it are "
                f"complete: make room, and the same call goes on from there",
                str(self._path),
            ) from error
        return arrays


def _change(key: str, there: Any, here: Any) -> str:
    shown = [json.dumps(value, ensure_ascii=False) for value in (there, here)]
    if max(map(len, shown)) <= _SHOWN:
        return f"{key} {shown[0]}, not {shown[1]}"
    if isinstance(there, dict) and isinstance(here, dict):
        parts = sorted(name for name in {*there, *here} if there.get(name) != here.get(name))
        return "; ".join(_change(f"{key} {name}", there.get(name), here.get(name)) for name in parts)
    return f"another {key}"
