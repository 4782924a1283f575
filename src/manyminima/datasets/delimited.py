"""CSV files as strangers write them: any usual delimiter, quotes, a mark of UTF-8 in front, and an error for the rest.

Lines without quotes are cut at their delimiters, many at once; Python's own `csv`, which takes twice as long, reads the others.
"""

import contextlib
import csv
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from manyminima.datasets.records import Piece, Table, rows_at_once

_DELIMITERS = (",", ";", "\t", "|")
_LOOKED_AT = 20
_OTHERS = {b"PK": "an Excel workbook or a zip", b"\xd0\xcf": "an old Excel workbook", b"\x1f\x8b": "compressed by gzip"}
_WIDE = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


def open_delimited(path: Path) -> Table:
    """Find out how a CSV is delimited, and return it as a table."""
    _check_bytes(path)
    delimiter = _delimiter(path)
    header = next(_rows(path, delimiter), None)
    names = tuple(name.strip() for name in header or ())
    if not any(names):
        where = "" if header is None else " in its first line"
        raise ValueError(f"'{path}' is empty{where}. Expected a header with the columns' names, and rows below it.")
    return Table(path, names, lambda wanted: _columns(path, delimiter, len(names), wanted))


def _check_bytes(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(2)
    if start in _OTHERS:
        raise ValueError(
            f"'{path}' is {_OTHERS[start]}, not text. Expected a CSV: unpack it, or save the sheet as CSV."
        )
    if start in _WIDE:
        raise ValueError(_reencode(path, f"is written in {_WIDE[start].upper()}", _WIDE[start]))


def _reencode(path: Path, what: str, encoding: str) -> str:
    return (
        f"'{path}' {what}. Expected UTF-8: type iconv -f {encoding} -t utf-8 '{path}' > '{path.stem}-utf8{path.suffix}', or "
        f"save it as CSV UTF-8."
    )


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    """Open a file with its line ends as they are; a byte that is not UTF-8 is an error that names its line."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            yield file
    except UnicodeDecodeError as error:
        raise ValueError(_reencode(path, f"is not UTF-8 ({_wrong_byte(path)})", "latin1")) from error


def _wrong_byte(path: Path) -> str:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                return f"byte 0x{line[error.start]:02x} in line {number}"
    return "at its end"


def _reader(lines: Any, delimiter: str) -> Any:
    return csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)


def _rows(path: Path, delimiter: str) -> Iterator[list[str]]:
    """Yield rows as they stand in the file; lines without anything are passed over."""
    with _opened(path) as file:
        reader = _reader(file, delimiter)
        with _named(path, reader, 0):
            yield from filter(None, reader)


@contextlib.contextmanager
def _named(path: Path, reader: Any, before: int) -> Iterator[None]:
    """Name the line of a quote that is wrong."""
    try:
        yield
    except csv.Error as error:
        raise ValueError(
            f"line {before + reader.line_num} of '{path}' cannot be read: {error}. Look for a quote that is not closed, or that "
            f"stands within a quoted cell: write it twice there."
        ) from error


def _delimiter(path: Path) -> str:
    """Return the delimiter by which the first rows have equally many cells, and most of them."""
    found = {delimiter: _widths(path, delimiter) for delimiter in _DELIMITERS}
    even = {delimiter: widths[0] for delimiter, widths in found.items() if len(set(widths)) == 1 and widths[0] > 1}
    first = {delimiter: widths[0] for delimiter, widths in found.items() if widths}
    candidates = even or first
    return max(candidates, key=lambda delimiter: candidates[delimiter], default=",")


def _widths(path: Path, delimiter: str) -> list[int]:
    widths = []
    try:
        for row in islice(_rows(path, delimiter), _LOOKED_AT):
            widths.append(len(row))
    except ValueError as error:
        if isinstance(error.__cause__, UnicodeDecodeError):
            raise
    return widths


def _columns(path: Path, delimiter: str, width: int, wanted: Sequence[int]) -> Iterator[Piece]:
    size, done, length = rows_at_once(width), 0, path.stat().st_size
    with _opened(path) as file:
        header = _reader(file, delimiter)
        next(filter(None, header))
        line = header.line_num
        while lines := list(islice(file, size)):
            quoted = '"' in "".join(lines)
            found = _quoted(path, file, lines, delimiter, line) if quoted else _plain(lines, delimiter)
            uneven = next((i for i, cells in enumerate(found.widths) if cells != width), None)
            if uneven is not None:
                raise ValueError(_ragged(path, done + uneven + 1, found.widths[uneven], width, delimiter))
            if found.widths:
                yield Piece([found.cells[place::width] for place in wanted], file.buffer.tell() / length)
            line, done = line + found.lines, done + len(found.widths)


class _Block(NamedTuple):
    """Rows one after the other: how many cells each has, the cells of all, and the lines that they took."""

    widths: list[int]
    cells: list[str]
    lines: int


def _plain(lines: list[str], delimiter: str) -> _Block:
    """Cut lines that have no quotes.

    >>> _plain(["1,2\\n", "\\n", "3,4\\r\\n"], ",")
    _Block(widths=[2, 2], cells=['1', '2', '3', '4'], lines=3)
    """
    filled = [row for line in lines if (row := line.rstrip("\r\n"))]
    return _Block([row.count(delimiter) + 1 for row in filled], delimiter.join(filled).split(delimiter), len(lines))


def _quoted(path: Path, file: TextIO, lines: list[str], delimiter: str, before: int) -> _Block:
    """Read the rows that begin in these lines; the last one may end further down in the file."""
    reader = _reader(chain(lines, file), delimiter)
    rows: list[list[str]] = []
    with _named(path, reader, before):
        while reader.line_num < len(lines):
            rows.append(next(reader))
    rows = [row for row in rows if row]
    return _Block([len(row) for row in rows], [*chain.from_iterable(rows)], reader.line_num)


def _ragged(path: Path, row: int, found: int, width: int, delimiter: str) -> str:
    name = {"\t": "tabs"}.get(delimiter, repr(delimiter))
    return (
        f"row {row} below the header of '{path}' has {found} cells, and the header has {width} (delimited by {name}). "
        f'Expected as many in each row: put cells with a delimiter in them into "quotes", and leave missing ones empty.'
    )
