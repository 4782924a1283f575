"""CSV files as strangers write them: any usual delimiter, quotes, a mark of UTF-8 in front, and an error for the rest."""

import csv
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from manyminima.datasets.records import Table, rows_at_once

_DELIMITERS = (",", ";", "\t", "|")
_LOOKED_AT = 20
_OTHERS = {b"PK": "an Excel workbook or a zip", b"\xd0\xcf": "an old Excel workbook", b"\x1f\x8b": "compressed by gzip"}
_WIDE = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


def open_delimited(path: Path) -> Table:
    """Find out how a CSV is delimited, and return it as a table."""
    _check_bytes(path)
    delimiter = _delimiter(path)
    header = next(_rows(path, delimiter), None)
    if header is None:
        raise ValueError(f"'{path}' is empty. Expected a header with the columns' names, and rows below it.")
    names = tuple(name.strip() for name in header)
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


def _rows(path: Path, delimiter: str) -> Iterator[list[str]]:
    """Yield rows as they stand in the file; lines without anything are passed over."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True, strict=True)
        try:
            yield from filter(None, reader)
        except UnicodeDecodeError as error:
            byte = f"byte 0x{error.object[error.start]:02x} after line {reader.line_num}"
            raise ValueError(_reencode(path, f"is not UTF-8 ({byte})", "latin1")) from error
        except csv.Error as error:
            raise ValueError(
                f"line {reader.line_num} of '{path}' cannot be read: {error}. Look for a quote that is not closed, or that "
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


def _columns(path: Path, delimiter: str, width: int, wanted: Sequence[int]) -> Iterator[list[Sequence[str]]]:
    rows = islice(_rows(path, delimiter), 1, None)
    size, done = rows_at_once(width), 0
    while block := list(islice(rows, size)):
        uneven = next((i for i, row in enumerate(block) if len(row) != width), None)
        if uneven is not None:
            raise ValueError(_ragged(path, done + uneven + 1, len(block[uneven]), width, delimiter))
        cells = list(zip(*block, strict=True))
        yield [cells[place] for place in wanted]
        done += len(block)


def _ragged(path: Path, row: int, found: int, width: int, delimiter: str) -> str:
    name = {"\t": "tabs"}.get(delimiter, repr(delimiter))
    return (
        f"row {row} below the header of '{path}' has {found} cells, and the header has {width} (delimited by {name}). "
        f'Expected as many in each row: put cells with a delimiter in them into "quotes", and leave missing ones empty.'
    )
