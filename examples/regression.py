"""A curve with a gap in its data: what one run's snapshots know of what they do not know, and what eight runs know.

Eight small networks are trained together in one program, each for four cycles of the rate.

    python examples/regression.py        # runs/regression.png
"""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")
import keras
import numpy as np
from matplotlib.figure import Figure

import manyminima as mm

RUNS, CYCLES, rng = 8, 4, np.random.default_rng(0)


def sample(rows):
    x = np.where(rng.random(rows) < 0.6, rng.uniform(-1, -0.2, rows), rng.uniform(0.4, 1, rows))
    return x[:, None].astype("float32"), (np.sin(5 * x) + rng.normal(scale=0.15, size=rows))[:, None].astype("float32")


def build_model():
    hidden = [keras.layers.Dense(50, "tanh") for _ in range(2)]
    model = keras.Sequential([keras.Input((1,)), *hidden, keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(), "mse")
    return model


(x, y), (x_test, y_test) = sample(100), sample(1000)
recipe = mm.recipes.snapshot(cycles=CYCLES, peak=0.01)
ensemble = mm.train(build_model, x, y, recipe, epochs=2000, batch_size=25, replicas=RUNS)

members = ensemble.predict_members(x_test).reshape(CYCLES, RUNS, -1, 1)  # sorted by step, then by run
grid = np.linspace(-1.3, 1.3, 300, dtype="float32")[:, None]
curves = ensemble.predict_members(grid).reshape(CYCLES, RUNS, -1)
inside = np.abs(grid[:, 0] - 0.1) < 0.2
ways = {
    "one run, its last member": np.s_[-1:, :1],
    f"one run, its {CYCLES} snapshots": np.s_[:, :1],
    f"{RUNS} runs, their last members": np.s_[-1:],
    f"{RUNS} runs, all {RUNS * CYCLES} members": np.s_[:],
}
figure = Figure(figsize=(13, 3.4), layout="constrained")
print("squared error on 1,000 test rows, and the members' spread in the gap")
for ax, (name, part) in zip(figure.subplots(1, 4, sharey=True), ways.items(), strict=True):
    error = mm.metrics.squared_error(y_test, members[part].mean((0, 1)))
    mean, spread = curves[part].mean((0, 1)), curves[part].std((0, 1))
    print(f"{name:28} {error:.4f}   {spread[inside].mean():.3f}")
    ax.fill_between(grid[:, 0], mean - 2 * spread, mean + 2 * spread, alpha=0.3, label="two standard deviations")
    ax.plot(grid[:, 0], mean, label="the members' mean")
    ax.plot(x[:, 0], y[:, 0], ".", color="0.4", markersize=4, label="training rows")
    ax.set_title(name, loc="left", fontsize=10)
    ax.set_ylim(-2.5, 2.5)
ax.legend(frameon=False, fontsize=8, loc="lower left")
os.makedirs("runs", exist_ok=True)
figure.savefig("runs/regression.png", dpi=110)
