"""Reading `.npz` files that strangers made, with an error for each thing that is usually wrong with them.

Keys: `x_train, y_train[, x_val, y_val][, x_test, y_test]`, or `x, y`. Nothing is unpickled.
"""

import zipfile
from pathlib import Path

import numpy as np

from manyminima.datasets.sources import Source, file_hash

_KEYS = "Expected x_train and y_train, with x_test and y_test if there is a test part, or x and y"


def read_npz(path: Path) -> Source:
    """Read the arrays of a file, as they are.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no `.npz`, a key is missing, or an array holds Python objects.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"no file '{path}'. Check the path; the folder '{path.parent}' {_listing(path.parent)}."
        )
    try:
        archive = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"'{path}' is not an .npz file ({error}). Make one with numpy.savez(path, x=x, y=y)."
        ) from error
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise ValueError(f"'{path}' holds one array without a name. Make an .npz with numpy.savez(path, x=x, y=y).")
    with archive:
        keys = _keys(path, archive.files)
        parts = {part: (_array(path, archive, x), _array(path, archive, y)) for part, (x, y) in keys.items()}
    return Source(str(path.resolve()), parts, sha256=file_hash(path))


def _listing(folder: Path) -> str:
    if not folder.is_dir():
        return "does not exist either"
    found = sorted(p.name for p in folder.glob("*.npz"))
    return f"has {', '.join(found[:8])}" if found else "has no .npz file"


def _keys(path: Path, found: list[str]) -> dict[str, tuple[str, str]]:
    if "x" in found and "x_train" in found:
        raise ValueError(f"'{path}' has both x and x_train, so its training rows are unclear. {_KEYS}. Remove one.")
    wanted = {"train": ("x", "y")} if "x" in found else {"train": ("x_train", "y_train")}
    for part in ("val", "test"):
        if {f"x_{part}", f"y_{part}"} & set(found):
            wanted[part] = (f"x_{part}", f"y_{part}")
    missing = [key for pair in wanted.values() for key in pair if key not in found]
    if missing:
        raise ValueError(
            f"'{path}' has no {' and no '.join(missing)}; it has {', '.join(sorted(found)) or 'nothing'}. {_KEYS}. "
            f"Write it again with numpy.savez(path, {', '.join(f'{k}={k}' for pair in wanted.values() for k in pair)})."
        )
    return wanted


def _array(path: Path, archive, key: str) -> np.ndarray:
    try:
        return archive[key]
    except ValueError as error:
        if "pickle" not in str(error):
            raise ValueError(f"array '{key}' of '{path}' is damaged ({error}). Copy or make the file again.") from error
        raise ValueError(
            f"array '{key}' of '{path}' holds Python objects, which are never unpickled. Expected numbers: save "
            f"numpy.stack(list({key})).astype('float32'), or integers for labels."
        ) from error
    except (zipfile.BadZipFile, EOFError, OSError) as error:
        raise ValueError(f"array '{key}' of '{path}' is damaged ({error}). Copy or make the file again.") from error
