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
    """The head and the cells of the table for one metric: for each number of members, alone and each kind of average."""
    single, weights, predictions = (averages[part][metric] for part in ("single", "weights", "predictions"))
    lines = {"n-th newest alone": single}
    lines |= {f"weights, {kind}": scores for kind, scores in weights.items()}
    lines |= {f"predictions, {kind}": scores for kind, scores in predictions.items()}
    sizes = words.some_sizes(len(single))
    body = [[name, *(words.score(metric, scores[n - 1]) for n in sizes)] for name, scores in lines.items()]
    return ["n", *map(str, sizes)], body


def notes(averages: Mapping[str, Any]) -> list[str]:
    """What the numbers say with all members at equal shares, and what they rest on."""
    said = []
    for metric, single in averages["single"].items():
        by_weights, by_predictions = (averages[part][metric]["equal"][-1] for part in ("weights", "predictions"))
        gain = by_predictions - by_weights if words.facts(metric).better == "higher" else by_weights - by_predictions
        better, size = "predictions" if gain > 0 else "weights", words.difference(metric, abs(gain))
        shown = f"averaging {better} is better by {size}" if any(c in size for c in "123456789") else "no difference"
        said.append(f"{words.facts(metric).title}: with all {len(single)} members, {shown} on these rows.")
    if averages["refreshed"] is not None:
        anew = "computed anew for each average of weights."
        kept = "averaged as well, and belong to no network: pass training data for a fair comparison."
        said.append(f"Statistics of BatchNormalization are {anew if averages['refreshed'] else kept}")
    return said
