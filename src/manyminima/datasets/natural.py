"""The order of names with numbers in them."""

import re

__all__ = ["natural_order"]


def natural_order(name: str) -> list[tuple[bool, int, str]]:
    """Return the sorting key by which numbers in names count as numbers.

    >>> sorted(["run_10", "run_9", "run"], key=natural_order)
    ['run', 'run_9', 'run_10']
    """
    parts = re.split(r"(\d+)", name)
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]
