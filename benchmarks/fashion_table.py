"""What the benchmarks on Fashion-MNIST have in common: error and NLL for each seed, and differences to one of the rows."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from measuring import environment, interval
from rich.console import Console
from rich.table import Table

import manyminima as mm

__all__ = ["run", "scores"]

Scores = dict[str, float]


def scores(y, probs: np.ndarray) -> Scores:
    """Return error in percent and NLL in nats."""
    return {"error": 100 * (1 - mm.metrics.accuracy(y, probs)), "nll": mm.metrics.nll(y, probs)}


def run(about: str, one_seed: Callable[[mm.datasets.Dataset, int], dict[str, Scores]], reference: str) -> None:
    """Train for as many seeds as are asked for, print the table, and write it where that is asked for."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    data = mm.datasets.load("fashion-mnist")
    runs = [one_seed(data, seed) for seed in range(options.seeds)]
    Console().print(table(runs, reference))
    if options.json:
        options.json.write_text(json.dumps({"environment": environment(), "seeds": runs}, indent=1) + "\n")


def table(runs: list[dict[str, Scores]], reference: str) -> Table:
    """Return means, and differences to the reference, paired by seed, with Student's 95 % interval."""
    made = Table("", "error, %", "NLL, nats", "error − single run", "NLL − single run")
    for name in runs[0]:
        cells = [f"{np.mean([r[name][k] for r in runs]):.{d}f}" for k, d in (("error", 2), ("nll", 4))]
        for key, digits in (("error", 2), ("nll", 4)):
            mean, low, high = interval([r[name][key] - r[reference][key] for r in runs])
            cells.append("" if name == reference else f"{mean:+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})")
        made.add_row(name, *cells)
    return made
