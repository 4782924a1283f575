"""Three ways to run a learning rate in cycles, drawn from what a run would execute.

Once an epoch, as tutorials do it; at every batch, as the paper does; and in cycles that get longer and lower.

    python examples/schedule_plot.py        # runs/schedule_plot.png
"""

import os
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")
import numpy as np
from matplotlib.figure import Figure

import manyminima as mm

EPOCHS, STEPS = 100, 4  # batches in an epoch
recipes = {
    "five cycles, once an epoch": mm.recipes.snapshot(cycles=5, peak=0.01, update="epoch"),
    "five cycles, at every batch": mm.recipes.snapshot(cycles=5, peak=0.01),
    "four cycles, each 1.5 times as long and 0.9 times as high": mm.recipes.snapshot(
        cycles=4, peak=0.01, floor=1e-6, length_multiplier=1.5, rate_multiplier=0.9
    ),
}
figure = Figure(figsize=(9, 8), layout="constrained")
for ax, (title, recipe) in zip(figure.subplots(3, 1, sharex=True), recipes.items(), strict=True):
    lr, when = recipe.plan(EPOCHS, STEPS)
    steps = np.arange(EPOCHS * STEPS)
    mm.plots.learning_rate(steps, lr(steps), [n for n in steps + 1 if when(n)], ax=ax)
    ax.set_title(title, loc="left")
    ax.label_outer()

Path("runs").mkdir(exist_ok=True)
figure.savefig("runs/schedule_plot.png", dpi=110)
print("runs/schedule_plot.png is written")
