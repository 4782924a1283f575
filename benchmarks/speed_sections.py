"""The table that stands first in benchmarks/README.md, and the sections on training speed and on writing."""

from collections.abc import Iterator

import numpy as np
from measuring import load, where

__all__ = ["blobs", "engine", "gpu", "how_good", "mnist1d", "writing"]


def how_good(of_predictions: dict[tuple[str, str], float]) -> list[str]:
    """Every claim that a benchmark makes, with what was measured, met or not; those of predictions by work and peer."""
    lines = [
        "## How good",
        "",
        "Ratios of one interleaved run each, the median with the smallest and the largest (predictions: its 95 % interval);",
        "how and where is told below.",
        "",
        "| work | against | aim | measured | met |",
        "|---|---|---|---|---|",
    ]
    made = [claim for result in load("") for claim in result.get("claims", [])]
    for claim in [*made, *_predictions(of_predictions)]:
        met = "yes" if claim["met"] else "**no**"
        lines.append(f"| {claim['work']} | {claim['against']} | {claim['aim']} | {_measured(claim)} | {met} |")
    return [*lines, ""]


def _predictions(aims: dict[tuple[str, str], float]) -> Iterator[dict]:
    for result in load("predict_jax"):
        for (work, against), aim in aims.items():
            found = result["results"].get(work, {}).get("against", {}).get(against)
            if found:
                about = {
                    "work": f"ten members predicted, {work}",
                    "against": against,
                    "aim": f"≤ {aim:g} ×",
                    "unit": "×",
                }
                yield {**about, "measured": found["ratio"], "met": found["ratio"][0] <= aim}


def _measured(claim: dict) -> str:
    middle, low, high = (f"{value:.3g}" if value < 100 else f"{value:.0f}" for value in claim["measured"])
    return f"{middle} {claim['unit']} ({low} to {high})"


def blobs() -> list[str]:
    lines = []
    for result in load("blobs"):
        lines += [
            "## The tutorials' job, 150 times (`blobs.py`)",
            "",
            "500 epochs on 100 points, ten cycles, an MLP of 25 hidden units. 30 seeds × 5 recipes, each way in a process of its",
            "own, compilation included, imports not; ours does all 150 runs, the others three, scaled. The tutorials also judge",
            "1,000 test rows after each epoch, which ours does not: that is a row of its own, and no claim. Then one run in a",
            "process that has trained the same architecture before.",
            "",
            "| | seconds, median | smallest to largest | × ours |",
            "|---|---|---|---|",
        ]
        for part, title in (("job", "150 runs"), ("second", "one run, the second")):
            seconds = result["results"][part]
            for name, values in seconds.items():
                ratio = np.median(np.divide(values, seconds["manyminima"]))
                times = f"{np.median(values):.3g} | {min(values):.3g} to {max(values):.3g} | {ratio:.1f}"
                lines.append(f"| {title}: {name} | {times} |")
        lines += ["", f"- {where(result)}", ""]
    return lines


def engine() -> list[str]:
    lines = []
    for result in load("engine"):
        lines += [
            "## `mm.train` against `fit`, other networks (`engine.py`)",
            "",
            "scikit-learn's digits; compilation included. All replicas together, against `fit` one after the other (two runs,",
            "scaled); then one replica alone, first as the first run of its process, which traces the step besides compiling it,",
            "and as the second, which needs neither. Medians; ratios with the smallest and the largest.",
            "",
            "| | ours, s | fit, s | fit / ours | one alone, the first | the second |",
            "|---|---|---|---|---|---|",
        ]
        for name, found in result["results"].items():
            seconds = " | ".join(f"{np.median(values):.2f}" for values in zip(*found["together"], strict=True))
            times = [[theirs / ours for ours, theirs in pairs] for pairs in found.values()]
            told = " | ".join(f"{np.median(t):.2f} ({min(t):.2f} to {max(t):.2f})" for t in times)
            lines.append(f"| {name} | {seconds} | {told} |")
        lines += ["", f"- {where(result)}", ""]
    return lines


def mnist1d() -> list[str]:
    lines = []
    for result in load("mnist1d"):
        limit = result["limit"]
        lines += [
            "## MNIST-1D, 8 seeds of 60 epochs (`mnist1d.py`)",
            "",
            "The published Conv1D network of 5,210 parameters, batch 100, 3,200 rows; compilation included.",
            f"The arithmetic limit is {limit['seconds']:.2f} s: {limit['operations'] / 1e9:,.0f} · 10⁹ operations, as the",
            f"compiler counts them, at the {limit['per_second'] / 1e9:.0f} · 10⁹ per second of a large matrix product here.",
            "",
            "| | seconds, median | smallest to largest | × the limit |",
            "|---|---|---|---|",
        ]
        for name, values in result["results"].items():
            middle = np.median(values)
            times = f"{middle:.1f} | {min(values):.1f} to {max(values):.1f} | {middle / limit['seconds']:.1f}"
            lines.append(f"| {name} | {times} |")
        lines += ["", f"- {where(result)}", ""]
    return lines


def writing() -> list[str]:
    results = load("writing")
    if not results:
        return []
    lines = [
        "## 20 MB of weights saved after each epoch (`writing.py`)",
        "",
        "Training stands still while callbacks run at an epoch's end; ours copies the weights and writes them behind training.",
        "The epochs are those beside it: what writing takes from training in all.",
        "",
        "| backend | | stands still, ms | an epoch, ms |",
        "|---|---|---|---|",
    ]
    for result in results:
        for name, values in result["results"].items():
            cells = " | ".join(
                f"{1e3 * np.median(values[key]):.1f} ({1e3 * min(values[key]):.1f} to {1e3 * max(values[key]):.1f})"
                for key in ("stall", "epoch")
            )
            lines.append(f"| {result['environment']['backend']} | {name} | {cells} |")
    return [*lines, "", *(f"- {where(result)}" for result in results), ""]


def gpu() -> list[str]:
    lines = []
    for result in load("gpu"):
        e = result["environment"]
        lines += [
            "## A thousand replicas on an accelerator (`gpu.py`)",
            "",
            f"{e['replicas']:,} replicas in one program on {e['device']};",
            f"the peak is the {e['peak'] / 1e12:.1f} TFLOP/s of a large product.",
            "",
            "| | rows per second | share of the peak | first run, s | the longer run, s |",
            "|---|---|---|---|---|",
        ]
        for name, r in result["results"].items():
            share = 100 * r["operations_per_second"] / e["peak"]
            lines.append(
                f"| {name} | {r['rows_per_second']:,.0f} | {share:.2f} % | {r['first']:.1f} | {r['long']:.1f} |"
            )
        lines += ["", f"- {where(result)}", ""]
    return lines
