"""The sentences of a selection: members by the numbers that reports give them, and what they were chosen on."""

from collections.abc import Iterable

import numpy as np

from manyminima import metrics
from manyminima.arrays import Problem

__all__ = ["examples_in", "gap_text", "members_text", "scored", "these"]

_NO_GAP = 1e-12  # below it there is only rounding


def members_text(places: Iterable[int]) -> str:
    """Name members, counted from 1, at the start of a sentence."""
    numbers = [str(place + 1) for place in places]
    if len(numbers) == 1:
        return f"Member {numbers[0]}"
    return f"Members {', '.join(numbers[:-1])} and {numbers[-1]}"


def gap_text(gap: float) -> str:
    """Write a duality gap to the digit that counts: "3e-10", "below 1e-12"."""
    return f"below {_NO_GAP:.0e}" if gap < _NO_GAP else f"{gap:.0e}"


def scored(problem: Problem) -> str:
    """The metric, and on how many examples: "NLL on these 500 examples"."""
    metric = metrics.squared_error if problem.task == "regression" else metrics.nll
    return f"{metric.facts.label} on {these(examples_in(problem))}"


def these(examples: int) -> str:
    """Count examples in words."""
    return "this 1 example" if examples == 1 else f"these {examples:,} examples"


def examples_in(problem: Problem) -> int:
    """How many examples count: rows of one example are one, and a weight of 0 leaves one out."""
    weight = problem.sample_weight
    return int(np.count_nonzero(np.bincount(problem.group if weight is None else problem.group[weight > 0])))
