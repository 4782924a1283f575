"""A study as text and as a page."""

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from manyminima import plots
from manyminima.comparison import verdict
from manyminima.comparison.results import Row
from manyminima.reporting.drawing import Picture, svg
from manyminima.reporting.page import render

if TYPE_CHECKING:
    from manyminima.comparison.studying import Study

__all__ = ["fragment", "page", "renderable"]

_MARKS = {"better": "✓", "worse": "✗", "unclear": " "}
_OPEN = 0.025  # share of draws beyond the largest ensemble above which the interval's upper end is open


def renderable(study: "Study") -> Group:
    """The study for a rich console."""
    parts: list[RenderableType] = [Text(study.headline, style="bold"), Text()]
    for title, (head, body) in _tables(study):
        table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
        for column, name in enumerate(head):
            table.add_column(name, justify="right" if column else "left", no_wrap=not column)
        for cells in body:
            table.add_row(*map(Text, cells))
        parts += [table]
    return Group(*parts, *map(Text, study.notes))


def _tables(study: "Study"):
    yield "Means over the seeds", _means(study)
    yield "Differences from the single run of the same seed, ± 95%; ✓ better, ✗ worse", _differences(study)
    if any(row.equivalent for row in study.rows):
        yield "Worth how many independent nets, with the 95% interval", _worths(study)


def _means(study: "Study") -> tuple[list[str], list[list[str]]]:
    names = list(study.rows[0].scores)
    head = ["", "peak", "models", *(f"{verdict.label(name)} ↓" for name in names)]
    body = [
        [row.name, f"{row.peak:g}", str(row.models), *(verdict.amount(n, row.mean(n)) for n in names)]
        for row in study.rows
    ]
    return head, body


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
    found = row.differences[metric]
    if not np.isfinite(found.mean):
        return "diverged"
    mean = verdict.amount(metric, found.mean, sign=True).removesuffix(" points")
    half = verdict.amount(metric, (found.high - found.low) / 2).removesuffix("%")
    return f"{mean} ± {half} {_MARKS[found.outcome]}".rstrip()


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
        "pictures": [_forest(study, metric) for metric in study.rows[0].scores],
        "facts": _facts(study),
    }


def _forest(study: "Study", metric: str) -> Picture:
    others = [row for row in study.rows[1:] if not row.failed]
    found = [row.differences[metric] for row in others]
    arrays = ([d.mean for d in found], [d.low for d in found], [d.high for d in found])
    label = verdict.label(metric)
    alt = f"{label}: differences from the single run. " + " ".join(
        f"{row.name} {verdict.amount(metric, d.mean, sign=True)}, 95% {verdict.amount(metric, d.low, sign=True)} to "
        f"{verdict.amount(metric, d.high, sign=True)}."
        for row, d in zip(others, found, strict=True)
    )
    draw = partial(plots.forest, [row.name for row in others], *arrays, label=label)
    return Picture(
        svg(draw), alt, f"{label}: each method minus the single run of the same seed, with 95% intervals.", inches=7.0
    )


def _facts(study: "Study") -> list[tuple[str, str]]:
    about = study.about
    rows = ", ".join(f"{count:,} {part}" for part, count in about["data"]["rows"].items())
    model = about["model"]
    return [
        ("data", f"{about['data']['source']}: {rows} rows"),
        ("model", f"{model['name']}, {model['parameters']:,} parameters, {model['optimizer']}"),
        ("budget", f"{about['epochs']} epochs at batch {about['batch_size']}, {about['seeds']} seeds"),
        ("peaks", ", ".join(f"{peak:g}" for peak in about["peaks"])),
        ("versions", ", ".join(f"{name} {version}" for name, version in about["versions"].items())),
    ]
