"""Pictures labelled pixel by pixel: noisy discs and squares of one brightness, told apart by their shape alone.

Snapshots of one training are averaged pixel by pixel: equally, and with coefficients fitted on validation pictures, because
the first ones have learnt little yet. Where members differ is where a picture is hard.

    python examples/segmentation.py        # runs/segmentation.png
"""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")
import keras
import numpy as np
from keras import layers
from matplotlib.figure import Figure

import manyminima as mm


def pictures(rows, seed):
    rng, place = np.random.default_rng(seed), np.arange(32)
    y = np.zeros((rows, 32, 32), int)
    for labels in y:
        (row, column, top, left), radius, side = rng.integers(6, 22, 4), rng.integers(4, 8), rng.integers(7, 13)
        labels[top : top + side, left : left + side] = 2
        labels[(place[:, None] - row) ** 2 + (place - column) ** 2 < radius**2] = 1
    return ((y > 0) + rng.normal(scale=0.4, size=y.shape))[..., None].astype("float32"), y


(x, y), (x_val, y_val), (x_test, y_test) = pictures(200, seed=0), pictures(100, seed=1), pictures(300, seed=2)
keras.utils.set_random_seed(0)
inputs = keras.Input((32, 32, 1))
fine = layers.Conv2D(16, 3, padding="same", activation="relu")(inputs)
coarse = layers.Conv2D(32, 3, padding="same", activation="relu")(layers.MaxPooling2D(2)(fine))
coarse = layers.UpSampling2D(2)(layers.Conv2D(32, 5, padding="same", activation="relu")(coarse))
logits = layers.Conv2D(3, 3, padding="same")(layers.Concatenate()([fine, coarse]))
model = keras.Model(inputs, logits)  # the loss says that these are logits, and members predict probabilities
model.compile(keras.optimizers.Adam(), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
collect = mm.Collect(mm.recipes.snapshot(cycles=4, peak=0.005))  # in memory
model.fit(x, y, batch_size=20, epochs=60, verbose=0, callbacks=[collect])

ensemble = mm.Ensemble(model, collect.members)
fitted = mm.Combination.fit(y_val, ensemble.predict_members(x_val), coefficients="fitted")
print(fitted)
members = ensemble.predict_members(x_test)
ways = {"last member": members[-1], "4 snapshots": mm.combine.mean(members), "4 weighted": fitted(members)}
print("intersection over union: background, disc, square")
for name, probs in ways.items():
    print(f"{name}: {', '.join(f'{share:.3f}' for share in mm.segmentation.iou(y_test, probs))}")

figure = Figure(figsize=(8, 8), layout="constrained")
found, differ = fitted(members).argmax(-1), mm.uncertainty.epistemic(members)
columns = {"picture": x_test[..., 0], "labels": y_test, "4 weighted": found, "where members differ": differ}
for row, axes in enumerate(figure.subplots(4, 4)):
    for ax, (title, values) in zip(axes, columns.items(), strict=True):
        ax.imshow(values[row], cmap="gray_r" if title == "picture" else "viridis")
        ax.set(title=title if row == 0 else "", xticks=[], yticks=[])
os.makedirs("runs", exist_ok=True)
figure.savefig("runs/segmentation.png", dpi=110)
