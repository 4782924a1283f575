"""A table's columns by their names, and what to type where one is not there."""

import difflib
from collections.abc import Sequence
from pathlib import Path

from manyminima.datasets.records import Table

__all__ = ["check_name", "check_target", "lacks", "no_labels", "shown"]


def check_target(table: Table, target: str | None) -> None:
    """Raise a ValueError unless a target was named, and the table has such a column."""
    if target is None:
        raise ValueError(
            f"'{table.path}' is a table, and which of its columns is to be predicted was not said. It has {shown(table.names)}. "
            f"Name one: --target {table.names[-1]!r}."
        )
    check_name(table, target, "--target")


def check_name(table: Table, name: str, option: str) -> None:
    """Raise a ValueError unless the table has such a column; `option` is what named it."""
    if name not in table.names:
        close = difflib.get_close_matches(name, table.names, n=1) or [
            n for n in table.names if n.lower() == name.lower()
        ]
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(
            f"'{table.path}' has no column {name!r}.{hint} It has {shown(table.names)}. Name one of these: {option} "
            f"{(close or table.names[-1:])[0]!r}."
        )


def no_labels(table: Table, name: str, others: Sequence[str]) -> str:
    """Say that there are no labels to judge by; `others` are columns that may have them."""
    close = difflib.get_close_matches(name, others, n=1) or others
    renamed = f"; where they are called something else, name them: --target {close[0]!r}" if others else ""
    return (
        f"'{table.path}' has no column {name!r}, which has the labels that rows are judged by. It has {shown(table.names)}. "
        f"Add the labels{renamed}. `manyminima predict` takes rows without."
    )


def lacks(path: Path, missing: list[str], ignored: list[str]) -> str:
    """Say which columns of a run are missing in a table, and which of those that it does not know may be meant."""
    extra = f"; it has {shown(ignored)}, which the run does not know" if ignored else ""
    close = [(name, difflib.get_close_matches(name, ignored, n=1)) for name in missing]
    hints = [f"{found[0]!r} for {name!r}" for name, found in close if found]
    hint = f" Did you mean {', '.join(hints[:5])}?" if hints else ""
    return (
        f"'{path}' has no column {shown(missing)}, which the run was trained on{extra}.{hint} Expected the same names in the "
        f"header, in any order: add or rename the columns."
    )


def shown(names: Sequence[str]) -> str:
    """Return names as they may stand in a sentence, twenty at most."""
    return ", ".join(repr(name) for name in names[:20]) + (f", and {len(names) - 20} more" if len(names) > 20 else "")
