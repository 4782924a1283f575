"""The simplest fold: keep the members in memory."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from manyminima.runs.format import Member, Weights

__all__ = ["Memory"]


class Memory:
    """Members kept in memory, oldest first; what `Collect(recipe)` uses when it is told no place.

    Each new `fit` starts with none. `best` is the best single model as (member, weights), if one was watched.
    """

    def __init__(self):
        self.begin()

    def __repr__(self):
        return f"Memory({len(self)} members)"

    def begin(self, run: Mapping | None = None) -> None:
        """Forget what an earlier `fit` collected."""
        self.run = run
        self.members: list[Member] = []
        self.best: tuple[Member, list[np.ndarray]] | None = None
        self._weights: list[list[np.ndarray]] = []

    def add(self, weights: Weights, step: int, *, epoch: float | None = None, logs: Mapping | None = None) -> None:
        """Keep one more member."""
        self._weights.append(list(weights))
        self.members.append(Member("", step, epoch=epoch, logs=dict(logs or {}), bytes=sum(w.nbytes for w in weights)))

    def add_best(self, weights: Weights, step: int, *, epoch: float | None = None, logs: Mapping | None = None) -> None:
        """Replace the best single model."""
        self.best = Member("", step, epoch=epoch, kind="best", logs=dict(logs or {})), list(weights)

    def state(self) -> dict[str, Any]:
        """Return all that is kept, for an interrupted training to go on."""
        best = None if self.best is None else [asdict(self.best[0]), self.best[1]]
        return {"members": [asdict(m) for m in self.members], "weights": [list(w) for w in self._weights], "best": best}

    def take_up(self, run: Mapping, state: Mapping[str, Any]) -> None:
        """Go on with what was kept, in place of `begin`."""
        self.begin(run)
        self.members, self._weights = [Member(**known) for known in state["members"]], list(state["weights"])
        self.best = state["best"] and (Member(**state["best"][0]), state["best"][1])

    def __len__(self) -> int:
        return len(self._weights)

    def __iter__(self) -> Iterator[list[np.ndarray]]:
        return iter(self._weights)

    def __getitem__(self, index: int) -> list[np.ndarray]:
        return self._weights[index]
