"""A table such as people have: an id, numbers with gaps, words, truths, and columns of no use."""

import csv

import numpy as np

NAMES = ["customer", "tenure", "spent", "plan", "active", "country", "churned"]


def people(rows=200, seed=0):
    """Rows of text, the header's names as keys; who churns depends on tenure, plan and activity."""
    rng = np.random.default_rng(seed)
    tenure = rng.integers(1, 72, rows)
    spent = rng.gamma(3.0, 20.0, rows).round(2)
    plan = rng.choice(["basic", "plus", "gold"], rows, p=[0.5, 0.3, 0.2])
    active = rng.random(rows) < 0.6
    score = 1.5 - 0.06 * tenure + 1.2 * (plan == "basic") - 1.0 * active + rng.logistic(size=rows)
    table = {
        "customer": [f"C-{n:05d}" for n in rng.permutation(rows)],
        "tenure": [str(t) for t in tenure],
        "spent": ["" if hole else str(s) for s, hole in zip(spent, rng.random(rows) < 0.1, strict=True)],
        "plan": plan.tolist(),
        "active": [str(bool(a)) for a in active],
        "country": ["NL"] * rows,
        "churned": ["yes" if s > 0 else "no" for s in score],
    }
    return table


def prices(rows=200, seed=0):
    """The same people, with a price to predict, in thousands."""
    table = people(rows, seed)
    rng = np.random.default_rng(seed + 1)
    base = 1000 * (20 + 0.5 * np.array(table["tenure"], float) + 10 * (np.array(table["plan"]) == "gold"))
    price = (base + 1000 * rng.normal(size=rows)).round(1).tolist()
    return {**{name: cells for name, cells in table.items() if name != "churned"}, "price": [str(p) for p in price]}


def write(path, table, *, delimiter=",", encoding="utf-8"):
    """Write columns by name as a CSV."""
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(table)
        writer.writerows(zip(*table.values(), strict=True))
    return path
