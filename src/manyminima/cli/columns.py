"""What `manyminima train` shows of a table before it trains: each column, what it holds, and whether it is used."""

from collections.abc import Mapping, Sequence
from typing import Any

_SHOWN = 20
_UNUSED = {
    "constant": "one value only",
    "count": "counts the rows",
    "id": "another text in every row",
    "text": "a text that differs from row to row",
    "dropped": "left out by --drop",
}


def shown_columns(contract: Mapping[str, Any]):
    """Return the table of a run's columns, the target first.

    Args:
        contract: of a data set that is a table.
    """
    from rich.table import Column, Table

    target, columns = contract["table"]["target"], contract["table"]["columns"]
    table = Table(Column("column", overflow="fold"), "holds", "", box=None, header_style="bold", pad_edge=False)
    table.add_row(_plain(target["name"]), "target", _plain(_target(target, contract["classes"])))
    for column in columns[:_SHOWN]:
        used = column["kind"] not in _UNUSED
        kind = column["kind"] if used else "not used"
        table.add_row(_plain(column["name"] or "(no name)"), kind, _plain(_text(column)), style=None if used else "dim")
    if len(columns) > _SHOWN:
        rest = columns[_SHOWN:]
        unused = sum(column["kind"] in _UNUSED for column in rest)
        table.add_row(f"... and {len(rest)} more", "", f"{unused} of them not used", style="dim")
    return table


def _target(target: Mapping[str, Any], classes: Sequence[str]) -> str:
    if target["task"] == "regression":
        return f"mean {target['mean']:.4g}, standard deviation {target['deviation']:.4g}; losses are shares of its variance"
    return f"{len(classes)} classes: {_listed(classes)}"


def _text(column: Mapping[str, Any]) -> str:
    missing = f", {column['missing']:,} missing" if column["missing"] else ""
    if column["kind"] in _UNUSED:
        return _UNUSED[column["kind"]]
    if column["kind"] == "category":
        words = [word or "(missing)" for word in column["categories"]]
        rare = (column["distinct"] or 0) - sum(bool(word) for word in column["categories"])
        return f"{len(words)}: {_listed(words)}{f', and {rare} rare' if rare else ''}"
    if column["kind"] == "boolean":
        return f"true or false{missing}"
    return f"median {column['center']:.4g}, standard deviation {column['variance'] ** 0.5:.4g}{missing}"


def _listed(words: Sequence[str]) -> str:
    return ", ".join(f"{word:.20}" for word in words[:4]) + (", ..." if len(words) > 4 else "")


def _plain(text: str):
    from rich.text import Text

    return Text(text)
