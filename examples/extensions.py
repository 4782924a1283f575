"""The snapshot tutorial's five exercises as one study: what each change is worth, over 30 seeds, with intervals.

Shorter and longer cycles; the peak of the rate, chosen for each method from four by the loss on validation rows; the rate
changed once an epoch or at every batch; every run repeated with 30 seeds; and triangular cycles instead of cosine ones.
Everything is set beside one ordinary run of the same 500 epochs.

    python examples/extensions.py        # runs/extensions.png, runs/extensions.html
"""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")
import keras
from matplotlib.figure import Figure

import manyminima as mm


def build_model():
    model = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(25, "relu"), keras.layers.Dense(3, "softmax")], name="mlp"
    )
    model.compile(keras.optimizers.SGD(momentum=0.9), "sparse_categorical_crossentropy")
    return model


study = mm.study(
    build_model,
    mm.datasets.load("blobs"),
    [
        "snapshot:cycles=10",
        "snapshot:cycles=5",
        "snapshot:cycles=25",
        "snapshot:cycles=10,update=epoch",
        "cyclic:cycles=10",
    ],
    epochs=500,
    seeds=30,
    peaks=(0.003, 0.01, 0.03, 0.1),
)
print(study)
study.to_html("runs/extensions.html")

compared = study.rows[1:]
names = [f"{row.name}, peak {row.peak:g}" for row in compared]
figure = Figure(figsize=(12, 4), layout="constrained")
for ax, metric in zip(figure.subplots(1, 2, sharey=True), ("error", "calibrated_nll"), strict=True):
    found = [row.differences[metric] for row in compared]
    ends = ([getattr(one, end) for one in found] for end in ("mean", "low", "high"))
    mm.plots.forest(names, *ends, ax=ax, label=metric.replace("_", " "))
    ax.set_title("against one ordinary run", loc="left")
    ax.locator_params(axis="x", nbins=6)
    ax.label_outer()
figure.savefig("runs/extensions.png", dpi=110)
