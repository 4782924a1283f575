"""Tables in files, as columns of text, a chunk of rows at a time: however long a file is, a chunk is what is in memory.

CSV needs no package; quotes and line breaks within cells are kept right, and rows counted. Parquet and Arrow are read with
pyarrow, where that is installed. All cells come as stripped text, "" where there is no value.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

MISSING = frozenset({"", "NA", "N/A", "n/a", "NaN", "nan", "NAN", "null", "NULL", "None", "?", "<NA>"})

DELIMITED = (".csv", ".tsv", ".txt")
ARROW = (".parquet", ".feather", ".arrow")

_CELLS, _MOST = 2**18, 8192
_MARKS = MISSING - {""}


class Piece(NamedTuple):
    """Some rows as they stand in a file: the wanted columns' cells, and the share of the file that is read by then."""

    columns: list[Sequence[str]]
    share: float


class Chunk(NamedTuple):
    """Some rows of a table: the number of the first one, counted from 1 below the header, and the columns' cells.

    `share` is what has been read of the file by then, 0..1.
    """

    first: int
    columns: list[list[str]]
    share: float = 1.0


@dataclass(frozen=True)
class Table:
    """A table that is read anew by each `chunks`.

    Args:
        path: of the file.
        names: of the columns, as they stand in the file.
        read: takes places of columns and yields their cells, piece by piece.
    """

    path: Path
    names: tuple[str, ...]
    read: Callable[[Sequence[int]], Iterator[Piece]]

    def chunks(self, wanted: Sequence[str]) -> Iterator[Chunk]:
        """Yield the wanted columns, in this order.

        Raises:
            ValueError: there are no rows, or the file is damaged; the message names the row.
        """
        first = 1
        for columns, share in self.read([self.names.index(name) for name in wanted]):
            yield Chunk(first, [_stripped(cells) for cells in columns], share)
            first += len(columns[0])
        if first == 1:
            raise ValueError(f"'{self.path}' has a header but no rows. Expected at least one below it: check the file.")

    def telling(self, tell: Callable[[float], object]) -> "Table":
        """Return the same table, which tells the share that has been read, 0..1, after each chunk."""

        def read(wanted: Sequence[int]) -> Iterator[Piece]:
            for piece in self.read(wanted):
                yield piece
                tell(piece.share)

        return replace(self, read=read)


def is_table(source: str | Path) -> bool:
    """Tell by its name whether a source is a table.

    >>> is_table("churn.csv"), is_table("wine"), is_table("x.npz")
    (True, False, False)
    """
    return Path(source).suffix.lower() in DELIMITED + ARROW


def open_table(path: Path) -> Table:
    """Look at a file's header and return the table, of which nothing else has been read.

    Raises:
        FileNotFoundError: there is no such file.
        ImportError: it needs pyarrow, which is not installed.
        ValueError: it is empty or no table, or its header has a name twice or none at all.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no file '{path}'. Check the path; the folder '{path.parent}' {_listing(path)}.")
    if path.suffix.lower() in ARROW:
        from manyminima.datasets.arrow import open_arrow as read_header
    else:
        from manyminima.datasets.delimited import open_delimited as read_header

    table = read_header(path)
    _check_names(table.names, path)
    return table


def rows_at_once(columns: int) -> int:
    """Return how many rows make a chunk: fewer of a wide table.

    >>> rows_at_once(10), rows_at_once(1000)
    (8192, 262)
    """
    return max(1, min(_MOST, _CELLS // max(columns, 1)))


def _stripped(raw: Sequence[str]) -> list[str]:
    cells = [*map(str.strip, raw)]
    return cells if _MARKS.isdisjoint(cells) else ["" if cell in _MARKS else cell for cell in cells]


def _listing(path: Path) -> str:
    if not path.parent.is_dir():
        return "does not exist either"
    found = sorted(p.name for p in path.parent.iterdir() if is_table(p))
    return f"has {', '.join(found[:8])}" if found else "has no table"


def _check_names(names: Sequence[str], path: Path) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        shown = ", ".join(repr(name) for name in twice[:5])
        raise ValueError(
            f"'{path}' has more than one column called {shown}. Expected every name once: rename them in the header."
        )
    numbers = [name.replace(".", "", 1).lstrip("+-").isdecimal() for name in names]
    if all(numbers) and list(names) != [str(n) for n in range(len(names))]:
        raise ValueError(
            f"the first row of '{path}' holds numbers only ({', '.join(names[:4])}, ...). Expected the columns' names: write "
            f"them into a line above it."
        )
