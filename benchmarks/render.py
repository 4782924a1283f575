"""Write benchmarks/README.md from the results in benchmarks/results: no figure in it is typed by hand.

python benchmarks/render.py
"""

import json
from pathlib import Path

import numpy as np
from measuring import interval

HERE = Path(__file__).parent
HEAD = """# What we measured

Each script prints ours, the alternative and the ratio from one interleaved run, and writes its results as JSON;
`python benchmarks/render.py` makes this page of them. The machines are shared and noisy: read the intervals.
"""


def where(result: dict) -> str:
    e = result["environment"]
    skip = ("date", "machine", "python", "backend", "numpy")
    versions = ", ".join(f"{k} {v}" for k, v in e.items() if k not in skip)
    return f"{e['date']}, {e['machine']}, Python {e['python']}, {versions}"


def load(name: str) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted((HERE / "results").glob(f"{name}*.json"))]


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


def prediction() -> list[str]:
    lines = [
        "## Ten members predicted (`predict.py`)",
        "",
        "Milliseconds, median; aim: ten small members at least 5 × faster than ten `model.predict` calls.",
        "In bold what the static rule chooses.",
        "",
        "| backend | work | ten `predict` calls | stacked | mapped | looped | faster by (smallest to largest) |",
        "|---|---|---|---|---|---|---|",
    ]
    for result in load("predict"):
        for name, r in result["results"].items():
            cells = []
            for column in ("ten predict calls", "stacked", "mapped", "looped"):
                value = r["milliseconds"].get(column)
                text = f"{value[0]:.1f}" if value else "–"
                cells.append(f"**{text}**" if column == r["chosen"] else text)
            ratio = "{:.1f} × ({:.1f} to {:.1f})".format(*r["ratio"])
            lines.append(f"| {result['environment']['backend']} | {name} | {' | '.join(cells)} | {ratio} |")
    return [*lines, "", *(f"- {where(result)}" for result in load("predict")), ""]


def fashion() -> list[str]:
    (result,) = load("fashion_mnist")
    seeds = result["seeds"]
    lines = [
        "## Fashion-MNIST: five cycles against one (`fashion_mnist.py`)",
        "",
        f"`zoo.cnn` (49,026 parameters), 10 epochs, batch 128, SGD momentum 0.9, peak 0.1, {len(seeds)} seeds; no tuning.",
        "Means over seeds on the 10,000 test images; differences are paired by seed, with Student's 95 % interval.",
        "",
        "| | error, % | NLL, nats | error − single run | NLL − single run |",
        "|---|---|---|---|---|",
    ]
    single, told_apart = "single run, one cycle", []
    for name in seeds[0]:
        cells = [f"{np.mean([s[name][key] for s in seeds]):.{digits}f}" for key, digits in (("error", 2), ("nll", 4))]
        for key, digits in (("error", 2), ("nll", 4)) if name != single else ():
            mean, low, high = interval([s[name][key] - s[single][key] for s in seeds])
            cells.append(f"{mean:+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})")
            told_apart += [f"{key} of {name}"] if low > 0 or high < 0 else []
        lines.append(f"| {name} | {' | '.join(cells)} |")
    verdict = f"Told apart from the single run: {', '.join(told_apart) or 'nothing; every interval contains zero'}."
    return [*lines, "", verdict, "", f"- {where(result)}", ""]


if __name__ == "__main__":
    (HERE / "README.md").write_text("\n".join([HEAD, *overhead(), *prediction(), *fashion()]))
