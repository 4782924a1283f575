"""One small network on the tutorials' blobs, and how its loss and accuracy went, epoch by epoch.

The curves are those of training and validation rows: what is looked at while training is no test.

    python examples/learning_curves.py        # runs/learning_curves.png
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
optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
validation = (data.x_val, data.y_val)
logs = model.fit(data.x_train, data.y_train, epochs=200, validation_data=validation, verbose=0).history

figure = Figure(figsize=(10, 3.6), layout="constrained")
for ax, name, better in zip(figure.subplots(1, 2), ("loss", "accuracy"), ("lower", "higher"), strict=True):
    ax.plot(logs[name], label="training rows, while they are learnt")
    ax.plot(logs[f"val_{name}"], label="validation rows")
    ax.set(xlabel="epoch", ylabel=f"{name} ({better} is better)")
    ax.legend(frameon=False)

Path("runs").mkdir(exist_ok=True)
figure.savefig("runs/learning_curves.png", dpi=110)
test = mm.metrics.accuracy(data.y_test, model.predict(data.x_test, verbose=0))
print(f"accuracy on the test rows {test:.3f}; runs/learning_curves.png is written")
