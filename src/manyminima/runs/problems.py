"""What can be wrong with a file of a run, in one word and in one sentence. No Keras."""

import os
import stat
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from manyminima.runs.format import Member

__all__ = ["Inspection", "Problem", "kind_of"]


@dataclass(frozen=True)
class Problem:
    """One file that is not as the run wrote it.

    Args:
        file: path within the run.
        kind: "truncated", "altered", "missing", "extra", "renamed", "foreign", "duplicate" or "link".
        text: what is wrong, and what to do about it.
    """

    file: str
    kind: str
    text: str

    def __str__(self):
        return f"{self.kind}: {self.text}"


@dataclass(frozen=True)
class Inspection:
    """What is in a run's directory.

    Args:
        path: the directory.
        run_id: of the run; "" if no file tells.
        members: those that are whole, in their place, and of this run, oldest first.
        problems: all others; empty if the run is as it was written.
        notes: what is no damage, but good to know: a writer at work, leftovers of a process that was killed.
    """

    path: str
    run_id: str
    members: tuple[Member, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, as `manyminima verify --json` writes it."""
        return {**asdict(self), "sound": self.sound}


def kind_of(path: Path, size: int = 0) -> str:
    """Return in one word what is wrong with a file that cannot be read, and that should have so many bytes."""
    try:
        found = os.lstat(path)
    except OSError:
        return "missing"
    if not stat.S_ISREG(found.st_mode):
        return "link"
    return "truncated" if found.st_size < size else "altered"
