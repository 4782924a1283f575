"""What a study has done so far, on disk: one file for each part, so that an interrupted study goes on where it stopped."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from manyminima.runs.format import json_text, replacing, write_json

__all__ = ["Store"]

_NAME = "study.json"


class Store:
    """Arrays by what they were made from, in a directory or in memory.

    Args:
        path: The directory; None keeps everything in memory.
        about: What all parts have in common: data, model, budget, seeds. A directory belongs to one such study.

    Raises:
        FileExistsError: The directory holds another study, or files of another kind.
    """

    def __init__(self, path: str | os.PathLike | None, about: Mapping[str, Any]):
        self._path = None if path is None else Path(path)
        self._about = json.loads(json_text(dict(about)))
        self._kept: dict[str, dict[str, np.ndarray]] = {}
        self.found = 0
        if self._path is not None:
            self._claim(self._path)

    def _claim(self, path: Path) -> None:
        record = path / _NAME
        if record.exists():
            known = json.loads(record.read_text(encoding="utf-8"))
            other = [key for key in {*known, *self._about} if known.get(key) != self._about.get(key)]
            if other:
                raise FileExistsError(
                    f"'{path}' holds a study with another {', '.join(sorted(other))}. Choose another directory, or delete it."
                )
            return
        if path.exists() and any(path.iterdir()):
            raise FileExistsError(f"'{path}' is not empty, and holds no study. Choose another directory.")
        (path / "parts").mkdir(parents=True, exist_ok=True)
        write_json(record, self._about)

    def get(self, key: Mapping[str, Any], make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """Return the arrays kept under `key`, or make and keep them."""
        name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:24]
        if name not in self._kept:
            found = self._read(name)
            self.found += found is not None
            self._kept[name] = self._write(name, make()) if found is None else found
        return self._kept[name]

    def _read(self, name: str) -> dict[str, np.ndarray] | None:
        path = None if self._path is None else self._path / "parts" / f"{name}.npz"
        if path is None or not path.exists():
            return None
        with np.load(path, allow_pickle=False) as found:
            return dict(found)

    def _write(self, name: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        if self._path is not None:
            with replacing(self._path / "parts" / f"{name}.npz") as temporary, temporary.open("wb") as file:
                np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]
        return arrays
