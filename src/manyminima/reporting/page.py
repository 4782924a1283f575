"""The report as HTML: one page that needs no other file, in light and dark, on paper and on a phone."""

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from io import StringIO
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from manyminima import plots
from manyminima.plots import sizes
from manyminima.reporting import about, averages, words
from manyminima.reporting.report import Report

INK = "#24292f"
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


def _render(template: str, report: Report) -> str:
    environment = Environment(
        loader=PackageLoader("manyminima.reporting", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template(template).render(
        report=report,
        words=words,
        facts=about.lines(report.about),
        pictures=_pictures(report),
        averages=_averages(report),
    )


def _pictures(report: Report) -> list[Picture]:
    pictures = [_sizes(report, name) for name in report.by_size] if len(report.members) > 1 else []
    curve = report.about.get("lr_curve")
    if not curve or not len(curve["steps"]):
        return pictures
    return [*pictures, _rate(curve, report.about.get("collect") or [])]


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
    return Picture(_svg(partial(plots.averages, single, weights, predictions, facts)), alt, caption)


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
    return Picture(_svg(partial(sizes.size_curves, orders["newest"], orders["oldest"], alone, facts)), alt, caption)


def _rate(curve: dict[str, Any], collected: list[int]) -> Picture:
    rates = curve["rates"]
    alt = (
        f"Learning rate over {len(rates):,} points, from {min(rates):.3g} to {max(rates):.3g}, with "
        f"{len(collected)} members collected after steps {', '.join(map(str, collected))}."
    )
    caption = "Learning rate of each step. A dot marks a collected member, at the rate of the last batch it has seen."
    return Picture(_svg(partial(plots.learning_rate, curve["steps"], rates, collected)), alt, caption)


def _svg(draw: Callable[[], Any]) -> str:
    """The drawing as a data URI, in ink that follows the reader's light or dark theme."""
    from matplotlib import rc_context

    with rc_context(_STYLE):
        file = StringIO()
        draw().figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor").replace("<defs>", f"{_THEME}<defs>", 1)
    return "data:image/svg+xml;base64," + b64encode(svg.encode()).decode()
