"""What averages of weights and of predictions are worth, in words and as a table."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from manyminima.reporting import words

__all__ = ["barrier", "notes", "renderable", "rows"]

_ROUNDING = 1e-5


def renderable(averages: Mapping[str, Any]) -> Group:
    """Tables of the scores against n, one for each metric, for a rich console.

    Args:
        averages: single, weights, predictions and refreshed, as of `AverageScores`.
    """
    parts: list[RenderableType] = []
    for metric in averages["single"]:
        table = Table(
            title=f"{words.heading(metric)} of the newest n members", title_justify="left", title_style="bold",
            box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, collapse_padding=True,
        )  # fmt: skip
        head, body = rows(averages, metric)
        for i, name in enumerate(head):
            table.add_column(name, justify="right" if i else "left")
        for cells in body:
            table.add_row(*cells)
        parts += [table, Text()]
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
        name = words.facts(metric).title
        if len(single) == 1:
            said.append(f"{name}: one member, so there is nothing to average.")
            continue
        by_weights, by_predictions = (averages[part][metric]["equal"][-1] for part in ("weights", "predictions"))
        which, better, worse = "weights", by_weights, by_predictions
        if _worse(metric, by_weights, by_predictions):
            which, better, worse = "predictions", by_predictions, by_weights
        size = words.difference(metric, abs(better - worse))
        start = f"{name}: with all {len(single)} members at equal shares, averag"
        if any(digit in size for digit in "123456789"):
            scores = f"{words.score(metric, better)} against {words.amount(metric, worse)}"
            said.append(f"{start}ing {which} is better by {size} on these rows ({scores}).")
        else:
            said.append(
                f"{start}es of weights and of predictions both score {words.amount(metric, better)} on these rows."
            )
    if found := barrier(averages):
        said.append(found)
    if averages["refreshed"] is not None:
        anew = "computed anew for each average of weights."
        kept = "averaged as well, and belong to no network: pass training data for a fair comparison."
        said.append(f"Statistics of BatchNormalization are {anew if averages['refreshed'] else kept}")
    return said


def barrier(averages: Mapping[str, Any], kind: str = "equal") -> str:
    """A sentence if the average of all members' weights has a loss above every member's, else "".

    The newest member with its own statistics of BatchNormalization computed anew counts as a member, too: what those alone
    change is no barrier.

    Args:
        averages: single, weights, predictions and refreshed, as of `AverageScores`.
        kind: of coefficients.

    >>> found = {"single": {"nll": [0.2, 0.3]}, "weights": {"nll": {"equal": [0.2, 1.5]}}}
    >>> barrier(found)
    "A loss barrier lies between the members: the average of all 2 members' weights has NLL 1.5000 nats, they 0.2000 to 0.3000."
    """
    metric = next(name for name in averages["single"] if name in ("nll", "squared_error"))
    newest, mean = averages["weights"][metric][kind][0], averages["weights"][metric][kind][-1]
    single = [*averages["single"][metric], newest]
    if not mean > max(single) * (1 + _ROUNDING):
        return ""
    ends = " to ".join(words.score(metric, end) for end in (min(single), max(single)))
    return (
        f"A loss barrier lies between the members: the average of all {len(single) - 1} members' weights has "
        f"{words.facts(metric).label} {words.amount(metric, mean)}, they {ends}."
    )


def _worse(metric: str, one: float, other: float) -> bool:
    return one < other if words.facts(metric).better == "higher" else one > other
