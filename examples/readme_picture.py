"""The picture in the README: one run on three blobs, five cycles; the rate with its members, and NLL against size."""

import os
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
from matplotlib.figure import Figure

import manyminima as mm

IMAGE = Path(__file__).parents[1] / "docs" / "images" / "readme.png"

data = mm.datasets.load("blobs")
keras.utils.set_random_seed(0)
model = mm.zoo.build("mlp:25", data)
model.compile(optimizer=keras.optimizers.SGD(momentum=0.9), loss="sparse_categorical_crossentropy")
recipe = mm.recipes.snapshot(cycles=5, peak=0.1)
collect = mm.Collect(recipe)
model.fit(data.x_train, data.y_train, epochs=100, verbose=0, callbacks=[collect])
ensemble = mm.Ensemble(model, collect.members)

figure = Figure(figsize=(14, 4), layout="constrained")
left, right = figure.subplots(1, 2)
curve = ensemble.about["lr_curve"]
mm.plots.learning_rate(curve["steps"], curve["rates"], ensemble.about["collect"], ax=left)
mm.plots.score_by_size(data.y_test, ensemble.predict_members(data.x_test), ax=right)
IMAGE.parent.mkdir(parents=True, exist_ok=True)
figure.savefig(IMAGE, dpi=90)
print(f"{IMAGE.name} is written")
