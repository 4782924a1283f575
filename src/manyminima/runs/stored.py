"""Members held against what their run says of them: arrays before they are written, files when they are read. No Keras."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from manyminima.parameters import is_whole
from manyminima.runs.descriptions import how_to_rebuild
from manyminima.runs.format import RESTORE, Member, Weights
from manyminima.runs.streaming import MemberFile

__all__ = ["arrays_of", "check_identity", "check_new", "opened", "shape_of"]


def arrays_of(weights: Weights, step: Any, replica: Any) -> list[np.ndarray]:
    """Return the arrays of a member to be written; ValueError if they are no numbers, or its step or replica is none."""
    for name, value in (("step", step), ("replica", replica)):
        if not is_whole(value, 0):
            raise ValueError(f"{name} is {value!r}, expected a whole number of at least 0: batches are counted.")
    arrays = [np.asarray(w) for w in weights]
    for i, array in enumerate(arrays):
        if array.dtype.kind in "OSUMm":
            raise ValueError(
                f"array {i} of the weights holds {array.dtype} values, expected numbers: model.get_weights()."
            )
    return arrays


def shape_of(array: np.ndarray) -> dict[str, Any]:
    """Return what a run's description says of an array."""
    return {"shape": list(array.shape), "dtype": array.dtype.name}


def check_new(
    path: Path, there: bool, arrays: Sequence[np.ndarray], variables: Sequence[Mapping[str, Any]] | None
) -> None:
    """Raise ValueError if a member was written before, or its arrays are not those that the run tells of."""
    if there:
        raise ValueError(
            f"'{path}' is written already: there is one member to a step of a replica. Count steps on, or tell runs that are "
            f"trained together apart by replica=."
        )
    expected = [tuple(v["shape"]) for v in variables or []]
    found = [array.shape for array in arrays]
    if expected and found != expected:
        first = next((i for i, (a, b) in enumerate(zip(found, expected, strict=False)) if a != b), None)
        differ = "" if first is None else f" Array {first} has shape {found[first]}, expected {expected[first]}."
        raise ValueError(
            f"'{path}' would hold {len(found)} arrays that are not those of this run, which has {len(expected)}.{differ} Give "
            f"each model a directory of its own."
        )


def opened(folder: Path, run: Mapping[str, Any], member: Member) -> MemberFile:
    """Open a member's file, once its header tells of arrays of the shapes that the run tells of.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: it is truncated, a link, or holds other arrays.
    """
    stored = MemberFile(folder / member.file)
    expected = [tuple(v["shape"]) for v in run.get("variables", [])]
    if expected and stored.shapes != expected:
        raise ValueError(
            f"'{folder / member.file}' does not hold the arrays that run.json tells of: {len(stored.shapes)} arrays, "
            f"expected {len(expected)}, or others in shape. {RESTORE}"
        )
    return stored


def check_identity(folder: Path, run: Mapping[str, Any], member: Member, stored: MemberFile) -> None:
    """Raise ValueError unless a file says of itself what the index says of `member`."""
    found = stored.identity(member.file, run["run_id"])
    if member.hash != found.hash:
        raise ValueError(
            f"'{folder / member.file}' is not the file that the run wrote: its hash differs from the index. "
            f"Restore it from a copy."
        )
    if member != found:
        raise ValueError(
            f"'{folder / 'index.json'}' is damaged: of '{member.file}' it says {asdict(member)}, and the file itself "
            f"{asdict(found)}. {how_to_rebuild(folder)}"
        )
