"""From a table with a target column to arrays that are split and encoded, and from a run's record of it to other rows.

The file is read three times, in chunks: for the target, which the split is stratified by; for what the training rows'
columns hold; and to fill the arrays. What is in memory is these arrays, 4 bytes a cell of a used column, 16 bytes a row for its
label and its part, and one chunk. Whether that fits is asked at the first chunk.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from manyminima.datasets.columns import NUMBERS, Column, Tally
from manyminima.datasets.limiting import kept_rows
from manyminima.datasets.naming import check_name, check_target, lacks, no_labels
from manyminima.datasets.records import Chunk, Piece, Table, open_table
from manyminima.datasets.room import available, check_room
from manyminima.datasets.splitting import fifths
from manyminima.datasets.targets import LEAST, Target, read_target

_CARRIED = ("id", "text", "count", "dropped")


class Split(NamedTuple):
    """A table in parts, (inputs, labels) by name, what is predicted, and what a run keeps of the columns.

    `limit` is that on the training rows, None where it left all.
    """

    parts: dict[str, tuple[np.ndarray, np.ndarray]]
    target: Target
    facts: dict[str, Any]
    limit: int | None


class Encoded(NamedTuple):
    """Some rows as a model takes them.

    Args:
        x: (rows, columns) float32.
        carried: cells of columns that tell rows apart and that no model gets.
        unknown: for each column of categories, words that its vocabulary does not have.
        gaps: missing cells of columns that had none in the training rows.
        share: what has been read of the file by then, 0..1.
    """

    x: np.ndarray
    carried: dict[str, list[str]]
    unknown: dict[str, Counter[str]]
    gaps: Counter[str]
    share: float


@dataclass(frozen=True)
class Wanted:
    """What is asked of a table.

    Args:
        target: the column that is to be predicted.
        drop: columns that are left out.
        task: "multiclass" or "regression"; None: what the target holds.
        seed: of the split.
        limit: at most so many training rows.
    """

    target: str | None
    drop: Sequence[str] = ()
    task: str | None = None
    seed: int = 0
    limit: int | None = None


def read(path: Path, wanted: Wanted, progress: Callable[[str, float], Any] | None = None) -> Split:
    """Read, split 60/20/20 and encode a table; the columns' meaning comes from the training rows alone.

    Args:
        path: of the file.
        wanted: what is to be made of it.
        progress: called with what is being done, and the share of the whole that is, 0..1.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: no such column, labels that are missing or too few, columns that cannot be used (see `columns`), or more rows
            than fit into memory.
    """
    table = open_table(path)
    check_target(table, wanted.target)
    for name in wanted.drop:
        check_name(table, name, "--drop")
    first, second, third = (_told(table, progress, n) for n in range(3))
    goal, y = read_target(_roomy(first, wanted), str(wanted.target), wanted.task)
    if len(y) < LEAST:
        raise ValueError(f"'{path}' has {len(y)} rows. Expected at least {LEAST} to split off a part: add rows.")
    rows = fifths(np.zeros(len(y), int) if goal.task == "regression" else y, ["val", "test"], wanted.seed)
    columns = _columns(second, goal.name, rows["train"], len(y), wanted.drop)
    limit = None if wanted.limit is None or wanted.limit >= len(rows["train"]) else wanted.limit
    if limit is not None:
        kept = kept_rows({part: y[rows[part]] for part in ("train", "val")}, len(goal.classes), limit, wanted.seed)
        rows |= {part: rows[part][places] for part, places in kept.items()}
    x = _filled(third, columns, rows, len(y))
    columns = _fitted(columns, x["train"], path, limit)
    parts = {part: (x[part], y[at]) for part, at in rows.items()}
    goal = goal.fitted(parts["train"][1])
    return Split(parts, goal, {"target": goal.to_json(), "columns": [column.to_json() for column in columns]}, limit)


def _told(table: Table, progress: Callable[[str, float], Any] | None, reading: int) -> Table:
    """Return the table, which tells of its three readings as one."""
    what = f"reading {table.path.name}"
    return table if progress is None else table.telling(lambda share: progress(what, (reading + share) / 3))


def _roomy(table: Table, wanted: Wanted) -> Table:
    """Return the table, which counts on from its first chunk how many rows there are, and whether they fit into memory."""
    columns = len(set(table.names) - {wanted.target, *wanted.drop})

    def read(places: Sequence[int]) -> Iterator[Piece]:
        for number, piece in enumerate(table.read(places)):
            if number == 0:
                check_room(table.path, len(piece.columns[0]) / piece.share, columns, wanted.limit, available())
            yield piece

    return replace(table, read=read)


@dataclass(frozen=True)
class Rows:
    """The rows of another table, checked to have the columns that a run was trained on, in any order.

    Args:
        table: where they are.
        columns: that the model gets, in its order.
        carried: names of columns that tell rows apart.
        ignored: names of columns that the run has never seen.
    """

    table: Table
    columns: list[Column]
    carried: list[str]
    ignored: list[str]

    def encoded(self, unknown: str = "other") -> Iterator[Encoded]:
        """Yield all rows, chunk by chunk, in the order of the file.

        Args:
            unknown: "other" counts words that the vocabulary does not have, "error" raises a ValueError at the first one.
        """
        names = [column.name for column in self.columns]
        for chunk in self.table.chunks(names + self.carried):
            if unknown == "error":
                self._check_words(chunk)
            yield self._encoded(chunk)

    def _check_words(self, chunk: Chunk) -> None:
        for column, cells in zip(self.columns, chunk.columns, strict=False):
            for word in column.unknown(cells):
                raise ValueError(
                    f"row {chunk.first + cells.index(word)} below the header of '{self.table.path}' has {word!r:.60} in column "
                    f"{column.name!r}, which the training rows did not have, or only once. Correct the cell, or take such words "
                    f"as unknown: --unknown other."
                )

    def _encoded(self, chunk: Chunk) -> Encoded:
        used = list(zip(self.columns, chunk.columns, strict=False))
        x = _encoded(self.columns, chunk, self.table.path)
        unknown = {column.name: found for column, cells in used if (found := column.unknown(cells))}
        gaps = Counter({c.name: cells.count("") for c, cells in used if c.kind in NUMBERS and not c.missing})
        carried = dict(zip(self.carried, chunk.columns[len(used) :], strict=True))
        return Encoded(x, carried, unknown, +gaps, chunk.share)

    def labelled(
        self, target: Target, progress: Callable[[str, float], Any] | None = None
    ) -> tuple[np.ndarray, np.ndarray, Counter[str]]:
        """Return all rows, their labels, and for each column how many cells hold words that its vocabulary does not have.

        Args:
            target: what the labels are, and in which column.
            progress: called with what is being done, and the share of it that is, 0..1.

        Raises:
            ValueError: there is no such column, or a label is missing or unknown.
        """
        path, x, y, unknown = self.table.path, [], [], Counter()
        if target.name not in self.table.names:
            raise ValueError(no_labels(self.table, target.name, self.ignored))
        for chunk in self.table.chunks([*(column.name for column in self.columns), target.name]):
            x.append(_encoded(self.columns, chunk, path))
            y.append(target.encode(chunk.columns[-1], chunk.first, path))
            for column, cells in zip(self.columns, chunk.columns, strict=False):
                unknown[column.name] += column.unknown(cells).total()
            if progress is not None:
                progress(f"reading {path.name}", chunk.share)
        return np.concatenate(x), np.concatenate(y), +unknown


def open_rows(path: Path, facts: Mapping[str, Any]) -> Rows:
    """Open a table for a run that keeps these facts about its own.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: columns that the run was trained on are missing; the message names them, and what is there instead.
    """
    table = open_table(path)
    columns, target = recorded(facts)
    known = {column.name for column in columns} | {target.name}
    ignored = [name for name in table.names if name not in known]
    used = [column for column in columns if column.used]
    missing = [column.name for column in used if column.name not in table.names]
    if missing:
        raise ValueError(lacks(path, missing, ignored))
    carried = [column.name for column in columns if column.kind in _CARRIED and column.name in table.names]
    return Rows(table, used, carried, ignored)


def recorded(facts: Mapping[str, Any], classes: Sequence[str] = ()) -> tuple[list[Column], Target]:
    """Return the columns and the target that a run keeps.

    Raises:
        ValueError: what it keeps is damaged.
    """
    try:
        columns = [Column.from_json(column) for column in facts["columns"]]
        return columns, Target(**facts["target"], classes=tuple(classes))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f"what the run keeps about its table is damaged ({error!r:.100}). Restore run.json from a copy, or train again."
        ) from error


def dropped(columns: Sequence[Column]) -> list[str]:
    """Return the columns that a user left out."""
    return [column.name for column in columns if column.kind == "dropped"]


def _columns(table: Table, target: str, train: np.ndarray, rows: int, drop: Sequence[str]) -> list[Column]:
    names = [name for name in table.names if name != target and name not in drop]
    if not names:
        raise ValueError(
            f"'{table.path}' has no column but the target {target!r}. Expected columns to predict it from."
        )
    tallies = [Tally(name) for name in names]
    training = np.zeros(rows, bool)
    training[train] = True
    for chunk in table.chunks(names):
        mask = training[chunk.first - 1 :][: len(chunk.columns[0])]
        at = np.flatnonzero(mask) + chunk.first
        for tally, cells in zip(tallies, chunk.columns, strict=True):
            tally.add([*compress(cells, mask.tolist())], at)
    found = {tally.name: tally.column(table.path) for tally in tallies}
    columns = [found.get(name, Column(name, "dropped")) for name in table.names if name != target]
    if not any(column.used for column in columns):
        kinds = ", ".join(f"{column.name!r} ({column.kind})" for column in columns[:10])
        raise ValueError(
            f"no column of '{table.path}' can be used: {kinds}. Expected numbers, true or false, or categories."
        )
    return columns


def _filled(table: Table, columns: list[Column], rows: dict[str, np.ndarray], total: int) -> dict[str, np.ndarray]:
    """Return the parts' inputs, filled chunk by chunk: beside them no copy of the table is in memory."""
    used = [column for column in columns if column.used]
    x = {part: np.empty((len(at), len(used)), np.float32) for part, at in rows.items()}
    part_of, filled = np.full(total, -1, np.int8), dict.fromkeys(rows, 0)
    for number, at in enumerate(rows.values()):
        part_of[at] = number
    for chunk in table.chunks([column.name for column in used]):
        here = part_of[chunk.first - 1 :][: len(chunk.columns[0])]
        values = _encoded(used, chunk, table.path)
        for number, part in enumerate(rows):  # whose rows rise
            found = values[here == number]
            x[part][filled[part] :][: len(found)] = found
            filled[part] += len(found)
    return x


def _encoded(columns: Sequence[Column], chunk: Chunk, path: Path) -> np.ndarray:
    """Return the cells of a chunk's first columns as numbers, (rows, columns) float32."""
    values = np.empty((len(chunk.columns[0]), len(columns)), np.float32)
    for j, column in enumerate(columns):
        values[:, j] = column.encode(chunk.columns[j], chunk.first, path)
    return values


def _fitted(columns: list[Column], x: np.ndarray, path: Path, limit: int | None) -> list[Column]:
    used = iter(x.T)
    return [_of_values(column, next(used), path, limit) if column.used else column for column in columns]


def _of_values(column: Column, values: np.ndarray, path: Path, limit: int | None) -> Column:
    if limit is not None and column.kind in NUMBERS:
        there = values[~np.isnan(values)]
        if not np.any(there != there[:1]):  # only rows that the limit leaves out differ
            return replace(column, center=float(there[0]) if len(there) else 0.0)
    return column.fitted(values, path)
