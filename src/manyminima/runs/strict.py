"""Reading what anybody may have written: a run's own plain files, of bounded size, in strict JSON. No Keras."""

import json
import math
import os
import stat
from pathlib import Path
from typing import Any

__all__ = ["LIMIT", "check_folder", "check_plain", "parse", "read_bytes"]

LIMIT = 64 * 2**20  # bytes of run.json, of index.json or of a member's header: far more than any model needs
_DEPTH = 128  # far deeper than models nest, and far from where Python gives up
_DIGITS = 20  # 64 bits


def check_plain(path: Path) -> int:
    """Return the size in bytes of a plain file.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is a link, which may lead out of the run, or a folder, a pipe or a device.
    """
    found = os.lstat(path)
    if not stat.S_ISREG(found.st_mode):
        raise ValueError(f"'{path}' is {_kind(found.st_mode)}, and runs are read from plain files only. {_PUT}")
    return found.st_size


_PUT = "Put a copy of what was meant in its place (cp -rL follows links), or restore it from a copy."


def check_folder(path: Path) -> None:
    """Raise ValueError if a run's folder is anything but a folder; FileNotFoundError if it is not there."""
    mode = os.lstat(path).st_mode
    if not stat.S_ISDIR(mode):
        raise ValueError(f"'{path}' is {_kind(mode)}, and a run's files lie in plain folders of its own. {_PUT}")


def _kind(mode: int) -> str:
    kinds = {stat.S_IFLNK: "a link", stat.S_IFDIR: "a folder", stat.S_IFREG: "a file", stat.S_IFIFO: "a pipe"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def read_bytes(path: Path) -> bytes:
    """Return what a plain file of at most `LIMIT` bytes holds; raise as `check_plain` does, and ValueError if it is larger."""
    size = check_plain(path)
    if size > LIMIT:
        raise ValueError(
            f"'{path}' has {size:,} bytes, and {LIMIT:,} is the most that a run's own description may have. Restore it from a "
            f"copy."
        )
    with open(path, "rb") as file:
        return file.read(size)


def parse(content: bytes) -> Any:
    """Return what strict JSON says; raise ValueError for anything else.

    Strict means UTF-8, no name twice, no NaN and no infinities, whole numbers of 64 bits, and no endless nesting.
    """
    text = content.decode("utf-8")
    try:
        data = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_no_number,
            parse_float=_finite,
            parse_int=_whole,
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    _check_depth(data)
    if "\\ud" in text or "\\uD" in text:
        json.dumps(data, ensure_ascii=False).encode()  # half a character cannot be printed, nor hashed
    return data


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))
        raise ValueError(f"it says {twice[:40]!r} twice")
    return data


def _no_number(text: str) -> float:
    raise ValueError(f"it holds {text}, which is no number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"it holds the number {text[:40]}, which is too large")
    return value


def _whole(text: str) -> int:
    if len(text) > _DIGITS:
        raise ValueError(f"it holds a whole number of {len(text)} digits")
    return int(text)


def _check_depth(data: Any) -> None:
    level = [data]
    for _ in range(_DEPTH):
        level = [
            child
            for parent in level
            if isinstance(parent, dict | list)
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, dict | list)
        ]
        if not level:
            return
    raise ValueError("it is nested too deeply")
