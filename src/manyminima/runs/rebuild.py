"""An index written anew from the members, each of which says by itself who it is. No Keras."""

import os
from pathlib import Path
from typing import Any

from manyminima.runs import lock
from manyminima.runs.descriptions import read_index, read_run, write_index
from manyminima.runs.format import Member, hash_file
from manyminima.runs.verify import inspect

__all__ = ["rebuild_index"]


def rebuild_index(path: str | os.PathLike) -> list[Member]:
    """Write a run's `index.json` anew, and return the members that it names: those that are whole and in their place.

    Files that are damaged, renamed or of other runs are not named, and stay where they are.

    Args:
        path: the run's directory.

    Raises:
        FileNotFoundError: no run is there.
        FileExistsError: a process is writing to the run.
        ValueError: `run.json` is damaged, or of another run; an index would vouch for it.
    """
    folder = Path(path)
    run = read_run(folder)
    held = lock.take(folder)
    try:
        found = inspect(folder)
        for problem in found.problems:
            if problem.file == "run.json":
                raise ValueError(problem.text)
        if not found.members and any(problem.kind == "foreign" for problem in found.problems):
            raise ValueError(
                f"'{folder}' holds members of another run than its run.json. Restore the right run.json first."
            )
        write_index(folder, run["run_id"], hash_file(folder / "run.json"), found.members, _left_out(folder, run))
        return list(found.members)
    finally:
        held.release()


def _left_out(folder: Path, run: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what a readable index says was not stored: no member's file tells it."""
    try:
        return read_index(folder, run["run_id"])[1]
    except (ValueError, OSError):
        return []
