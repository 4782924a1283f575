"""How a directory becomes a run's: what may be in it before, the lock, and what is written down first. No Keras."""

import datetime
import json
import os
import platform
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import manyminima
from manyminima.runs import lock
from manyminima.runs.descriptions import write_index
from manyminima.runs.format import BEST, FORMAT, json_text, read_json, sync_folder, temporaries, write_json
from manyminima.runs.schema import check_run
from manyminima.runs.strict import parse

__all__ = ["Claim", "claim", "named", "recordable"]


class Claim(NamedTuple):
    """The right to write a run, what its `run.json` says, and the hash of that."""

    lock: lock.Lock
    run: dict[str, Any]
    run_hash: str


def named(path: str | os.PathLike) -> Path:
    """Return the directory that a text or a path names; ValueError if it names none."""
    text = os.fspath(path)
    if not isinstance(text, str) or not text or "\0" in text:
        raise ValueError(f'{text!r} names no directory: write mm.Snapshots("runs/x"), or into="runs/x".')
    return Path(text)


def claim(folder: Path, run: Mapping[str, Any], data: Mapping[str, Any] | None) -> Claim:
    """Make a directory the place of a new run: lock it, and write `run.json` and an empty index.

    Args:
        folder: it may hold other files, but no run; one that ended before its first member is none.
        run: what is known of the run before training.
        data: what the run records about its data.

    Raises:
        FileExistsError: a run is there, files of the same names, or another process that writes.
        OSError: nothing can be written there.
        ValueError: what is known cannot be recorded.
    """
    about = _described(folder, run, data)
    _check_free(folder)
    try:
        (folder / "members").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error
    held = _locked(folder)
    try:
        _check_free(folder)
        # First of all the index goes: beside another run.json than its own it would make the directory unreadable.
        for path in (*temporaries(folder), folder / "index.json"):
            path.unlink(missing_ok=True)
        run_hash = write_json(folder / "run.json", about)
        write_index(folder, about["run_id"], run_hash, [])
        sync_folder(folder.absolute().parent)
    except FileExistsError:
        held.release()
        raise
    except OSError as error:
        held.release()
        raise _unwritable(folder, error) from error
    return Claim(held, about, run_hash)


def _locked(folder: Path) -> lock.Lock:
    try:
        return lock.take(folder)
    except FileExistsError:
        raise
    except OSError as error:
        raise _unwritable(folder, error) from error


def _unwritable(folder: Path, error: OSError) -> OSError:
    return OSError(f"cannot write a run to '{folder}': {error}. Choose a directory that can be written to.")


def recordable(data: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return what a run records about its data as it will be read again; TypeError if JSON cannot hold it."""
    try:
        return None if data is None else json.loads(json_text(dict(data)))
    except TypeError as error:
        raise TypeError(f"data={data!r} cannot be recorded: {error}. Use text, numbers, lists and dicts.") from None


def _described(folder: Path, run: Mapping[str, Any], data: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what `run.json` will say, after proving that it can be read again."""
    created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    about = {"format": FORMAT, "run_id": uuid.uuid4().hex, "created": created, **run, "data": data}
    about["versions"] = {"manyminima": manyminima.__version__, **_machine(), **run.get("versions", {})}
    try:
        about = parse(json_text(about).encode())
        check_run(about)
    except (TypeError, ValueError) as error:
        raise ValueError(f"the run cannot be recorded in '{folder / 'run.json'}': {error}.") from error
    return about


def _check_free(folder: Path) -> None:
    others = [folder / BEST, folder / "resume" / "state.safetensors"]
    held = [path for path in (*folder.glob("members/*.safetensors"), *others) if os.path.lexists(path)]
    if held:
        writer = lock.holder(folder)
        now = f" It is being written by {writer}." if writer and writer.runs else ""
        raise FileExistsError(
            f"'{folder}' already holds a run ({held[0].name} is there), and a run is never overwritten.{now} "
            f"Choose another directory, or delete it first."
        )
    for path in (folder / "run.json", folder / "index.json"):
        if os.path.lexists(path) and not _is_ours(path):
            raise FileExistsError(f"'{path}' is not of a run that this version reads. Choose another directory.")


def _is_ours(path: Path) -> bool:
    try:
        read_json(path)
    except (ValueError, OSError):
        return False
    return True


def _machine() -> dict[str, str]:
    return {"python": platform.python_version(), "numpy": np.__version__, "platform": platform.platform(terse=True)}
