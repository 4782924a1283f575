"""What a study is asked for, checked before a model is built: numbers, peaks, and methods that fit the epochs."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from manyminima.comparison.methods import Method
from manyminima.parameters import is_whole

__all__ = ["MOST_SEEDS", "check_fits", "check_numbers", "peaks_asked"]

MOST_SEEDS = 10_000


def check_numbers(epochs: Any, seeds: Any, batch_size: Any, rows: int) -> None:
    """Raise ValueError unless each is a whole number in its range."""
    _whole("epochs", epochs, 1, "of an ordinary run of yours, such as epochs=60")
    if isinstance(seeds, Sequence | np.ndarray):
        raise TypeError(
            f"seeds={seeds!r:.60}: expected how many there are, as a number. Write seeds={max(len(seeds), 2)}."
        )
    _whole("seeds", seeds, 2, "an interval over seeds needs at least 2, and 20 to tell something: seeds=20")
    if seeds > MOST_SEEDS:
        raise ValueError(f"seeds={seeds}: expected at most {MOST_SEEDS:,}; beyond that they serve to choose peaks.")
    _whole("batch_size", batch_size, 1, "such as batch_size=32")
    if batch_size > rows:
        raise ValueError(
            f"batch_size={batch_size}: expected 1 to {rows}, the number of training rows. Write batch_size={min(32, rows)}."
        )


def _whole(name: str, value: Any, least: int, hint: str) -> None:
    if not is_whole(value, least):
        raise ValueError(f"{name}={value!r:.60}: expected a whole number of at least {least}, {hint}.")


def peaks_asked(peaks: Any) -> tuple[float, ...] | None:
    """Return the peaks as they will be tried, None where they are the optimizer's.

    Raises:
        TypeError: one number, or no numbers at all.
        ValueError: there is none, one is not above 0 and finite, or two are the same.
    """
    if peaks is None:
        return None
    if isinstance(peaks, int | float | np.number):
        raise TypeError(f"peaks={peaks!r} is one number, expected a list of them: peaks=({peaks!r},).")
    try:
        rates = tuple(float(peak) for peak in peaks)
    except (TypeError, ValueError):
        raise TypeError(f"peaks={peaks!r:.60}: expected learning rates, such as peaks=(0.03, 0.1, 0.3).") from None
    bad = [rate for rate in rates if not (np.isfinite(rate) and rate > 0)]
    if bad or not rates:
        what = f"{bad[0]} is none" if bad else "there is none"
        raise ValueError(
            f"peaks={rates}: expected one learning rate above 0 or several, and {what}. Write peaks=(0.03, 0.1, 0.3)."
        )
    if len(set(rates)) < len(rates):
        raise ValueError(f"peaks={rates}: a peak is there twice. Write peaks={tuple(sorted(set(rates)))}.")
    return rates


def check_fits(methods: Sequence[Method], epochs: int, steps: int) -> None:
    """Raise ValueError, by the method's name, if one does not fit into the epochs of so many steps each."""
    for method in methods:
        shared = method.epochs(epochs)
        try:
            method.recipe(0.1).plan(shared, steps)
        except ValueError as error:
            raise ValueError(f"{method.name}: {error}") from error
