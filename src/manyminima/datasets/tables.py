"""From a table with a target column to arrays that are split and encoded, and from a run's record of it to other rows.

The file is read three times, in chunks: for the target, which the split is stratified by; for what the training rows'
columns hold; and to fill the arrays. What is in memory is these arrays, 4 bytes a cell of a used column, and one chunk.
"""

import difflib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from manyminima.datasets.columns import NUMBERS, Column, Tally
from manyminima.datasets.records import Chunk, Table, open_table
from manyminima.datasets.splitting import fifths
from manyminima.datasets.targets import LEAST, Target, read_target

_CARRIED = ("id", "text", "count", "dropped")


class Split(NamedTuple):
    """A table in parts, (inputs, labels) by name, what is predicted, and what a run keeps of the columns."""

    parts: dict[str, tuple[np.ndarray, np.ndarray]]
    target: Target
    facts: dict[str, Any]


class Encoded(NamedTuple):
    """Some rows as a model takes them.

    Args:
        x: (rows, columns) float32.
        carried: cells of columns that tell rows apart and that no model gets.
        unknown: for each column of categories, words that its vocabulary does not have.
        gaps: missing cells of columns that had none in the training rows.
    """

    x: np.ndarray
    carried: dict[str, list[str]]
    unknown: dict[str, Counter[str]]
    gaps: Counter[str]


def read(path: Path, target: str | None, *, drop: Sequence[str] = (), task: str | None = None, seed: int = 0) -> Split:
    """Read, split 60/20/20 and encode a table; the columns' meaning comes from the training rows alone.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: no such column, labels that are missing or too few, or columns that cannot be used; see `columns`.
    """
    table = open_table(path)
    _check_target(table, target)
    for name in drop:
        _check_name(table, name, "--drop")
    goal, y = read_target(table, str(target), task)
    if len(y) < LEAST:
        raise ValueError(f"'{path}' has {len(y)} rows. Expected at least {LEAST} to split off a part: add rows.")
    rows = fifths(np.zeros(len(y), int) if goal.task == "regression" else y, ["val", "test"], seed)
    columns = _columns(table, goal.name, rows["train"], len(y), drop)
    x = _filled(table, columns, rows, len(y))
    columns = _fitted(columns, x["train"], path)
    parts = {part: (x[part], y[at]) for part, at in rows.items()}
    goal = goal.fitted(parts["train"][1])
    return Split(parts, goal, {"target": goal.to_json(), "columns": [column.to_json() for column in columns]})


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
        x = np.stack([column.encode(cells, chunk.first, self.table.path) for column, cells in used], axis=1)
        unknown = {column.name: found for column, cells in used if (found := column.unknown(cells))}
        gaps = Counter({c.name: cells.count("") for c, cells in used if c.kind in NUMBERS and not c.missing})
        carried = dict(zip(self.carried, chunk.columns[len(used) :], strict=True))
        return Encoded(x, carried, unknown, +gaps)

    def labelled(self, target: Target) -> tuple[np.ndarray, np.ndarray]:
        """Return all rows and their labels.

        Raises:
            ValueError: there is no such column, or a label is missing or unknown.
        """
        _check_target(self.table, target.name)
        y = [target.encode(c.columns[0], c.first, self.table.path) for c in self.table.chunks([target.name])]
        return np.concatenate([chunk.x for chunk in self.encoded()]), np.concatenate(y)


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
        raise ValueError(_lacks(path, missing, ignored))
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
        at = np.flatnonzero(training[chunk.first - 1 :][: len(chunk.columns[0])])
        for tally, cells in zip(tallies, chunk.columns, strict=True):
            tally.add([cells[i] for i in at], at + chunk.first)
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
    part_of, place = np.empty(total, np.int8), np.empty(total, np.int64)
    for number, at in enumerate(rows.values()):
        part_of[at], place[at] = number, np.arange(len(at))
    for chunk in table.chunks([column.name for column in used]):
        here = slice(chunk.first - 1, chunk.first - 1 + len(chunk.columns[0]))
        masks = [(part, part_of[here] == number) for number, part in enumerate(rows)]
        for j, (column, cells) in enumerate(zip(used, chunk.columns, strict=True)):
            values = column.encode(cells, chunk.first, table.path)
            for part, mask in masks:
                x[part][place[here][mask], j] = values[mask]
    return x


def _fitted(columns: list[Column], x: np.ndarray, path: Path) -> list[Column]:
    used = iter(range(x.shape[1]))
    return [column.fitted(x[:, next(used)], path) if column.used else column for column in columns]


def _check_target(table: Table, target: str | None) -> None:
    if target is None:
        raise ValueError(
            f"'{table.path}' is a table, and which of its columns is to be predicted was not said. It has {_shown(table.names)}. "
            f"Name one: --target {table.names[-1]!r}."
        )
    _check_name(table, target, "--target")


def _check_name(table: Table, name: str, option: str) -> None:
    if name not in table.names:
        close = difflib.get_close_matches(name, table.names, n=1) or [
            n for n in table.names if n.lower() == name.lower()
        ]
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(
            f"'{table.path}' has no column {name!r}.{hint} It has {_shown(table.names)}. Name one of these: {option} "
            f"{(close or table.names)[0]!r}."
        )


def _lacks(path: Path, missing: list[str], ignored: list[str]) -> str:
    extra = f"; it has {_shown(ignored)}, which the run does not know" if ignored else ""
    close = [(name, difflib.get_close_matches(name, ignored, n=1)) for name in missing]
    hints = [f"{found[0]!r} for {name!r}" for name, found in close if found]
    hint = f" Did you mean {', '.join(hints[:5])}?" if hints else ""
    return (
        f"'{path}' has no column {_shown(missing)}, which the run was trained on{extra}.{hint} Expected the same names in the "
        f"header, in any order: add or rename the columns."
    )


def _shown(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names[:20]) + (f", and {len(names) - 20} more" if len(names) > 20 else "")
