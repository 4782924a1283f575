"""What counts as a number among parameters: NumPy's too, but neither text nor a truth value."""

from numbers import Integral, Real
from typing import Any

__all__ = ["is_number", "is_whole"]


def is_whole(value: Any, least: int = 1) -> bool:
    """Tell whether a value is a whole number of at least `least`.

    >>> is_whole(3), is_whole(3.0), is_whole(True), is_whole(0), is_whole(0, 0)
    (True, False, False, False, True)
    """
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least


def is_number(value: Any) -> bool:
    """Tell whether a value is a real number, NaN and infinities among them.

    >>> is_number(0.1), is_number(1), is_number("0.1"), is_number(True), is_number(None)
    (True, True, False, False, False)
    """
    return isinstance(value, Real) and not isinstance(value, bool)
