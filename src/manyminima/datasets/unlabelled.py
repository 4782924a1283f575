"""Rows that a run is to predict: of a table with its columns, or of a file of arrays, in pieces that fit into memory."""

import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from manyminima.datasets import tables
from manyminima.datasets.records import is_table
from manyminima.datasets.tables import Encoded

__all__ = ["Arrays", "new_rows", "open_new_rows"]

_ROWS = 8192


@dataclass(frozen=True)
class Arrays:
    """Inputs out of a file of arrays, with what `tables.Rows` has.

    Args:
        x: (rows, ...).
        ignored: nothing.
    """

    x: np.ndarray
    ignored: Sequence[str] = ()

    def encoded(self, unknown: str = "other") -> Iterator[Encoded]:
        """Yield all rows, piece by piece, in their order; arrays have no words."""
        for first in range(0, len(self.x), _ROWS):
            share = min(1.0, (first + _ROWS) / len(self.x))
            yield Encoded(np.asarray(self.x[first : first + _ROWS]), {}, {}, Counter(), share)


def new_rows(contract: Mapping[str, Any] | None, source: str | Path) -> np.ndarray:
    """Return rows without labels as a run's models take them, (rows, ...); other columns of a table are passed over.

    Args:
        contract: what the run keeps about its data, `ensemble.about["data"]`.
        source: a table with the columns that the run was trained on, or an `.npy` or `.npz` file with inputs.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it does not fit the run: missing columns, text where numbers were, another shape.
    """
    return np.concatenate([piece.x for piece in open_new_rows(contract, source).encoded()])


def open_new_rows(contract: Mapping[str, Any] | None, source: str | Path) -> tables.Rows | Arrays:
    """Return the same rows to go through in pieces; only a table's header is read at first."""
    path, contract = Path(source), contract if isinstance(contract, Mapping) else {}
    if (facts := contract.get("table")) is not None:
        if not is_table(path):
            raise ValueError(
                f"'{path}' is no table, and the run was trained on one, '{contract.get('source')}'. Give a file with the same "
                f"columns, such as new.csv."
            )
        return tables.open_rows(path, facts)
    if is_table(path):
        raise ValueError(
            f"'{path}' is a table, and the run was not trained on one, so what its columns mean is not known. Give inputs as "
            f"arrays: numpy.save('new.npy', x)."
        )
    x = _inputs(path)
    shape = contract.get("input_shape")
    if len(x) == 0 or (shape is not None and list(x.shape[1:]) != list(shape)):
        expected = f"(rows, {', '.join(map(str, shape))})" if shape is not None else "at least one row"
        raise ValueError(f"'{path}' has inputs of shape {x.shape}. Expected {expected}, as the run was trained on.")
    return Arrays(x)


def _inputs(path: Path) -> np.ndarray:
    if not path.is_file():
        raise FileNotFoundError(f"no file '{path}'. Expected inputs to predict, as .csv, .npy or .npz: check the path.")
    try:
        if path.suffix == ".npy":
            return np.load(path, mmap_mode="r", allow_pickle=False)
        with np.load(path, allow_pickle=False) as archive:
            names = archive.files
            if "x" in names or len(names) == 1:
                return archive["x" if "x" in names else names[0]]
    except (ValueError, EOFError, OSError, zipfile.BadZipFile, AttributeError) as error:
        raise ValueError(
            f"'{path}' cannot be read as .npy or .npz ({error}). Write the inputs with numpy.save('new.npy', x)."
        ) from error
    raise ValueError(f"'{path}' holds {', '.join(names)}. Expected one array x: numpy.savez(path, x=x).")
