"""A CSV of one's own: words, numbers with gaps, an id; trained once, judged on its test rows, and asked about new ones.

The tumours of scikit-learn are written as people write such files. The same in a terminal:

    manyminima train --data runs/own/tumours.csv --target kind --model mlp --recipe snapshot --cycles 5 --peak 0.1 --epochs 60
    manyminima predict runs/tumours-mlp-snapshot --data runs/own/new.csv --out runs/own/predictions.csv

    python examples/own_table.py
"""

import csv
import os
import shutil
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np
from sklearn.datasets import load_breast_cancer

import manyminima as mm

folder = Path("runs/own")
shutil.rmtree(folder, ignore_errors=True)
folder.mkdir(parents=True)

tumours, rng = load_breast_cancer(), np.random.default_rng(0)
size = np.digitize(tumours.data[:, 0], [12, 16])  # the mean radius, as a word
cells = np.where(rng.random((569, 10)) < 0.05, "", tumours.data[:, :10].astype(str))  # one in twenty was not measured
rows = [
    [f"T{n:03d}", *measured[1:], ["small", "medium", "large"][s], str(tumours.target_names[kind])]
    for n, (measured, s, kind) in enumerate(zip(cells.tolist(), size, tumours.target, strict=True))
]
header = ["sample", *tumours.feature_names[1:10].tolist(), "size", "kind"]
for name, table in (("tumours.csv", [header, *rows]), ("new.csv", [row[:-1] for row in [header, *rows[::50]]])):
    with open(folder / name, "w", newline="") as file:
        csv.writer(file).writerows(table)

data = mm.datasets.load(folder / "tumours.csv", target="kind")
for column in data.contract["table"]["columns"]:
    print(f"{column['name']}: {column['kind']}, {column['missing']} missing {', '.join(column['categories'])}")

keras.utils.set_random_seed(0)
model = mm.zoo.build("mlp", data)
model.compile(keras.optimizers.SGD(momentum=0.9), "sparse_categorical_crossentropy", metrics=["accuracy"])
collect = mm.Collect(mm.recipes.snapshot(cycles=5, peak=0.1), into=mm.Snapshots(folder / "run", data=data.contract))
model.fit(mm.datasets.Batches(data.x_train, data.y_train), epochs=60, shuffle=False, verbose=0, callbacks=[collect])

ensemble = mm.load(folder / "run")
print(mm.report(data.y_test, ensemble.predict_members(data.x_test), run=ensemble))
for probs in ensemble.predict(mm.datasets.new_rows(data.contract, folder / "new.csv"))[:3]:
    print({name: f"{p:.3f}" for name, p in zip(data.contract["classes"], probs, strict=True)})
