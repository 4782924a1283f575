"""A study as text and as a page."""

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from manyminima import plots
from manyminima.comparison import verdict
from manyminima.comparison.results import Row
from manyminima.reporting.drawing import COLUMN, Picture, svg
from manyminima.reporting.page import render

if TYPE_CHECKING:
    from manyminima.comparison.studying import Study

__all__ = ["fragment", "page", "renderable"]

_MARKS = {"better": "✓", "worse": "✗", "unclear": " "}
_NAME = 23  # characters of a method's name in a line
_OPEN = 0.025  # share of draws beyond the largest ensemble above which the interval's upper end is open


@dataclass(frozen=True)
class _Fitting:
    """A table as it is where that fits, else with names in lines and each interval below its mean."""

    title: str
    head: list[str]
    body: list[list[str]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        wide = _table(self.title, self.head, self.body)
        fits = Measurement.get(console, options.update(max_width=1000), wide).maximum <= options.max_width
        body = [[_lines(name), *map(_broken, cells)] for name, *cells in self.body]
        yield wide if fits else _table(self.title, self.head, body)


def _lines(name: str) -> str:
    """A method's name in lines of a width, broken where its options are apart."""
    return textwrap.fill(name.replace(",", ", "), _NAME, break_long_words=False, break_on_hyphens=False)


def _broken(cell: str) -> str:
    """Put an interval below its mean, beside which the mark stays."""
    mean, plus_minus, half = cell.partition(" ± ")
    half, _, mark = half.partition(" ")
    return f"{mean} {mark or ' '}\n± {half}  " if plus_minus else cell


def _table(title: str, head: list[str], body: list[list[str]]) -> Table:
    table = Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False
    )
    table.collapse_padding = True
    for column, name in enumerate(head):
        cells = [row[column] for row in body]
        longest = max(len(part) for text in (*cells, *name.replace(" ↓", "").split()) for part in text.split("\n"))
        table.add_column(name, justify="right" if column else "left", min_width=longest, no_wrap=not column)
    for cells in body:
        table.add_row(*map(Text, cells))
    return table


def renderable(study: "Study") -> Group:
    """The study for a rich console."""
    parts: list[RenderableType] = [Text(study.headline, style="bold"), Text()]
    for title, (head, body) in _tables(study):
        parts += [_Fitting(title, head, body), Text()]
    return Group(*parts, *(Text(line) for line in (*study.notes, _cost(study))))


def _cost(study: "Study") -> str:
    taken, best = verdict.duration(study.about["seconds"]), study.winner
    what = f"the best, {best.name}" if best is not study.rows[0] else "an ordinary run, with its best peak"
    return f"To train {what}: {best.recipe}, {best.epochs} epochs. The study took {taken}."


def _tables(study: "Study"):
    yield "Means over the seeds", _means(study)
    yield "Differences from the single run of the same seed, ± 95%; ✓ better, ✗ worse", _differences(study)
    if any(row.equivalent for row in study.rows):
        yield "Worth how many independent nets, with the 95% interval", _worths(study)


def _means(study: "Study") -> tuple[list[str], list[list[str]]]:
    names = list(study.rows[0].scores)
    head = ["", "peak", "models", *(f"{verdict.label(name)} ↓" for name in names)]
    body = [[row.name, f"{row.peak:g}", str(row.models), *(_mean(row, name) for name in names)] for row in study.rows]
    return head, body


def _mean(row: Row, metric: str) -> str:
    return "diverged" if row.failed else verdict.amount(metric, row.mean(metric))


def _worths(study: "Study") -> tuple[list[str], list[list[str]]]:
    body = [[row.name, *_worth(row)] for row in study.rows if row.equivalent is not None]
    return ["", "nets ↑", "lowest", "highest"], body


def _worth(row: Row) -> list[str]:
    """The deep-ensemble equivalent, never without its interval."""
    found: Any = row.equivalent
    more = "+" if found.capped_share > _OPEN else ""
    return [f"{found.value:.1f}", f"{found.low:.1f}", f"{found.high:.1f}{more}"]


def _differences(study: "Study") -> tuple[list[str], list[list[str]]]:
    names = list(study.rows[0].scores)
    body = [[row.name, *(_difference(row, name) for name in names)] for row in study.rows[1:]]
    return ["", *(f"{verdict.label(name)} ↓" for name in names)], body


def _difference(row: Row, metric: str) -> str:
    if row.failed:
        return "diverged"
    mean, half = verdict.plus_minus(metric, row.differences[metric])
    return f"{mean} ± {half} {_MARKS[row.differences[metric].outcome]}".rstrip()


def page(study: "Study") -> str:
    """The study as a page of its own."""
    return render("study_page.html.j2", **_context(study))


def fragment(study: "Study") -> str:
    """The study as a part of somebody else's page."""
    return render("study.html.j2", **_context(study))


def _context(study: "Study") -> dict:
    return {
        "study": study,
        "tables": list(_tables(study)),
        "pictures": [
            _forest(study, metric) for metric in study.rows[0].scores if not all(r.failed for r in study.rows[1:])
        ],
        "facts": _facts(study),
        "next": _cost(study),
    }


def _forest(study: "Study", metric: str) -> Picture:
    others = [row for row in study.rows[1:] if not row.failed]
    found = [row.differences[metric] for row in others]
    scale, unit = (100, " (points)") if metric in ("error", "ece") else (1, "")
    label = verdict.label(metric)
    alt = f"{label}: differences from the single run. " + " ".join(
        f"{row.name} {verdict.amount(metric, d.mean, sign=True)}, 95% {verdict.amount(metric, d.low, sign=True)} to "
        f"{verdict.amount(metric, d.high, sign=True)}."
        for row, d in zip(others, found, strict=True)
    )
    draw = partial(
        _drawn,
        [_lines(row.name) for row in others],
        *(scale * np.array([getattr(d, part) for d in found]) for part in ("mean", "low", "high")),
        label=label + unit,
    )
    size = (COLUMN[0], 1.2 + 0.38 * len(others))
    caption = (
        f"{label}: each method minus the single run of the same seed, with 95% intervals; arrows point further away."
    )
    return Picture(svg(draw, size), alt, caption)


def _drawn(*numbers: Any, label: str) -> Any:
    """The plot without what its caption says."""
    ax = plots.forest(*numbers, label=label)
    ax.set_title("", loc="left")
    ax.set_ylabel("")
    return ax


def _facts(study: "Study") -> list[tuple[str, str]]:
    about = study.about
    rows = ", ".join(f"{count:,} {part}" for part, count in about["data"]["rows"].items())
    model = about["model"]
    return [
        ("data", f"{about['data']['source']}: {rows} rows"),
        ("model", f"{model['name']}, {model['parameters']:,} parameters, {model['optimizer']}"),
        ("budget", f"{about['epochs']} epochs at batch {about['batch_size']}, {about['seeds']} seeds"),
        ("time", verdict.duration(about["seconds"])),
        ("peaks", ", ".join(f"{peak:g}" for peak in about["peaks"])),
        ("versions", ", ".join(f"{name} {version}" for name, version in about["versions"].items())),
    ]
