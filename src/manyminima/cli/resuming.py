"""What `manyminima train` finds in its directory: nothing, a run that has ended, or one to go on with."""

from pathlib import Path
from typing import TYPE_CHECKING

from manyminima.cli.output import check_writable

if TYPE_CHECKING:
    from manyminima.runs.resume import Found

RESUME = "Go on with the run that was interrupted there; if there is none, begin it."


def check_out(out: Path, resume: bool) -> "Found | None":
    """Return what there is of a run in a directory, before any work is done.

    Raises:
        FileExistsError: a run is there, and it is not to be gone on with.
        OSError: nothing can be written there.
    """
    from manyminima.runs.resume import look

    check_writable(out)
    found = look(out)
    if found is None or resume:
        return found
    if found.finished:
        way = f"To judge it type manyminima evaluate {out}; to"
    else:
        way = "To" if found.step is None else "To go on with it add --resume to the command; to"
    raise FileExistsError(
        f"'{out}' already holds a run, which is never overwritten: {found}. {way} train anew choose another --out, or delete it."
    )


def greeting(out: Path, found: "Found") -> str:
    """Return what is said of a run that is gone on with."""
    if found.finished:
        return f"{out} holds {found}: nothing is trained."
    return f"{out} holds {found}."
