"""Decoded images, kept in the user's cache folder: one file for each folder or archive, replaced when that has changed."""

import contextlib
import hashlib
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs

from manyminima.datasets.sources import Source

__all__ = ["cached"]

_VERSION = "1"  # of what decoding makes of the same files


def cached(path: Path, state: str, make: Callable[[], Source]) -> Source:
    """Return what `make` made of a path in this state, from the cache if it is there; a cache that fails is no error.

    Args:
        path: of the folder or archive.
        state: text that changes when the path's contents do.
        make: decodes the images.
    """
    folder = platformdirs.user_cache_path("manyminima") / "images"
    place = _digest(str(path.resolve()))
    file = folder / f"{place}-{_digest(_VERSION + state)}.npz"
    with contextlib.suppress(OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return _read(file)
    source = make()
    with contextlib.suppress(OSError):
        _write(file, source)
        for old in folder.glob(f"{place}-*.npz"):
            if old != file:
                old.unlink()
    return source


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:24]


def _read(file: Path) -> Source:
    with file.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
        about = json.loads(str(arrays["about"]))
        parts = {part: (arrays[f"x_{part}"], arrays[f"y_{part}"]) for part in about["parts"]}
    return Source(about["origin"], parts, about["classes"], about["sha256"])


def _write(file: Path, source: Source) -> None:
    about = {"origin": source.origin, "classes": source.classes, "sha256": source.sha256, "parts": list(source.parts)}
    arrays: dict[str, Any] = {
        f"{k}_{part}": a for part, xy in source.parts.items() for k, a in zip("xy", xy, strict=True)
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(f".{os.getpid()}")
    try:
        with temporary.open("wb") as opened:
            np.savez(opened, about=np.array(json.dumps(about)), **arrays)
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)
