"""Pictures of clothes: one training of a small conv net, its five snapshots, and the pictures they are least sure of.

    python examples/fashion_mnist.py              # 6,000 pictures, 10 epochs
    python examples/fashion_mnist.py 48000 30     # all that are for training

Prints the report, and writes runs/fashion/analysis/report.html and runs/fashion_mnist.png.
"""

import os
import shutil
import sys

os.environ.setdefault("KERAS_BACKEND", "jax")
import keras
import numpy as np
from matplotlib.figure import Figure

import manyminima as mm

limit = int(sys.argv[1]) if len(sys.argv) > 1 else 6000
epochs = int(sys.argv[2]) if len(sys.argv) > 2 else 10
data = mm.datasets.load("fashion-mnist", limit=limit)  # from $MANYMINIMA_DATA, or downloaded by Keras
keras.utils.set_random_seed(0)
model = mm.zoo.build("cnn", data)
model.compile(keras.optimizers.SGD(momentum=0.9), "sparse_categorical_crossentropy", metrics=["accuracy"])

shutil.rmtree("runs/fashion", ignore_errors=True)
collect = mm.Collect(mm.recipes.snapshot(cycles=5, peak=0.1), into=mm.Snapshots("runs/fashion", data=data.contract))
batches = mm.datasets.Batches(data.x_train, data.y_train, 64)
model.fit(batches, epochs=epochs, shuffle=False, verbose=0, callbacks=[collect])

ensemble = mm.load("runs/fashion")
members = ensemble.predict_members(data.x_test)
validation = (data.y_val, ensemble.predict_members(data.x_val))
report = mm.report(data.y_test, members, run=ensemble, x=data.x_test, validation=validation)
print(report)
print(report.to_html("runs/fashion/analysis/report.html"))

names, probs = data.contract["classes"], mm.combine.mean(members)
least_sure = np.argsort(mm.uncertainty.total(members))[::-1][:12]
figure = Figure(figsize=(11, 4.6), layout="constrained")
for ax, row in zip(figure.subplots(2, 6).flat, least_sure, strict=True):
    likely = [f"{names[c]} {probs[row, c]:.0%}" for c in np.argsort(probs[row])[::-1][:2]]
    ax.imshow(data.x_test[row], cmap="gray_r")
    ax.set_title("\n".join([*likely, f"is: {names[data.y_test[row]]}"]), fontsize=9, loc="left")
    ax.set_axis_off()
figure.suptitle("What the ensemble is least sure of, and what it says")
figure.savefig("runs/fashion_mnist.png", dpi=110)
