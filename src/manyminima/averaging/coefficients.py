"""How much of each member: the weightings of the literature. NumPy only."""

from typing import Any

import numpy as np

__all__ = ["NAMES", "coefficients"]

NAMES = ("equal", "linear", "exponential")


def coefficients(kind: Any, members: int, decay: float = 2.0) -> np.ndarray:
    """Return one number for each member, oldest first, non-negative, of sum 1.

    With i = 1 for the newest member: equal `1`, linear `members - i + 1`, exponential `exp(-i / decay)`.

    Args:
        kind: one of `NAMES`, or (members,) numbers.
        members: how many there are.
        decay: of "exponential", in members, above 0.

    Raises:
        ValueError: another name, another number of coefficients, or numbers that are negative or not finite.

    Example:
        >>> coefficients("linear", 3).round(3).tolist()
        [0.167, 0.333, 0.5]
        >>> coefficients("exponential", 3).round(3).tolist()
        [0.186, 0.307, 0.506]
    """
    if isinstance(kind, str):
        if kind not in NAMES:
            raise ValueError(f"there are no coefficients {kind!r}; choose from {', '.join(NAMES)}, or give an array.")
        if not decay > 0:
            raise ValueError(f"decay={decay}: expected a number of members above 0.")
        age = np.arange(members, 0, -1)  # oldest first
        raw = {"equal": np.ones(members), "linear": members - age + 1.0, "exponential": np.exp((1 - age) / decay)}[kind]
    else:
        raw = np.asarray(kind, "float64")
        if raw.shape != (members,):
            raise ValueError(f"coefficients have the shape {raw.shape}, expected one for each of {members} members.")
    if not np.isfinite(raw).all() or raw.min() < 0 or raw.sum() == 0:
        raise ValueError(f"coefficients {raw.tolist()}: expected finite numbers of at least 0, not all of them 0.")
    return raw / raw.sum()
