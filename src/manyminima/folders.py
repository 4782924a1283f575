"""Whether files can be put into a folder, asked before anything that takes long."""

import os
from pathlib import Path

__all__ = ["check_writable"]


def check_writable(folder: Path, cannot: str, other: str) -> None:
    """Raise an OSError if no file can be put into this folder, which need not be there yet.

    Args:
        folder: asked for.
        cannot: what cannot be done then, the beginning of the message.
        other: what to choose instead, such as "directory" or "--out".

    Raises:
        NotADirectoryError: it, or a part of its path, is a file.
        PermissionError: nothing may be written into it, or into the nearest folder above it that is there.
    """
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists() or place.is_symlink())
    if not there.is_dir():
        raise NotADirectoryError(f"{cannot}: '{there}' is a file. Choose another {other}.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(f"{cannot}: no permission in '{there}'. Choose another {other}, or chmod u+w it.")
