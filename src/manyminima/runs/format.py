"""Run format 1: how a run lies on disk. Pure files, no Keras.

    runs/x/run.json       written before training, never changed
           index.json     the hash of run.json, and the members; without it their files are read instead
           members/r000-s00000800.safetensors
           best.safetensors
           lock           while it is written: by whom

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
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from manyminima.runs.schema import check_member
from manyminima.runs.strict import LIMIT, parse, read_bytes

FORMAT = 1
MEMBER_NAME = re.compile(r"r([0-9]{3,})-s([0-9]{8,})\.safetensors")
BEST = "best.safetensors"
# What a process that was killed leaves of a file it was writing: our name for it, and that of safetensors.
TEMPORARY_NAME = re.compile(r"\..+\.[0-9]+\.tmp|\.tmp[0-9A-Za-z]{6}")

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
    return write_text(path, json_text(data))


def write_text(path: Path, text: str) -> str:
    """Replace a file in one step, and return its hash."""
    content = text.encode()
    if len(content) > LIMIT:
        raise ValueError(f"'{path}' would have {len(content):,} bytes, and {LIMIT:,} is the most that is read again.")
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def json_text(data: dict[str, Any]) -> str:
    """Return strict JSON: NumPy's numbers as plain ones, NaN and infinities as text."""
    return json.dumps(_strict(data), indent=1, allow_nan=False) + "\n"


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a description's bytes."""
    return hashlib.sha256(read_bytes(path)).hexdigest()


def read_json(path: Path) -> dict[str, Any]:
    """Read `run.json` or `index.json`, with an error that names the file where it is damaged or of another format."""
    content = read_bytes(path)
    try:
        data = parse(content)
    except ValueError as error:  # covers bytes that are not UTF-8
        raise ValueError(f"'{path}' is damaged: {error}. Restore it from a copy.") from error
    if not isinstance(data, dict) or type(data.get("format")) is not int:
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
    path = folder / member.file
    try:
        check_member({k: about[k] for k in about.keys() - {"format", "run_id"}}, Member, but=("file", "bytes", "hash"))
    except ValueError as error:
        raise ValueError(f"'{path}' cannot be written, since nobody could read it again: {error}.") from error
    header = {"about": _canonical(about), "hash": _hash(about, arrays)}
    with replacing(path) as temporary:
        write_arrays(temporary, arrays, header)
    return Member(**{**asdict(member), "bytes": path.stat().st_size, "hash": header["hash"], "logs": about["logs"]})


def write_arrays(path: Path, arrays: Weights, header: dict[str, str]) -> None:
    """Write arrays by their positions and texts by name, to be read by whoever may read the folder."""
    save_file({str(i): array for i, array in enumerate(arrays)}, path, metadata=header)
    with contextlib.suppress(OSError):  # where a file system has no modes; safetensors lets the owner alone read
        path.chmod(path.parent.stat().st_mode & 0o666)


RESTORE = "Restore it from a copy, or move it out of the run to go on without it."


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
        sync_folder(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def temporaries(folder: Path) -> Iterator[Path]:
    """Yield what killed processes have left of files that they were writing into a run; no reader looks at these."""
    for place in (folder, folder / "members", folder / "resume"):
        if place.is_dir():
            yield from sorted(path for path in place.iterdir() if TEMPORARY_NAME.fullmatch(path.name))


def sync_folder(folder: Path) -> None:
    """Return when the names in a folder have reached the disk."""
    if os.name == "posix":  # elsewhere a folder cannot be opened, and the rename is durable by itself
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
