"""Whether a table's arrays fit into memory, asked before it is read."""

import math
import os
from pathlib import Path

__all__ = ["available", "check_room"]

_SHARE = 0.8  # of what is available; training and predicting take some, too
_TEST = 0.2


def available() -> float:
    """Return the bytes of memory that programs can still have; without limit where that cannot be asked for."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return 1024.0 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, StopIteration):
        names = getattr(os, "sysconf_names", ())
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if "SC_PHYS_PAGES" in names else math.inf


def check_room(path: Path, rows: float, columns: int, limit: int | None, room: float) -> None:
    """Raise a ValueError if a table's arrays do not fit into memory.

    Args:
        path: of the table.
        rows: about how many it has.
        columns: that may become inputs, 4 bytes each in every row.
        limit: on the training rows; the validation rows are cut alike, and a fifth of all rows is for the test in any case.
        room: bytes of memory.
    """
    kept = rows if limit is None else min(rows, limit / 0.75 + _TEST * rows)
    a_row, most = 4 * columns + 16, _SHARE * room  # 16: the label, and which part the row is in
    if kept * a_row <= most:
        return
    fitting = int(0.75 * (most / a_row - _TEST * rows))
    fewer = f", or train on fewer of the rows: --limit {_rounded(fitting)}" if fitting >= 1000 else ""
    raise ValueError(
        f"'{path}' has about {rows:,.0f} rows, and {columns} columns to predict from: as arrays they take "
        f"{kept * a_row / 2**30:.1f} GB, and {room / 2**30:.1f} GB of memory are free. Leave columns out with --drop{fewer}."
    )


def _rounded(number: int) -> int:
    """Round down to two digits.

    >>> _rounded(123_456)
    120000
    """
    unit = 10 ** (len(str(number)) - 2)
    return number // unit * unit
