"""Where members go: the folds that `into=` names, and the runs on disk among them."""

import os
from collections.abc import Iterable, Sequence
from typing import Any

from manyminima.runs.resume import look
from manyminima.runs.snapshots import Snapshots
from manyminima.training.memory import Memory

__all__ = ["as_folds", "check_directories", "directories", "refuse_interrupted"]


def as_folds(into: Any, wrap: Any) -> tuple:
    """Return the folds that `into` stands for; `wrap`, if given, makes a recipe's average of a plain place."""
    entries = into if isinstance(into, list | tuple) else (into,)
    entries = [wrap(e) if wrap and (e is None or isinstance(e, str | os.PathLike | Snapshots)) else e for e in entries]
    folds = tuple(Memory() if e is None else Snapshots(e) if isinstance(e, str | os.PathLike) else e for e in entries)
    for fold in folds:
        if not hasattr(fold, "add") or not hasattr(fold, "__iter__"):
            raise TypeError(
                f'into={fold!r} is no directory and no fold (with `add` and iteration): write into="runs/x".'
            )
    if not folds:
        raise ValueError('into=[] names no place for members: write into="runs/x", or into=None for memory.')
    return folds


def directories(folds: Iterable) -> list[Snapshots]:
    """Return the runs on disk among folds, and those that averages are written to."""
    places = list(folds)
    for place in places:  # which grows meanwhile: an average may go into an average
        if getattr(place, "into", None) is not None:
            places.append(place.into)
    return [place for place in places if isinstance(place, Snapshots)]


def check_directories(folds: Sequence) -> None:
    """Raise ValueError if one directory is named twice."""
    paths = [os.path.realpath(place.path) for place in directories(folds)]
    twice = next((path for path in paths if paths.count(path) > 1), None)
    if twice is not None:
        raise ValueError(
            f"two members would be written to '{twice}' at each collection: give each run a directory of its own."
        )


def refuse_interrupted(folds: Iterable) -> None:
    """Raise FileExistsError if a directory holds a run that kept what it takes to go on with it."""
    for place in directories(folds):
        found = look(place.path)
        if found is not None and found.step is not None:
            fix = "Look at it with mm.load" if found.finished else "Go on with it: mm.Collect(…, resume=True)"
            raise FileExistsError(
                f"'{place.path}' holds {found}, and a run is never overwritten. {fix}. Choose another directory, or delete it, "
                f"to begin anew."
            )
