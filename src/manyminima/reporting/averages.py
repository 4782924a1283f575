"""What averages of weights and of predictions are worth, in words and as a table."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from manyminima.reporting import words

__all__ = ["notes", "renderable", "rows"]


def renderable(averages: Mapping[str, Any]) -> Group:
    """Tables of the scores against n, one for each metric, for a rich console.

    Args:
        averages: single, weights, predictions and refreshed, as of `AverageScores`.
    """
    parts: list[RenderableType] = []
    for metric in averages["single"]:
        table = Table(
            title=f"{words.heading(metric)} of the newest n members", title_justify="left", title_style="bold",
            box=box.SIMPLE_HEAD, pad_edge=False,
        )  # fmt: skip
        head, body = rows(averages, metric)
        for i, name in enumerate(head):
            table.add_column(name, justify="right" if i else "left")
        for cells in body:
            table.add_row(*cells)
        parts.append(table)
    return Group(*parts, *(Text(note) for note in notes(averages)))


def rows(averages: Mapping[str, Any], metric: str) -> tuple[list[str], list[list[str]]]:
    """The head and the cells of the table for one metric: n, the n-th newest member alone, then each kind of average."""
    single, weights, predictions = (averages[part][metric] for part in ("single", "weights", "predictions"))
    head = [
        "n",
        "n-th alone",
        *(f"weights, {kind}" for kind in weights),
        *(f"predictions, {kind}" for kind in predictions),
    ]
    columns = [single, *weights.values(), *predictions.values()]
    sizes = words.some_sizes(len(single))
    return head, [[str(n), *(words.score(metric, column[n - 1]) for column in columns)] for n in sizes]


def notes(averages: Mapping[str, Any]) -> list[str]:
    """What the numbers say with all members at equal shares, and what they rest on."""
    said = []
    for metric, single in averages["single"].items():
        by_weights, by_predictions = (averages[part][metric]["equal"][-1] for part in ("weights", "predictions"))
        gain = by_predictions - by_weights if words.facts(metric).better == "higher" else by_weights - by_predictions
        better = "predictions" if gain > 0 else "weights"
        size = (
            "no difference" if gain == 0 else f"averaging {better} is better by {words.difference(metric, abs(gain))}"
        )
        said.append(f"{words.facts(metric).title}: with all {len(single)} members, {size} on these rows.")
    if averages["refreshed"] is not None:
        how = "computed anew for each average of weights" if averages["refreshed"] else (
            "those of the average, which belong to no network: pass training data for a fair comparison"
        )  # fmt: skip
        said.append(f"Statistics of BatchNormalization are {how}.")
    return said
