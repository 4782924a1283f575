"""The report as HTML: one page that needs no other file, in light and dark, on paper and on a phone."""

import warnings
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from io import StringIO
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from manyminima import plots
from manyminima.plots import doubt as doubt_plots
from manyminima.plots import pairs as pairs_plots
from manyminima.plots import sizes
from manyminima.reporting import about, averages, differ, doubt, trust, words
from manyminima.reporting.report import Report

INK = "#24292f"
_LONGEST_NAME = 13
_STYLE: dict[Any, Any] = {
    "font.family": ["sans-serif"],
    "font.size": 10,
    "svg.fonttype": "none",
    "svg.hashsalt": "manyminima",
    **{f"{part}.color": INK for part in ("text", "xtick", "ytick")},
    **{f"axes.{part}color": INK for part in ("edge", "label", "title")},
}
_THEME = (
    "<style>svg{color:#24292f}text{font-family:system-ui,sans-serif!important}"
    "@media(prefers-color-scheme:dark){svg{color:#d5dae0}}</style>"
)


@dataclass(frozen=True)
class Picture:
    """A picture inside the page: its `src`, what it shows in words, and its caption."""

    source: str
    alt: str
    caption: str


def whole(report: Report) -> str:
    """The report as a page of its own."""
    return _render("page.html.j2", report)


def fragment(report: Report) -> str:
    """The report as a part of somebody else's page, a notebook above all."""
    return _render("body.html.j2", report)


def render(template: str, **context: Any) -> str:
    """A template of this folder, filled in; whatever is not marked as safe is escaped."""
    environment = Environment(
        loader=PackageLoader("manyminima.reporting", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template(template).render(**context)


def _render(template: str, report: Report) -> str:
    return render(
        template,
        report=report,
        words=words,
        differ=differ,
        facts=about.lines(report.about),
        pictures=_pictures(report),
        averages=_averages(report),
        trust=_trust(report),
    )


def _pictures(report: Report) -> list[Picture]:
    pictures = [_sizes(report, name) for name in report.by_size] if len(report.members) > 1 else []
    curve = report.about.get("lr_curve")
    if not curve or not len(curve["steps"]):
        return pictures
    return [*pictures, _rate(curve, report.about.get("collect") or [])]


def _trust(report: Report) -> dict[str, Any]:
    """Tables, sentences and pictures on what was fitted, what to ship, and what the ensemble is unsure of."""
    return {
        "coefficients": trust.coefficients(report),
        "rows": trust.mixed_rows(report.mixed),
        "ways": trust.ways(report),
        "ship": trust.ship(report),
        "doubts": trust.doubts(report.doubt),
        "least_sure": trust.least_sure(report.doubt, doubt.SHOWN),
        "risk": _risk(report.doubt) if report.doubt and report.doubt.errors else None,
        "images": _images(report) if report.images and report.doubt else None,
        "pairs": _pairs(report) if report.disagreement else None,
    }


def _risk(found: doubt.Doubt) -> Picture:
    alt = (
        f"Error against the share of examples answered, surest first: {found.risk[0]:.2%} for the surest, "
        f"{found.risk[-1]:.2%} for all; area {found.area:.4f}."
    )
    caption = "Errors among the surest share of the examples. The dashed line is the error of all of them."
    return Picture(svg(partial(plots.risk_coverage, list(found.coverage), list(found.risk))), alt, caption)


def _images(report: Report) -> Picture:
    assert report.doubt is not None
    captions = [
        f"{_short(e.label)}, taken for\n{_short(e.predicted)} ({e.probability:.2f})" for e in report.doubt.examples
    ]
    alt = "The inputs of the least sure examples: " + "; ".join(one.replace("\n", " ") for one in captions) + "."
    caption = "What each is, and what the ensemble takes it for, with its probability."
    return Picture(svg(partial(doubt_plots.images, report.images, captions)), alt, caption)


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def _pairs(report: Report) -> Picture:
    matrix = np.array(report.disagreement)
    pairs = matrix[np.triu_indices(len(matrix), 1)]
    alt = (
        f"Share of rows on which two members predict different classes, for each pair of {len(matrix)} members: from "
        f"{pairs.min():.2%} to {pairs.max():.2%}."
    )
    return Picture(
        svg(partial(pairs_plots.disagreement_map, matrix)), alt, "How often two members predict different classes."
    )


def _averages(report: Report) -> dict[str, Any] | None:
    """Pictures, tables and sentences on averages of weights; None if there are none."""
    if not report.averages:
        return None
    found = report.averages
    return {
        "metrics": [(name, _average(found, name), averages.rows(found, name)) for name in found["single"]],
        "notes": averages.notes(found),
    }


def _average(found: dict[str, Any], name: str) -> Picture:
    facts = words.facts(name)
    single, weights, predictions = (found[part][name] for part in ("single", "weights", "predictions"))
    alone, by_weights, by_predictions = (
        words.amount(name, one) for one in (single[0], weights["equal"][-1], predictions["equal"][-1])
    )
    alt = (
        f"{facts.title} against the number of newest members: {alone} for the newest alone, {by_weights} for the mean of all "
        f"{len(single)} members' weights, {by_predictions} for the mean of their predictions; {facts.better} is better."
    )
    caption = (
        f"{facts.title} of one model with the newest n members' mean weights, and of the mean of their predictions."
    )
    return Picture(svg(partial(plots.averages, single, weights, predictions, facts)), alt, caption)


def _sizes(report: Report, name: str) -> Picture:
    orders, facts = report.by_size[name], words.facts(name)
    alone = [member.scores[name] for member in report.members]
    newest, oldest, whole_ensemble = (
        words.amount(name, score) for score in (orders["newest"][0], orders["oldest"][0], orders["newest"][-1])
    )
    alt = (
        f"{facts.title} against ensemble size: {newest} for the newest member, {oldest} for the oldest, {whole_ensemble} "
        f"for all {len(alone)} combined; {facts.better} is better."
    )
    caption = f"{facts.title} of the mean of n members, newest first and oldest first, and of each member alone."
    return Picture(svg(partial(sizes.size_curves, orders["newest"], orders["oldest"], alone, facts)), alt, caption)


def _rate(curve: dict[str, Any], collected: list[int]) -> Picture:
    rates = curve["rates"]
    alt = (
        f"Learning rate over {len(rates):,} points, from {min(rates):.3g} to {max(rates):.3g}, with "
        f"{len(collected)} members collected after steps {', '.join(map(str, collected))}."
    )
    caption = "Learning rate of each step. A dot marks a collected member, at the rate of the last batch it has seen."
    return Picture(svg(partial(plots.learning_rate, curve["steps"], rates, collected)), alt, caption)


def svg(draw: Callable[[], Any]) -> str:
    """The drawing as a data URI, in ink that follows the reader's light or dark theme."""
    from matplotlib import rc_context

    with rc_context(_STYLE), warnings.catch_warnings():
        # The reader's fonts show the text, whatever glyphs Matplotlib's own font lacks.
        warnings.filterwarnings("ignore", "Glyph", UserWarning)
        file = StringIO()
        draw().figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor").replace("<defs>", f"{_THEME}<defs>", 1)
    return "data:image/svg+xml;base64," + b64encode(svg.encode()).decode()
