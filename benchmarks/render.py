"""Write benchmarks/README.md from the results in benchmarks/results: no figure in it is typed by hand.

python benchmarks/render.py
"""

from functools import partial
from pathlib import Path

import cifar_section
import fault_sections
import numpy as np
import speed_sections as speed
from measuring import interval, load, where
from quality import page as quality

HERE = Path(__file__).parent
HEAD = """# What we measured

Each script prints ours, the alternative and the ratio from one interleaved run, and writes its results as JSON;
`python benchmarks/render.py` makes this page of them. The machines are shared and noisy: read the intervals.
"""


def overhead() -> list[str]:
    lines = [
        "## `fit` with Collect against `fit` (`fit_overhead.py`)",
        "",
        "Steady-state time per step, five snapshots written to disk included; aim: at most 1.02 on JAX, 1.05 elsewhere.",
        "The first epoch, with the one compilation that a schedule costs, is apart.",
        "",
        "| backend | model | plain step | Collect / fit, median | 95 % interval | pairs | first epoch, extra |",
        "|---|---|---|---|---|---|---|",
    ]
    for result in load("fit_overhead"):
        for name, r in result["results"].items():
            lines.append(
                f"| {result['environment']['backend']} | {name} | {r['step_us']:.0f} µs | {r['median']:.3f} | "
                f"{r['low']:.3f} to {r['high']:.3f} | {r['pairs']} | {r['rebuild_seconds']:+.2f} s |"
            )
    return [*lines, "", *(f"- {where(result)}" for result in load("fit_overhead")), ""]


# What each work was to reach, on the backend with the compiled programs; the best alternative is one for all.
PREDICT_AIMS = {
    ("MLP 25, 1,000 rows", "one predict call"): 1.2,
    ("CNN 16-32, 1,000 images", "ten single passes"): 1.0,
    ("MLP 512-512, 10,000 rows", "ONNX Runtime"): 1.0,
}


def prediction() -> list[str]:
    lines = [
        "## Ten members predicted and averaged (`predict.py`)",
        "",
        "Medians, warm, NumPy in and NumPy out; the ratio is the median within repetitions, with its 95 % interval. The best",
        "alternative is the fastest of programs written by hand and of the ways that were not chosen; a single pass is one",
        "compiled forward pass of all rows, on the device; of ONNX Runtime the fastest of one graph, ten sessions and a session",
        "for each core.",
        "",
        "| backend | work | `Ensemble.predict` | against | its time | ours / it | aim |",
        "|---|---|---|---|---|---|---|",
    ]
    results = load("predict")
    for result in results:
        for work, r in result["results"].items():
            ours = f"{r['milliseconds']['Ensemble.predict'][0]:.2f} ms, {r['chosen']}"
            for against, it in r["against"].items():
                middle, low, high = it["ratio"]
                aim = 1.05 if against == "best alternative" else PREDICT_AIMS.get((work, against))
                if result["environment"]["backend"] != "jax" and against != "best alternative":
                    aim = None
                who = f"{against}: {it['way']}" if it["way"] else against
                met = "" if aim is None else f"≤ {aim:g}: {'met' if middle <= aim else 'not met'}"
                lines.append(
                    f"| {result['environment']['backend']} | {work} | {ours} | {who} | {it['milliseconds']:.2f} ms | "
                    f"{middle:.2f} ({low:.2f} to {high:.2f}) | {met} |"
                )
    lines.append("")
    for result in results:
        speeds = "; ".join(f"{work}: {r['rows_per_second']:,.0f}" for work, r in result["results"].items())
        e = result["environment"]
        lines.append(f"- Rows × members per second, {e['backend']} on {e['device']}: {speeds}.")
    return [*lines, *(f"- {where(result)}" for result in results), ""]


def averaging_overhead() -> list[str]:
    lines = [
        "## An average of all steps, beside `fit` (`averaging_overhead.py`)",
        "",
        "`fit` with `mm.Ema(0.999)` against plain `fit`, per step, first epoch left out; and the same average in a callback.",
        "On torch that callback makes `fit` faster: Keras passes the logs of each batch to another thread as long as no callback",
        "has a hook at the end of batches, and there the thread costs more: an empty hook alone gives 0.91 (four turns, MLP).",
        "",
        "| backend | model | average | plain step | with / without, median | 95 % interval |",
        "|---|---|---|---|---|---|",
    ]
    results = load("averaging_overhead")
    for result in results:
        for name, ways in result["results"].items():
            for way, r in ways.items():
                lines.append(
                    f"| {result['environment']['backend']} | {name} | {way} | {r['step_us']:.0f} µs | {r['median']:.3f} | "
                    f"{r['low']:.3f} to {r['high']:.3f} |"
                )
    return [*lines, "", *(f"- {where(result)}" for result in results), ""]


def average_from_disk() -> list[str]:
    (result,) = load("average_from_disk")
    lines = [
        "## Members on disk averaged (`averaging.py`)",
        "",
        f"{result['members']} snapshots of {result['parameters']:,} parameters, in the page cache; aim: at most 2 × reading and",
        f"hashing the same bytes. Only manyminima checks what it reads. Its memory: {result['peak_models']:.2f} models at most.",
        "",
        "| | seconds, median | × reading and hashing (smallest to largest) |",
        "|---|---|---|",
    ]
    for way, r in result["results"].items():
        lines.append(f"| {way} | {r['seconds']:.2f} | {r['ratio']:.2f} ({r['low']:.2f} to {r['high']:.2f}) |")
    return [*lines, "", f"- {where(result)}", ""]


def coefficients() -> list[str]:
    (result,) = load("coefficients")
    size = f"{result['members']} members × {result['examples']:,} examples × {result['classes']} classes"
    lines = [
        "## Coefficients fitted to held-out predictions (`coefficients.py`)",
        "",
        f"{size}, log loss over the simplex; aim: under a second, and at least 20 × faster than SciPy's SLSQP on the arrays",
        "as a user would write it. Given the labels' probabilities alone, and a gradient, SLSQP is the faster one; it gives no",
        "certificate, and stops above the optimum. Our time holds all checks of the arrays.",
        "",
        "| | milliseconds, median (smallest to largest) | × ours | above our loss, at most | gap, at most |",
        "|---|---|---|---|---|",
    ]
    for name, r in result["results"].items():
        time, low, high = r["milliseconds"]
        gaps = f"{r['worse_by']:.0e} | {r['largest_gap']:.0e}"
        lines.append(f"| {name} | {time:.1f} ({low:.1f} to {high:.1f}) | {r['ratio'][0]:.1f} | {gaps} |")
    return [*lines, "", f"- {where(result)}", ""]


def fashion() -> list[str]:
    return [
        "## Fashion-MNIST: five cycles against one (`fashion_mnist.py`)",
        "",
        "`zoo.cnn` (49,026 parameters), 10 epochs, batch 128, SGD momentum 0.9, peak 0.1; no tuning.",
        *by_seed("fashion_mnist", "single run, one cycle"),
    ]


def fashion_averages() -> list[str]:
    return [
        "## Fashion-MNIST: averages of weights (`fashion_averages.py`)",
        "",
        "A convolutional network with BatchNormalization (33,882 parameters), 10 epochs, batch 128, SGD momentum 0.9, peak 0.1;",
        "SWA from 75 % on at a fifth of the peak, EMA with decay 0.998, all of the same length; no tuning.",
        *by_seed("fashion_averages", "single run, one cosine cycle"),
    ]


def by_seed(name: str, reference: str) -> list[str]:
    (result,) = load(name)
    seeds = result["seeds"]
    lines = [
        f"Means over {len(seeds)} seeds on the 10,000 test images; differences are paired by seed, with Student's 95 % interval.",
        "",
        "| | error, % | NLL, nats | error − single run | NLL − single run |",
        "|---|---|---|---|---|",
    ]
    told_apart = []
    for way in seeds[0]:
        cells = [f"{np.mean([s[way][key] for s in seeds]):.{digits}f}" for key, digits in (("error", 2), ("nll", 4))]
        for key, digits in (("error", 2), ("nll", 4)):
            mean, low, high = interval([s[way][key] - s[reference][key] for s in seeds])
            cells.append("" if way == reference else f"{mean:+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})")
            told_apart += [f"{key} of {way}"] if low > 0 or high < 0 else []
        lines.append(f"| {way} | {' | '.join(cells)} |")
    verdict = f"Told apart from the single run: {', '.join(told_apart) or 'nothing; every interval contains zero'}."
    return [*lines, "", verdict, "", f"- {where(result)}", ""]


SPEED = (partial(speed.how_good, PREDICT_AIMS), speed.blobs, speed.engine, speed.mnist1d, speed.writing, speed.gpu)
OTHERS = (overhead, averaging_overhead, prediction, average_from_disk, coefficients, fashion, fashion_averages)
FAULTS = (fault_sections.faults, fault_sections.soak)
SECTIONS = (*SPEED, *OTHERS, quality.section, cifar_section.cifar, *FAULTS)

if __name__ == "__main__":
    (HERE / "README.md").write_text("\n".join([HEAD, *(line for section in SECTIONS for line in section())]))
