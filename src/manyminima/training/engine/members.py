"""Where the engine's replicas put their members: a fold for each, in memory, or all of them in one run on disk."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from manyminima.averaging.folds import Average
from manyminima.inference.sources import Members, members_of
from manyminima.runs.format import Member, Weights
from manyminima.runs.snapshots import Snapshots
from manyminima.training.memory import Memory

__all__ = ["Place", "folds_of", "gather", "run_of"]


class Place:
    """One replica's place in a run on disk: a fold that writes members under the replica's number."""

    def __init__(self, run: Snapshots, replica: int):
        self._run, self._replica = run, replica
        self.kind = "snapshot"

    def __repr__(self):
        return f"{self._run!r}"

    def add(self, weights: Weights, step: int, *, epoch: float | None = None, logs: Mapping | None = None) -> None:
        """Write one member."""
        self._run.add(weights, step, epoch=epoch, logs=logs, kind=self.kind, replica=self._replica)

    @property
    def members(self) -> list[Member]:
        """The members that this replica has written."""
        return [member for member in self._run.members if member.replica == self._replica]

    def __len__(self) -> int:
        return len(self.members)

    def __iter__(self) -> Iterator[list[np.ndarray]]:
        return (self._run.read(member) for member in self.members)


def run_of(into: Any) -> Snapshots | None:
    """Return the run on disk that `into` names, or None for memory."""
    if into is None or isinstance(into, Snapshots):
        return into
    if isinstance(into, str | os.PathLike):
        return Snapshots(into)
    raise TypeError(
        f'into={into!r:.80} is no directory: every replica needs a fold of its own. Write into=None or into="runs/x"; for an '
        f"average take a recipe that makes one, such as mm.recipes.ema(0.999) or mm.recipes.swa()."
    )


def folds_of(recipes: Sequence[Any], run: Snapshots | None) -> list[Any]:
    """Return what each replica's recipe collects into.

    Raises:
        ValueError: the recipes make averages of different kinds.
    """
    folds = [_fold(recipe, None if run is None else Place(run, r)) for r, recipe in enumerate(recipes)]
    kinds = [repr(getattr(fold, "rule", type(fold).__name__)) + str(getattr(fold, "every", "")) for fold in folds]
    other = next((r for r, kind in enumerate(kinds) if kind != kinds[0]), None)
    if other is not None:
        raise ValueError(
            f"{recipes[0]} and {recipes[other]} make averages of different kinds, and replicas share one program. Give all "
            f"replicas recipes that differ in their rates only, or train them one after the other."
        )
    return folds


def _fold(recipe: Any, place: Place | None) -> Any:
    wrap: Callable | None = getattr(recipe, "fold", None)
    fold = wrap(place) if wrap else place
    if fold is None:
        return Memory()
    if place is not None and isinstance(fold, Average):
        place.kind = fold.rule.kind
    return fold


def gather(
    folds: Sequence[Any], run: Snapshots | None, about: Mapping[str, Any], outcome: Mapping[str, Any]
) -> Members:
    """Return the members of all replicas, sorted by step and replica, with what is known about the run and its outcome."""
    if run is not None:
        found = members_of(run)
        return found._replace(about={**found.about, **outcome})
    pairs = [
        (replace(m, replica=r), w) for r, fold in enumerate(folds) for m, w in zip(fold.members, fold, strict=True)
    ]
    pairs.sort(key=lambda pair: (pair[0].step, pair[0].replica))
    members = [asdict(member) for member, _ in pairs]
    return Members([list(w) for _, w in pairs], {**about, "members": members, **outcome}, [""] * len(pairs))
