"""What users hand to an ensemble, checked before anything is computed."""

import operator
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from manyminima.combination import Combination
from manyminima.parameters import is_whole

__all__ = ["combination", "combined", "model", "newest", "place", "places", "rule"]


def model(given: Any) -> keras.Model:
    """Return a built Keras model; TypeError or ValueError if it is none."""
    if not isinstance(given, keras.Model):
        raise TypeError(
            f"the model is {given!r:.60}: expected a Keras model first, then its members. Write Ensemble(model, members)."
        )
    if not given.built:
        raise ValueError(f"model '{given.name}' is not built: call it once, or model.build(input_shape).")
    return given


def place(given: Any, count: int) -> int:
    """Return the place of one of `count` members, also counted from the end; TypeError or IndexError if there is none."""
    try:
        found = operator.index(given)
    except TypeError:
        raise TypeError(f"{given!r:.60} is no member: expected its place, such as ensemble[-1], or a slice.") from None
    if not -count <= found < count:
        raise IndexError(f"there is no member {found}: expected a place between 0 and {count - 1}, or -{count} and -1.")
    return found


def places(given: Any, count: int) -> list[int]:
    """Return the places of some members, one at least."""
    if isinstance(given, str) or not hasattr(given, "__iter__"):
        raise TypeError(f"{given!r:.60} are no members: expected their places, such as ensemble.part([0, 2]).")
    found = [place(index, count) for index in given]
    if not found:
        raise ValueError(f"no members are left: expected the places of some of {count}, such as ensemble.part([0]).")
    return found


def newest(given: Any, count: int) -> int:
    """Return a number of members; ValueError if there are not so many."""
    if not is_whole(given) or given > count:
        raise ValueError(f"the newest {given} members: expected between 1 and the number of members, {count}.")
    return int(given)


def rule(given: Any) -> Any:
    """Return a rule that combines members; TypeError if it cannot be called."""
    if not callable(given):
        raise TypeError(
            f"combine={given!r:.60} is no function: expected one of (members, examples, classes), such as mm.combine.median."
        )
    return given


def combined(given: Any, rows: int) -> np.ndarray:
    """Return what a rule made of so many rows; ValueError if these are not as many predictions."""
    found = np.asarray(given)
    if found.ndim == 0 or len(found) != rows:
        what = f"an array {found.shape}" if found.dtype != object else f"{given!r:.60}"
        raise ValueError(
            f"combine returned {what} for {rows} examples: expected one prediction of each, (examples, classes)."
        )
    return found


def combination(given: Any, members: int, kinds: Sequence[str | None]) -> Combination:
    """Return a combination that fits so many members with outputs of these kinds; TypeError or ValueError if it does not."""
    if not isinstance(given, Combination):
        raise TypeError(
            f"{given!r:.60} is no Combination: expected mm.Combination.fit(y_val, ensemble.predict_members(x_val)), or None."
        )
    if len(kinds) > 1:
        raise ValueError("a combination is for one output, and this model has several: combine each by itself.")
    given.check_fits(members, next((kind for kind in kinds if kind), None))
    return given
