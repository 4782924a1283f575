"""Parquet, Feather and Arrow files as tables of text, read batch by batch with pyarrow."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from manyminima.datasets.records import Piece, Table, rows_at_once


def open_arrow(path: Path) -> Table:
    """Return a Parquet, Feather or Arrow file as a table."""
    try:
        import pyarrow
        from pyarrow import ipc, parquet
    except ImportError as error:
        raise ImportError(
            f"'{path}' needs pyarrow, which is not installed. Type pip install \"manyminima[tables]\", or save the table as "
            f".csv."
        ) from error
    kind = "Parquet" if path.suffix.lower() == ".parquet" else "Arrow"
    try:
        if kind == "Parquet":
            with parquet.ParquetFile(path) as file:
                schema = file.schema_arrow
        else:
            with pyarrow.memory_map(str(path)) as file:
                schema = ipc.open_file(file).schema
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"'{path}' is no {kind} file ({_first_line(error)}). Write it again, or as .csv.") from error
    names = tuple(schema.names)
    batches = _parquet_batches if kind == "Parquet" else _arrow_batches
    return Table(path, names, lambda wanted: _columns(path, batches, [names[place] for place in wanted], len(names)))


def _columns(path: Path, batches: Any, wanted: Sequence[str], width: int) -> Iterator[Piece]:
    import pyarrow

    try:
        for batch, share in batches(path, wanted, rows_at_once(width)):
            yield Piece([_cells(batch.column(place), name, path) for place, name in enumerate(wanted)], share)
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"'{path}' is damaged ({_first_line(error)}). Copy or write it again.") from error


def _parquet_batches(path: Path, wanted: Sequence[str], size: int) -> Iterator[tuple[Any, float]]:
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        done = 0
        for batch in file.iter_batches(batch_size=size, columns=list(wanted)):
            if batch.num_rows:
                done += batch.num_rows
                yield batch.select(list(wanted)), done / file.metadata.num_rows


def _arrow_batches(path: Path, wanted: Sequence[str], size: int) -> Iterator[tuple[Any, float]]:
    import pyarrow
    from pyarrow import ipc

    with pyarrow.memory_map(str(path)) as file:
        reader = ipc.open_file(file)
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number).select(list(wanted))
            for first in range(0, batch.num_rows, size):
                share = min(1.0, (first + size) / batch.num_rows)
                yield batch.slice(first, size), (number + share) / reader.num_record_batches


def _cells(column: Any, name: str, path: Path) -> list[str]:
    import pyarrow

    try:
        return [cell or "" for cell in column.cast(pyarrow.string()).to_pylist()]
    except pyarrow.ArrowException as error:
        raise ValueError(
            f"column {name!r} of '{path}' is of type {column.type}. Expected numbers, text or booleans: make plain columns of "
            f"it, or leave it out with --drop."
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
