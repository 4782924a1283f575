"""The comparison as tables: the section of benchmarks/README.md, and the table of docs/quality.md."""

import json
from pathlib import Path
from typing import Any

from measuring import where

__all__ = ["section", "write_table"]

ROOT = Path(__file__).parents[2]
FROZEN = ROOT / "benchmarks" / "results" / "quality_frozen.json"
SCORED = ROOT / "benchmarks" / "results" / "quality.json"
AGAIN = ROOT / "benchmarks" / "results" / "quality_again.json"
PAGE = ROOT / "docs" / "quality.md"
_BEGIN, _END = "<!-- table: python -m quality page -->", "<!-- end of table -->"
_OPEN = 0.025  # share of draws beyond the largest ensemble above which the interval's upper end is open


def section() -> list[str]:
    """Lines for the page of all benchmarks: what was chosen, and what it is worth."""
    if not SCORED.exists():
        return []
    result = json.loads(SCORED.read_text())
    shown = ["one cosine cycle", "snapshot, 5 cycles", "fge, 6 cycles", *result["peers"], result["chosen"]]
    return [
        "## One budget of training, in independent nets (`python -m quality`)",
        "",
        "MNIST-1D, Conv1D of 5,210 parameters, 60 epochs for every method; everything chosen on validation rows, test rows",
        f"scored once. {_verdict(result)} {_verdict_again()}",
        "All ideas, those that failed too: [docs/quality.md](../docs/quality.md).",
        "",
        *_table(result, shown),
        "",
        f"- {where(result)}",
        "",
    ]


def write_table() -> None:
    """Put the table of all ideas into docs/quality.md, between its marks; before the test rows are scored, that of validation."""
    scored = SCORED.exists()
    result, text = json.loads((SCORED if scored else FROZEN).read_text()), PAGE.read_text()
    before, after = text.split(_BEGIN)[0], text.split(_END)[1]
    lines = (
        [*_scored(result), f"{_verdict(result)} {where(result)}."]
        if scored
        else [*_validated(result), f"{where(result)}."]
    )
    PAGE.write_text("\n".join([before + _BEGIN, "", *lines, "", _END + after]))


def _scored(result: dict[str, Any]) -> list[str]:
    every = {**result["ideas"], **result["peers"]}
    names = sorted(every, key=lambda name: (name not in result["found"], _order(result, every, name)))
    return [*_curves(result), "", *_table(result, names), "", *_again()]


def _again() -> list[str]:
    """The same nets on new signals, if they have been scored."""
    if not AGAIN.exists():
        return []
    result = json.loads(AGAIN.read_text())
    names = sorted(result["found"], key=lambda name: _order(result, result["ideas"], name))
    few = f" ({len(result['left_out'])} more ideas were not scored again)" if result["left_out"] else ""
    head = f"On {result['scored_rows']:,} new signals of the same generator, the same nets, scored once{few}:"
    return [head, "", *_curves(result), "", *_table(result, names), "", _verdict_again(), ""]


def _verdict_again() -> str:
    if not AGAIN.exists():
        return ""
    result = json.loads(AGAIN.read_text())
    return f"On {result['scored_rows']:,} new signals, scored once too: {_verdict(result)}"


def _validated(result: dict[str, Any]) -> list[str]:
    every = {**result["ideas"], **result["peers"]}
    lines = ["| | models | calibrated NLL, validation rows | of so many options | chosen |", "|---|---|---|---|---|"]
    for name in sorted(every, key=lambda name: every[name]["validation"][0]):
        idea = every[name]
        mean, error = idea["validation"]
        words = idea["words"] if "words" in idea else f"peak {idea['peak']:g}"
        lines.append(f"| {name} | {_models(idea, name)} | {mean:.4f} ± {error:.4f} | {idea['tried']} | {words} |")
    return ["The test rows have not been scored yet.", "", *lines, ""]


def _models(idea: dict[str, Any], name: str) -> str:
    return str(idea["members"]) if "members" in idea else "5" if "5 cycles" in name else "6"


def _order(result: dict[str, Any], every: dict[str, Any], name: str) -> float:
    found = result["found"].get(name)
    return found["means"]["calibrated_nll"][0] if found else every[name]["validation"][0]


_HEAD = ("", "models", "validation", "error, %", "calibrated NLL", "− single run", "worth nets", "worth averages")


def _table(result: dict[str, Any], names: list[str]) -> list[str]:
    rows = [_row(result, name) for name in names]
    return [f"| {' | '.join(_HEAD)} |", "|---" * len(_HEAD) + "|", *(f"| {' | '.join(row)} |" for row in rows)]


def _row(result: dict[str, Any], name: str) -> list[str]:
    idea = result["ideas"].get(name) or result["peers"][name]
    label = f"**{name}**" if name == result["chosen"] else name
    row, found = [label, _models(idea, name), f"{idea['validation'][0]:.4f}"], result["found"].get(name)
    if found is None:
        return [*row, *["–"] * (len(_HEAD) - len(row))]
    means, gap = found["means"], found["differences"]["calibrated_nll"]
    apart = "" if name == "one cosine cycle" else f"{gap[0]:+.4f} ({gap[1]:+.4f} to {gap[2]:+.4f})"
    row += [f"{means['error'][0]:.2f}", f"{means['calibrated_nll'][0]:.4f}", apart]
    return [*row, *(_worth(found[reference]) for reference in _REFERENCES)]


_REFERENCES = ("nets", "moving averages")


def _worth(found: dict[str, Any]) -> str:
    more = "+" if found["capped_share"] > _OPEN else ""
    return f"{found['value']:.1f} ({found['low']:.1f} to {found['high']:.1f}{more})"


def _verdict(result: dict[str, Any]) -> str:
    found = result["found"][result["chosen"]]
    nets, averages = found["nets"], found["moving averages"]
    return (
        f"The aim, the calibrated NLL of 4 fully trained nets: {_met(nets, 4)}; better than 2 nets that are moving averages: "
        f"{_met(averages, 2)}."
    )


def _met(found: dict[str, Any], aim: float) -> str:
    told, beyond = ("met", "below") if found["value"] >= aim else ("not met", "above")
    sure = found["low"] >= aim or found["high"] < aim
    return f"{told}, {_worth(found)}" + ("" if sure else f", not for certain: the interval reaches {beyond} {aim:g}")


def _curves(result: dict[str, Any]) -> list[str]:
    sizes = range(1, len(result["curves"]["nets"]) + 1)
    lines = [f"| calibrated NLL of so many nets | {' | '.join(map(str, sizes))} |", "|---" * (len(sizes) + 1) + "|"]
    labels = {"nets": "fully trained, one cosine cycle each", "moving averages": "moving averages of a constant rate"}
    return lines + [
        f"| {label} | {' | '.join(f'{v:.4f}' for v in result['curves'][name])} |" for name, label in labels.items()
    ]
