"""The report as HTML: one page that needs no other file, in light and dark, on paper and on a phone."""

from typing import Any

from manyminima.reporting import about, averages, curves, differ, doubt, pictures, reproduce, trust, words
from manyminima.reporting.drawing import Picture
from manyminima.reporting.report import Report
from manyminima.reporting.templates import templates

__all__ = ["fragment", "render", "whole"]

_VERSIONS = "versions"


def whole(report: Report) -> str:
    """The report as a page of its own."""
    return _render("page.html.j2", report)


def fragment(report: Report) -> str:
    """The report as a part of somebody else's page, a notebook above all."""
    return _render("body.html.j2", report)


def render(template: str, **context: Any) -> str:
    """A template of this folder, filled in; whatever is not marked as safe is escaped."""
    return templates(autoescape=True).get_template(template).render(**context)


def _render(template: str, report: Report) -> str:
    facts = about.lines(report.about)
    return render(
        template,
        report=report,
        words=words,
        differ=differ,
        facts=[(name, text) for name, text in facts if name != _VERSIONS],
        versions=about.versions(report.about),
        training=_training(report.about),
        sizes=[pictures.size(report, name) for name in report.by_size] if len(report.members) > 1 else [],
        pairs=_pairs(report),
        averages=_averages(report),
        trust=_trust(report),
        again=_again(report.about),
    )


def _training(known: dict[str, Any]) -> list[Picture]:
    """The learning rate and the learning curves, as far as a run recorded them."""
    rates = known.get("lr_curve")
    drawn = [pictures.rate(rates, known.get("collect") or [])] if rates and len(rates["steps"]) else []
    return [*drawn, *map(pictures.curve, curves.learning_curves(known))]


def _pairs(report: Report) -> list[Picture]:
    drawn = [pictures.correlation(report)] if report.correlation else []
    return [*drawn, pictures.disagreement(report)] if report.disagreement else drawn


def _trust(report: Report) -> dict[str, Any]:
    """Tables, sentences and pictures on what was fitted, what to ship, and what the ensemble is unsure of."""
    return {
        "coefficients": trust.coefficients(report),
        "rows": trust.mixed_rows(report.mixed),
        "ways": trust.ways(report),
        "ship": trust.ship(report),
        "doubts": trust.doubts(report.doubt),
        "sureness": _sureness(report),
        "confusion": pictures.confusion(report.confusion) if report.confusion and report.confusion.classes else None,
        "against": pictures.against(report.against) if report.against else None,
        "confused": trust.confused(report.confusion),
        "least_sure": trust.least_sure(report.doubt, doubt.SHOWN),
        "images": pictures.least_sure(report),
    }


def _sureness(report: Report) -> list[Picture]:
    drawn = [pictures.reliability(report.reliability)] if report.reliability else []
    return [*drawn, pictures.risk(report.doubt)] if report.doubt and report.doubt.errors else drawn


def _averages(report: Report) -> dict[str, Any] | None:
    """Pictures, tables and sentences on averages of weights; None if there are none."""
    if not report.averages:
        return None
    found = report.averages
    return {
        "metrics": [(name, pictures.average(found, name), averages.rows(found, name)) for name in found["single"]],
        "notes": averages.notes(found),
    }


def _again(known: dict[str, Any]) -> dict[str, str | None] | None:
    """The command and the program that repeat the run; None where nothing is known of one."""
    return {"command": reproduce.command(known), "program": reproduce.program(known)} if known.get("recipe") else None
