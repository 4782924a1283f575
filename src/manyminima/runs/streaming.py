"""Members read from their files, whole or piece by piece: what averages many of them needs memory for one. No Keras.

The only reader of members. Nothing is allocated that a file's header declares before it was compared with the file's size.
"""

import math
import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ml_dtypes  # noqa: F401  gives NumPy the type bfloat16
import numpy as np

from manyminima.runs.format import BEST, FORMAT, RESTORE, Hasher, Member, member_file
from manyminima.runs.schema import check_member
from manyminima.runs.strict import LIMIT, check_plain, parse

__all__ = ["MemberFile", "declared_size", "read_member"]

_NUMPY = {"BF16": "bfloat16", "BOOL": "bool", "C64": "complex64", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2"}
_NUMPY |= {
    f"{kind}{bits}": f"{name}{bits}"
    for kind, name in (("F", "float"), ("I", "int"), ("U", "uint"))
    for bits in (8, 16, 32, 64)
    if (kind, bits) != ("F", 8)
}
_PIECE = 2**22  # bytes at once: they are hashed while they are in the cache
_AXES = 32


def read_member(folder: Path, run_id: str, file: str) -> tuple[Member, list[np.ndarray]]:
    """Read one member and check that it is whole, unchanged, in its place and of this run.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: it is truncated, altered, renamed, a link, or of another run; the message names it.
    """
    stored = MemberFile(folder / file)
    arrays = stored.arrays()
    stored.check()
    return stored.identity(file, run_id), arrays


class MemberFile:
    """One member's arrays, read in pieces from first to last, hashed on the way.

    Args:
        path: the file.
        member: what the index says of it; its hash is what the bytes must come to. None: the hash in the file.

    Attributes:
        about: who the member is.
        hash: what the file says its SHA-256 is.
        shapes: of the arrays.
        dtypes: of the arrays.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: it is truncated, a link, or its header is damaged.
    """

    def __init__(self, path: Path, member: Member | None = None):
        self._path, self._member = path, member
        with self._opened() as file:
            self._begin(file)

    def _opened(self):
        try:
            check_plain(self._path)
            return open(self._path, "rb")
        except FileNotFoundError:
            raise FileNotFoundError(
                f"'{self._path}' is missing: the run's index names it. Restore the file from a copy."
            ) from None
        except OSError as error:
            raise ValueError(f"'{self._path}' cannot be read: {error}. {RESTORE}") from error

    def _begin(self, file) -> None:
        """Read the header of the open file."""
        try:
            self.bytes = os.fstat(file.fileno()).st_size
            header, self._data = _header(file, self.bytes)
            self.about, self.hash = _metadata(header.pop("__metadata__", None))
            self.shapes, self.dtypes, self._offsets = _layout(header, self.bytes - self._data)
            self._hasher = Hasher(self.about)
        except (OSError, ValueError) as error:
            raise ValueError(f"'{self._path}' is truncated or damaged ({error}). {RESTORE}") from error

    def identity(self, file: str, run_id: str) -> Member:
        """Return who the member is, once it is in its place.

        Raises:
            ValueError: the file belongs to another run, or was renamed.
        """
        about = self.about
        if about["run_id"] != run_id:
            raise ValueError(
                f"'{self._path}' belongs to run {about['run_id'][:8]}, but this directory holds run {run_id[:8]}. Move it back."
            )
        if file != self.place:
            raise ValueError(f"'{self._path}' was renamed: by its header it is '{self.place}'. Give it that name back.")
        known = {k: v for k, v in about.items() if k not in ("format", "run_id")}
        return Member(file=file, bytes=self.bytes, hash=self.hash, **known)

    @property
    def place(self) -> str:
        """The path within a run that is the member's by its header."""
        return BEST if self.about["kind"] == "best" else member_file(self.about["step"], self.about["replica"])

    def arrays(self) -> list[np.ndarray]:
        """Return all arrays; their hash is not checked yet."""
        found = []
        with self._opened() as file:
            self._begin(file)  # the file may have been replaced meanwhile, as the best model is
            for shape, dtype, offset in zip(self.shapes, self.dtypes, self._offsets, strict=True):
                self._hasher.begin(dtype, shape)
                file.seek(self._data + offset)
                found.append(self._fill(self._room(shape, dtype), file))
        return found

    def _room(self, shape: Sequence[int], dtype: np.dtype) -> np.ndarray:
        try:
            return np.empty(shape, dtype)
        except MemoryError:
            raise ValueError(f"'{self._path}' holds {self.bytes:,} bytes, more than there is memory for.") from None

    def _fill(self, array: np.ndarray, file) -> np.ndarray:
        flat = array.reshape(-1).view(np.uint8)
        for start in range(0, flat.size, _PIECE):
            piece = flat[start : start + _PIECE].data
            try:
                got = file.readinto(piece)
            except OSError as error:
                raise ValueError(f"'{self._path}' cannot be read: {error}. {RESTORE}") from error
            if got != len(piece):
                raise ValueError(f"'{self._path}' is truncated. {RESTORE}")
            self._hasher.update(piece)
        return array

    def read(self, array: int, start: int, stop: int) -> np.ndarray:
        """Return numbers `start` to `stop` of an array, flat; pieces must be asked for in their order."""
        dtype = self.dtypes[array]
        if start == 0:
            self._hasher.begin(dtype, self.shapes[array])
        with self._opened() as file:
            file.seek(self._data + self._offsets[array] + start * dtype.itemsize)
            return self._fill(np.empty(stop - start, dtype), file)

    def check(self) -> None:
        """Raise ValueError if what was read is not what was written; call after the last piece."""
        if self._hasher.hexdigest() != (self._member.hash if self._member else self.hash):
            raise ValueError(f"'{self._path}' is damaged: its content does not match its SHA-256. {RESTORE}")


def declared_size(path: Path) -> int:
    """Return how many bytes a file should have by its own header; the bytes of a header at least, where that is damaged."""
    length = 0
    try:
        check_plain(path)
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            file.seek(0)
            header, begin = _header(file, os.fstat(file.fileno()).st_size)
            header.pop("__metadata__", None)
            return begin + max((_array(entry)[0][1] for entry in header.values()), default=0)
    except (OSError, ValueError):
        return 8 + min(length, LIMIT)


def _header(file, size: int) -> tuple[dict[str, Any], int]:
    """Return the header of an open safetensors file of so many bytes, and where its data begin."""
    start = file.read(8)
    if len(start) < 8:
        raise ValueError(f"it has {size} bytes")
    (length,) = struct.unpack("<Q", start)
    if length > min(size - 8, LIMIT):
        raise ValueError(f"its header would have {length:,} bytes, and the file has {size:,}")
    header = parse(file.read(length))
    if not isinstance(header, dict):
        raise ValueError("its header has no names")
    return header, 8 + length


def _metadata(metadata: Any) -> tuple[dict[str, Any], str]:
    if not isinstance(metadata, dict) or not all(isinstance(metadata.get(k), str) for k in ("about", "hash")):
        raise ValueError("its header does not say whose it is")
    about = parse(metadata["about"].encode())
    if not isinstance(about, dict) or not isinstance(about.get("run_id"), str):
        raise ValueError("its header does not say of which run it is")
    if about.get("format") != FORMAT:
        raise ValueError(f"it has format {about.get('format')!r:.20}, and this version reads format {FORMAT}")
    member = {k: v for k, v in about.items() if k not in ("format", "run_id")}
    check_member(member, Member, but=("file", "bytes", "hash"))
    return about, metadata["hash"]


def _layout(header: dict[str, Any], room: int) -> tuple[list[tuple[int, ...]], list[np.dtype], list[int]]:
    """Return shape, type and offset of each array, if they fill the `room` behind the header without gap or overlap."""
    if header.keys() != {str(i) for i in range(len(header))}:
        raise ValueError("its arrays are not numbered")
    arrays = [_array(header[str(i)]) for i in range(len(header))]
    reached = 0
    for (start, stop), shape, dtype in sorted(arrays, key=lambda array: array[0]):
        if start != reached or stop - start != math.prod(shape) * dtype.itemsize:
            raise ValueError("its header contradicts itself")
        reached = stop
    if reached != room:
        raise ValueError(f"it holds {room:,} bytes of arrays, and its header says {reached:,}")
    return [shape for _, shape, _ in arrays], [dtype for _, _, dtype in arrays], [start for (start, _), _, _ in arrays]


def _array(entry: Any) -> tuple[tuple[int, int], tuple[int, ...], np.dtype]:
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError("its header does not say type, shape and place of every array")
    shape, offsets, kind = entry["shape"], entry["data_offsets"], entry["dtype"]
    if not isinstance(kind, str) or kind not in _NUMPY:
        raise ValueError(f"it holds an array of type {kind!r:.20}")
    if not _are_sizes(shape) or len(shape) > _AXES or not _are_sizes(offsets) or len(offsets) != 2:
        raise ValueError(f"it holds an array of shape {shape!r:.40} at {offsets!r:.40}")
    return (offsets[0], offsets[1]), tuple(shape), np.dtype(_NUMPY[kind])


def _are_sizes(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 2**48 for value in values)
