"""Run format 1: how a run lies on disk. Pure files, no Keras.

    runs/x/run.json       written before training, never changed
           index.json     the hash of run.json, and the members; without it their files are read instead
           members/r000-s00000800.safetensors
           best.safetensors

Every file appears under its final name in one rename, after its bytes have reached the disk, and the index is written last:
a run that dies at any moment keeps all members that were complete. A member's header carries who it is and a hash over that
and over its arrays, so each file can be checked, and placed, without any other.
"""

import contextlib
import hashlib
import json
import math
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

FORMAT = 1
MEMBER_NAME = re.compile(r"r(\d{3,})-s(\d{8,})\.safetensors")

Weights = Sequence[np.ndarray]


@dataclass(frozen=True)
class Member:
    """One collected set of weights, as the index knows it.

    Args:
        file: path within the run.
        step: batches done when it was collected, counted from the start of its `fit`.
        replica: which of several runs trained together.
        epoch: the same moment in epochs, may be fractional.
        kind: "snapshot", "mean", "ema" or "best".
        logs: Keras's logs at that moment.
        bytes: size of the file.
        hash: SHA-256 of metadata and arrays, also in the file's header.
    """

    file: str
    step: int
    replica: int = 0
    epoch: float | None = None
    kind: str = "snapshot"
    logs: dict[str, float | str] = field(default_factory=dict)
    bytes: int = 0
    hash: str = ""


def member_file(step: int, replica: int = 0) -> str:
    """Return the path within the run of the member collected after `step` batches."""
    return f"members/r{replica:03d}-s{step:08d}.safetensors"


def write_json(path: Path, data: dict[str, Any]) -> str:
    """Replace a JSON file in one step; a reader sees the old file or the new one, never a part. Return its hash."""
    with replacing(path) as temporary:
        temporary.write_bytes(json_text(data).encode())
    return hash_file(path)


def json_text(data: dict[str, Any]) -> str:
    """Return strict JSON: NumPy's numbers as plain ones, NaN and infinities as text."""
    return json.dumps(_strict(data), indent=1, allow_nan=False) + "\n"


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_json(path: Path) -> dict[str, Any]:
    """Read `run.json` or `index.json`, with an error that names the file where it is damaged or of another format."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except ValueError as error:  # covers bytes that are not UTF-8
        raise ValueError(f"'{path}' is damaged: {error}. Restore it from a copy.") from error
    if not isinstance(data, dict) or not isinstance(data.get("format"), int):
        raise ValueError(f"'{path}' is not a file of a manyminima run: it has no format number.")
    if data["format"] != FORMAT:
        raise ValueError(
            f"'{path}' has run format {data['format']}; this version reads format {FORMAT}. Update: pip install -U manyminima"
        )
    if not isinstance(data.get("run_id"), str):
        raise ValueError(f"'{path}' is damaged: it has no run_id. Restore it from a copy.")
    return data


def write_member(folder: Path, run_id: str, member: Member, weights: Weights) -> Member:
    """Write one set of weights; return `member` completed with size and hash."""
    # safetensors writes other layouts wrongly, without an error; np.ascontiguousarray would give a scalar an axis.
    arrays = [np.asarray(w, order="C") for w in weights]
    about = {"format": FORMAT, "run_id": run_id, **asdict(member)}
    about = _strict({k: v for k, v in about.items() if k not in ("file", "bytes", "hash")})
    header = {"about": _canonical(about), "hash": _hash(about, arrays)}
    path = folder / member.file
    with replacing(path) as temporary:
        save_file({str(i): a for i, a in enumerate(arrays)}, temporary, metadata=header)
    return Member(**{**asdict(member), "bytes": path.stat().st_size, "hash": header["hash"], "logs": about["logs"]})


def read_member(folder: Path, run_id: str, file: str) -> tuple[Member, list[np.ndarray]]:
    """Read one member and check that it is whole, unchanged, in its place and of this run.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: it is truncated, altered, renamed, or of another run; the message names it.
    """
    path = folder / file
    if not path.is_file():
        raise FileNotFoundError(f"'{path}' is missing: the run's index names it. Restore the file from a copy.")
    try:
        with safe_open(path, framework="numpy") as stored:
            header = stored.metadata() or {}
            arrays = [stored.get_tensor(str(i)) for i in range(len(stored.keys()))]
        about = json.loads(header["about"])
        intact = header["hash"] == _hash(about, arrays)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"'{path}' is truncated or damaged ({error}). {RESTORE}") from error
    if not intact:
        raise ValueError(f"'{path}' is damaged: its content does not match its SHA-256. {RESTORE}")
    _check_place(path, file, about, run_id)
    known = {k: about[k] for k in ("step", "replica", "epoch", "kind", "logs")}
    return Member(file=file, bytes=path.stat().st_size, hash=header["hash"], **known), arrays


RESTORE = "Restore it from a copy, or move it out of the run to go on without it."


def _check_place(path: Path, file: str, about: dict[str, Any], run_id: str) -> None:
    if about["run_id"] != run_id:
        raise ValueError(
            f"'{path}' belongs to run {about['run_id'][:8]}, but this directory holds run {run_id[:8]}. Move it back."
        )
    rightful = "best.safetensors" if about["kind"] == "best" else member_file(about["step"], about["replica"])
    if file != rightful:
        raise ValueError(f"'{path}' was renamed: by its header it is '{rightful}'. Give it that name back.")


def _strict(value: Any) -> Any:
    """Turn NumPy numbers into plain ones, and NaN and infinities into text, which strict JSON cannot hold."""
    if isinstance(value, dict):
        return {str(k): _strict(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(v) for v in value]
    if isinstance(value, np.generic | np.ndarray):
        return _strict(value.tolist())
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _canonical(about: dict[str, Any]) -> str:
    return json.dumps(about, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _hash(about: dict[str, Any], arrays: Weights) -> str:
    hasher = Hasher(about)
    for a in arrays:
        hasher.begin(a.dtype, a.shape)
        hasher.update(np.ascontiguousarray(a).reshape(-1).view(np.uint8).data)
    return hasher.hexdigest()


class Hasher:
    """SHA-256 of a member's metadata and arrays, fed in pieces of any size."""

    def __init__(self, about: dict[str, Any]):
        self._digest = hashlib.sha256(_canonical(about).encode())

    def begin(self, dtype: np.dtype, shape: Sequence[int]) -> None:
        """Announce the next array."""
        self._digest.update(f"{dtype.name}{list(shape)}".encode())

    def update(self, piece: Any) -> None:
        """Take in the next bytes of the array."""
        self._digest.update(piece)

    def hexdigest(self) -> str:
        """Return the hash of all so far."""
        return self._digest.hexdigest()


@contextlib.contextmanager
def replacing(path: Path):
    """Yield a temporary path in the same folder; on success it takes the final name once its bytes are on disk."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _sync_folder(folder: Path) -> None:
    if os.name == "posix":  # elsewhere a folder cannot be opened, and the rename is durable by itself
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
