"""What a run keeps to go on from: one file, `resume/state.safetensors`, replaced in one step. Pure files, no Keras.

A state is plain data: dicts and lists of numbers, text, None and NumPy arrays. Its arrays are the file's tensors, the rest is
JSON in the header, and the SHA-256 over both stands beside it.
"""

import contextlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes  # noqa: F401  gives NumPy the type bfloat16
import numpy as np
from safetensors import SafetensorError, safe_open

from manyminima.runs.descriptions import read_run
from manyminima.runs.format import FORMAT, Hasher, replacing, write_arrays
from manyminima.runs.strict import check_folder, check_plain

__all__ = ["Found", "history", "kept", "look", "read", "write"]

_FILE = Path("resume", "state.safetensors")


def write(run: Path, state: Mapping[str, Any]) -> None:
    """Replace the state of the run in directory `run`; a reader sees the old one or the new one, never a part."""
    arrays: list[np.ndarray] = []
    header = {"state": json.dumps({"format": FORMAT, **_packed(state, arrays)}, allow_nan=False)}
    header["hash"] = _hash(header["state"], arrays)
    path = run / _FILE
    try:
        path.parent.mkdir(exist_ok=True)
        for left in path.parent.glob(f".{path.name}.*.tmp"):  # by a process that was killed: one writes at a time
            left.unlink(missing_ok=True)
        with replacing(path) as temporary:
            write_arrays(temporary, arrays, header)
    except (OSError, SafetensorError) as error:
        raise OSError(
            f"cannot write '{path}': {error}. The state before it and all members are complete: make room, and type the same "
            f"again to go on from there."
        ) from error


def kept(run: Path) -> bool:
    """Tell whether a run has kept a state, be it whole or not."""
    return (run / _FILE).exists()


def read(run: Path) -> dict[str, Any] | None:
    """Return the state that a run has kept; None if it has kept none.

    Raises:
        ValueError: the file is truncated or altered, or of another format.
    """
    path = run / _FILE
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="numpy") as stored:
            header = stored.metadata() or {}
            arrays = [stored.get_tensor(str(i)) for i in range(len(stored.keys()))]
        intact = header["hash"] == _hash(header["state"], arrays)
        state = _unpacked(json.loads(header["state"]), arrays)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise ValueError(f"'{path}' is truncated or damaged ({error}). {_WITHOUT}") from error
    if not intact or not isinstance(state, dict):
        raise ValueError(f"'{path}' is damaged: its content does not match its SHA-256. {_WITHOUT}")
    if state.pop("format", None) != FORMAT:
        raise ValueError(f"'{path}' is of another format than {FORMAT}, which this version reads. {_WITHOUT}")
    return state


_WITHOUT = "Restore it from a copy; without it the run cannot go on, but its members are complete."


@dataclass(frozen=True)
class Found:
    """What a directory holds of a training run, told without reading any arrays.

    Args:
        members: complete ones.
        due: members that the whole run was to have.
        step: batches done at the state that was kept; None if none was.
        total: batches of the whole run.
        finished: whether training has ended, at its planned end or before.
    """

    members: int
    due: int
    step: int | None
    total: int
    finished: bool

    def __str__(self):
        members = f"{self.members} of {self.due} members"
        if self.finished:
            early = "" if self.step in (None, self.total) else f", which ended at step {self.step:,} of {self.total:,}"
            return f"a finished run of {members}{early}"
        where = "" if self.step is None else f" and can go on from step {self.step:,} of {self.total:,}"
        return f"a run that was interrupted: it has {members}{where}"


def look(run: Path) -> Found | None:
    """Return what there is of a run in a directory; None if that is nothing that a new run would have to spare.

    Raises:
        ValueError: `run.json` is damaged, or of another format.
    """
    try:
        about = read_run(run)
    except FileNotFoundError:
        return None
    members, state = len(list(run.glob("members/r*.safetensors"))), _outline(run)
    if not members and state is None:
        return None
    due = len(about.get("collect") or ()) * len(about.get("replicas") or [None])
    total = about.get("epochs", 0) * about.get("steps_per_epoch", 0)
    if state is None:
        return Found(members, due, None, total, finished=members >= due)
    return Found(members, due, int(state["step"]), total, bool(state["finished"]))


def _outline(run: Path) -> dict[str, Any] | None:
    """Return the numbers of a state without its arrays; None if there is none that can be read."""
    with contextlib.suppress(FileNotFoundError, SafetensorError, OSError, ValueError, KeyError):
        with safe_open(run / _FILE, framework="numpy") as stored:
            state = json.loads((stored.metadata() or {})["state"])
        return {"step": state["step"], "finished": state["finished"]}
    return None


def history(run: Path) -> list[dict[str, Any]]:
    """Return the logs of each epoch that the kept state knows, oldest first; [] if none can be read, as pictures do without.

    Numbers only, and no arrays are read: {"epoch": how many had ended, "logs": by name, NaN and infinity as text}.
    """
    wrong = (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError)
    with contextlib.suppress(OSError, SafetensorError, *wrong):
        check_folder((run / _FILE).parent)
        check_plain(run / _FILE)
        with safe_open(run / _FILE, framework="numpy") as stored:
            state = json.loads((stored.metadata() or {})["state"])
        found, first = state["history"], state["first_epoch"]
        logs = {name: [*map(_logged, values)] for name, values in found["logs"].items()}
        return [
            {
                "epoch": epoch - first + 1,
                "logs": {name: values[at] for name, values in logs.items() if values[at] is not None},
            }
            for at, epoch in enumerate(found["epoch"])
        ]
    return []


def _logged(value: Any) -> float | str | None:
    """Return a number as it may stand in JSON; None for what is none."""
    if isinstance(value, dict):
        value = value.get(_NUMBER)
        return value if value in ("nan", "inf", "-inf") else None
    return float(value) if type(value) in (int, float) and abs(value) < _LARGEST else None


def _packed(value: Any, arrays: list[np.ndarray]) -> Any:
    """Return `value` as strict JSON, its arrays appended to `arrays`."""
    if isinstance(value, Mapping):
        return {str(k): _packed(v, arrays) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_packed(v, arrays) for v in value]
    if isinstance(value, np.ndarray):
        arrays.append(np.asarray(value, order="C"))  # safetensors writes other layouts wrongly, without an error
        return {_ARRAY: len(arrays) - 1}
    if isinstance(value, np.generic):
        return _packed(value.item(), arrays)
    return {_NUMBER: str(value)} if isinstance(value, float) and not math.isfinite(value) else value


def _unpacked(value: Any, arrays: list[np.ndarray]) -> Any:
    if isinstance(value, list):
        return [_unpacked(v, arrays) for v in value]
    if not isinstance(value, dict):
        return value
    if _ARRAY in value:
        return arrays[value[_ARRAY]]
    return float(value[_NUMBER]) if _NUMBER in value else {k: _unpacked(v, arrays) for k, v in value.items()}


_ARRAY, _NUMBER = "$array", "$number"
_LARGEST = 1e300  # of a log: what is larger is damage, and no float for whole numbers


def _hash(text: str, arrays: list[np.ndarray]) -> str:
    hasher = Hasher({"state": text})
    for array in arrays:
        hasher.begin(array.dtype, array.shape)
        hasher.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return hasher.hexdigest()
