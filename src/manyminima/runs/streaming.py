"""Members read piece by piece: what averages many of them needs memory for one. Pure files, no Keras."""

import json
import math
import struct
from pathlib import Path
from typing import Any

import ml_dtypes  # noqa: F401  gives NumPy the type bfloat16
import numpy as np

from manyminima.runs.format import RESTORE, Hasher, Member

__all__ = ["MemberFile"]

_NUMPY = {"BF16": "bfloat16", "BOOL": "bool", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2"}
_NUMPY |= {
    f"{kind}{bits}": f"{name}{bits}"
    for kind, name in (("F", "float"), ("I", "int"), ("U", "uint"))
    for bits in (8, 16, 32, 64)
    if (kind, bits) != ("F", 8)
}


class MemberFile:
    """One member's arrays, read in pieces from first to last, hashed on the way.

    Args:
        path: the file.
        member: what the index says of it; its hash is what the bytes must come to.
    """

    def __init__(self, path: Path, member: Member):
        self._path, self._member = path, member
        try:
            header, self._data = _header(path)
            about = json.loads(header.pop("__metadata__")["about"])
            entries = [header[str(i)] for i in range(len(header))]
            self.shapes = [tuple(entry["shape"]) for entry in entries]
            self.dtypes = [np.dtype(_NUMPY[entry["dtype"]]) for entry in entries]
            self._offsets = [entry["data_offsets"][0] for entry in entries]
            sizes = [math.prod(shape) * dtype.itemsize for shape, dtype in zip(self.shapes, self.dtypes, strict=True)]
            if [(start, start + size) for start, size in zip(self._offsets, sizes, strict=True)] != [
                tuple(entry["data_offsets"]) for entry in entries
            ]:
                raise ValueError("its header contradicts itself")
        except (OSError, ValueError, KeyError, TypeError, struct.error) as error:
            raise ValueError(f"'{path}' is truncated or damaged ({error}). {RESTORE}") from error
        self._hasher = Hasher(about)

    def read(self, array: int, start: int, stop: int) -> np.ndarray:
        """Return numbers `start` to `stop` of an array, flat; pieces must be asked for in their order."""
        dtype = self.dtypes[array]
        if start == 0:
            self._hasher.begin(dtype, self.shapes[array])
        wanted = (stop - start) * dtype.itemsize
        with open(self._path, "rb", buffering=0) as file:
            file.seek(self._data + self._offsets[array] + start * dtype.itemsize)
            found = file.read(wanted)
        if len(found) != wanted:
            raise ValueError(f"'{self._path}' is truncated. {RESTORE}")
        self._hasher.update(found)
        return np.frombuffer(found, dtype)

    def check(self) -> None:
        """Raise ValueError if what was read is not what was written; call after the last piece."""
        if self._hasher.hexdigest() != self._member.hash:
            raise ValueError(f"'{self._path}' is damaged: its content does not match its SHA-256. {RESTORE}")


def _header(path: Path) -> tuple[dict[str, Any], int]:
    """Return a safetensors file's header, and where its data begin."""
    with open(path, "rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        if size > path.stat().st_size:
            raise ValueError("its header is longer than the file")
        return json.loads(file.read(size)), 8 + size
