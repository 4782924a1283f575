"""The averaging tutorial's three figures: the newest n of ten epochs, averaged equally, linearly and exponentially.

    python examples/polyak_averages.py        # runs/polyak_averages.png

A dot is one epoch's weights, the line the one model with the mean weights of the newest n. Nothing is chosen by these test
rows: a choice of n belongs on validation rows. `weight_averaging.py` sets averages of predictions beside them.
"""

import os
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")
import keras
from matplotlib.figure import Figure

import manyminima as mm

data = mm.datasets.load("blobs")
keras.utils.set_random_seed(0)
model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(25, "relu"), keras.layers.Dense(3, "softmax")])
model.compile("adam", "sparse_categorical_crossentropy")
last_ten = mm.Collect(mm.recipes.checkpoints(last=10))  # in memory
model.fit(data.x_train, data.y_train, epochs=500, verbose=0, callbacks=[last_ten])
scores = mm.Ensemble(model, last_ten.members).average_scores(data.x_test, data.y_test)

single, sizes = scores.single["accuracy"], range(1, 11)
figure = Figure(figsize=(12, 3.6), layout="constrained")
axes = figure.subplots(1, 3, sharey=True)
for ax, (kind, averaged) in zip(axes, scores.weights["accuracy"].items(), strict=True):
    ax.plot(sizes, single, "o", color="0.6", label="n-th newest epoch alone")
    ax.plot(sizes, averaged, "o-", label="mean weights of the newest n")
    ax.set_title(f"{kind} coefficients", loc="left")
    ax.set(xlabel="newest epochs, n", xticks=sizes)
    print(kind, *(f"{score:.4f}" for score in averaged))
axes[0].set_ylabel("test accuracy (higher is better)")
axes[0].legend(frameon=False)

Path("runs").mkdir(exist_ok=True)
figure.savefig("runs/polyak_averages.png", dpi=110)
