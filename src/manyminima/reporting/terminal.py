"""The report as text: one table of scores, the verdict above it, what was run below."""

import shutil
from io import StringIO
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from manyminima.reporting import about, averages, differ, trust, words
from manyminima.reporting.report import Report, Scores

_WIDEST = 110
_EXAMPLES = 5


def text(report: Report) -> str:
    """The report as plain text, as wide as the terminal and no wider than can be read."""
    return as_text(renderable(report))


def as_text(content: RenderableType) -> str:
    """What a rich console would show, as plain text."""
    width = min(shutil.get_terminal_size((_WIDEST, 24)).columns, _WIDEST)
    console = Console(file=StringIO(), width=width, color_system=None, legacy_windows=False)
    with console.capture() as capture:
        console.print(content)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def renderable(report: Report) -> Group:
    """The report for a rich console."""
    parts: list[RenderableType] = [Text(report.verdict.headline, style="bold"), Text()]
    if report.verdict.sentences:
        parts += [*(_bullet(sentence) for sentence in report.verdict.sentences), Text()]
    parts.append(_scores(report))
    parts += _trust(report)
    if report.diversity:
        parts += [Text("Between members: " + "; ".join(differ.sentences(report.diversity)) + "."), Text()]
    if len(report.members) > 1:
        parts.append(_sizes(report))
    if report.averages:
        parts += [averages.renderable(report.averages), Text()]
    parts += [Text(note) for note in report.verdict.notes]
    facts = about.lines(report.about)
    if facts:
        parts += [Text(), _facts(facts)]
    return Group(*parts)


def _trust(report: Report) -> list[RenderableType]:
    """What was fitted, what to ship, and what the ensemble is unsure of."""
    parts: list[RenderableType] = []
    fitted = trust.coefficients(report)
    if fitted:
        shares = ", ".join(f"{label} {share}" for label, share in fitted.rows)
        parts += [Text(fitted.title, style="bold"), *map(_bullet, (f"Coefficients: {shares}.", *fitted.notes)), Text()]
    ways = trust.ways(report)
    if ways:
        goals = [f"{goal[0].upper()}{goal[1:]}: {text}." for goal, text in trust.ship(report)]
        parts += [
            Text("What to ship", style="bold"),
            *map(_bullet, goals),
            Text(),
            _texts(ways),
            Text(ways.notes[0]),
            Text(),
        ]
    parts += [*map(Text, trust.doubts(report.doubt)), Text()] if report.doubt else []
    examples = trust.least_sure(report.doubt, _EXAMPLES)
    return [*parts, _texts(examples), Text()] if examples else parts


def _texts(content: trust.TextTable) -> Table:
    table = _table(content.title, show_edge=False, collapse_padding=True)
    for column, name in enumerate(content.head):
        if column:  # heads break into lines, numbers do not
            widest = max(len(row[column]) for row in content.rows)
            longest = max(map(len, name.split(" ")))
            table.add_column(name, justify="right", min_width=widest, max_width=max(widest, longest))
        else:
            table.add_column(name)
    for row in content.rows:
        table.add_row(*map(Text, row))
    return table


def _bullet(sentence: str) -> Table:
    row = Table.grid(padding=(0, 1))
    row.add_row("·", Text(sentence))
    return row


def _table(title: str, **options: Any) -> Table:
    return Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False, **options)


def _scores(report: Report) -> Table:
    table = _table(f"Scores on {words.examples(report.examples, report.rows)}, {report.task}")
    table.add_column("")
    for name in report.ensemble:
        table.add_column(words.heading(name), justify="right")
    for member in report.members:
        table.add_row(Text(member.label), *_cells(member.scores))
    if len(report.members) > 1:
        table.add_section()
        table.add_row("members, mean", *_cells(report.average))
        table.add_row("± standard deviation", *_cells(report.deviation))
        table.add_section()
        table.add_row(f"ensemble of {len(report.members)}", *_cells(report.ensemble), style="bold")
        for name, found in trust.mixed_rows(report.mixed):
            table.add_row(Text(name), *_cells(found))
    return table


def _sizes(report: Report) -> Table:
    sizes = words.some_sizes(len(report.members))
    table = _table("Score of the mean of n members")
    table.add_column("n")
    for size in sizes:
        table.add_column(str(size), justify="right")
    for name, orders in report.by_size.items():
        for order, scores in orders.items():
            cells = (words.score(name, scores[size - 1]) for size in sizes)
            table.add_row(f"{words.heading(name)}, {order} first", *cells)
    return table


def _facts(facts: list[tuple[str, str]]) -> Padding:
    table = Table.grid(padding=(0, 2))
    for name, value in facts:
        table.add_row(Text(name), Text(value))
    return Padding(table, 0)


def _cells(scores: Scores) -> list[str]:
    return [words.score(name, value) for name, value in scores.items()]
