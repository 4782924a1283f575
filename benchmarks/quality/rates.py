"""The learning rates that runs follow: recipes of the library, by a name that fits a file, as functions of the peak."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from manyminima import recipes
from manyminima.schedules import Constant
from manyminima.when import At

__all__ = ["RATES", "own_steps"]


@dataclass(frozen=True)
class constant:
    """The same rate at every step."""

    peak: float

    def plan(self, epochs: int, steps_per_epoch: int) -> recipes.Plan:
        return recipes.Plan(Constant(self.peak), At((epochs * steps_per_epoch,)))


RATES: dict[str, Callable[[float], Any]] = {
    "cosine": lambda peak: recipes.snapshot(cycles=1, peak=peak),
    "constant": constant,
    "snapshot-3": lambda peak: recipes.snapshot(cycles=3, peak=peak),
    "snapshot-5": lambda peak: recipes.snapshot(cycles=5, peak=peak),
    "snapshot-6": lambda peak: recipes.snapshot(cycles=6, peak=peak),
    "cyclic-6": lambda peak: recipes.cyclic(cycles=6, peak=peak),
    "swa": lambda peak: recipes.swa(peak=peak),
    "fge-6": lambda peak: recipes.fge(cycles=6, peak=peak),
    # Constant for a quarter of the run, down to half of that by 45 %, and constant from there on.
    "two-levels": lambda peak: recipes.swa(start=0.5, low=0.5, peak=peak),
    # Constant for 40 % of the run, then six triangles between the peak and a quarter of it.
    "waves-6": lambda peak: recipes.fge(cycles=6, start=0.4, high=1.0, low=0.25, peak=peak),
}


def own_steps(rate: str, epochs: int, steps_per_epoch: int) -> tuple[int, ...]:
    """The steps after which the rate's own recipe collects."""
    when = RATES[rate](0.1).plan(epochs, steps_per_epoch).when
    return tuple(n for n in range(1, epochs * steps_per_epoch + 1) if when(n))
