"""What a recipe is, and what it means for one run."""

import math
from collections.abc import Callable
from dataclasses import fields
from typing import NamedTuple, Protocol, runtime_checkable

from manyminima.parameters import is_number, is_whole

__all__ = ["Plan", "Recipe", "as_html", "check_numbers", "check_whole", "peak_of"]


class Plan(NamedTuple):
    """What a recipe means for one run: a schedule (None: leave the optimizer's rate alone) and when to collect."""

    lr: Callable | None
    when: Callable[[int], bool]


@runtime_checkable
class Recipe(Protocol):
    """Anything with `plan`; the ones here are dataclasses, so that a run can record them by name and parameters."""

    def plan(self, epochs: int, steps_per_epoch: int) -> Plan:
        """Return the schedule and the collection points for a run of this size."""
        ...


def check_whole(recipe, name: str, least: int = 1) -> None:
    """Make a parameter a plain whole number; raise ValueError if it is none, or below `least`."""
    value = getattr(recipe, name)
    if not is_whole(value, least):
        raise ValueError(f"{recipe}: expected {name} to be a whole number of at least {least}, got {value!r}.")
    object.__setattr__(recipe, name, int(value))


def check_numbers(recipe, *names: str) -> None:
    """Raise ValueError if one of these parameters is no finite number; None is for those that have it as their default."""
    defaults = {field.name: field.default for field in fields(recipe)}
    for name in names:
        value = getattr(recipe, name)
        if not (is_number(value) and math.isfinite(value)) and not (value is None and defaults[name] is None):
            raise ValueError(f"{recipe}: expected {name} to be a finite number, got {value!r}.")


def peak_of(recipe) -> float:
    """Return the peak that a recipe was given, or raise ValueError."""
    if recipe.peak is None:
        raise ValueError(f"{recipe} has no peak: write peak=0.1 (Collect would take the optimizer's learning rate).")
    return recipe.peak


def as_html(recipe) -> str:
    """Return what notebooks show of a recipe: its parameters and its learning rate."""
    from manyminima.reporting import notebook

    return notebook.recipe(recipe)
