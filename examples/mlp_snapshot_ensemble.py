"""The snapshot tutorial's whole job: 500 epochs on blobs, a snapshot every 50, and ensembles of the newest 1 to 10.

The table says for each size what the ensemble is worth, and the last line whether all ten gain more than chance.

    python examples/mlp_snapshot_ensemble.py        # runs/mlp_snapshot_ensemble.png
"""

import os
import shutil

os.environ.setdefault("KERAS_BACKEND", "jax")
import keras

import manyminima as mm

data = mm.datasets.load("blobs")
keras.utils.set_random_seed(0)
model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(25, "relu"), keras.layers.Dense(3, "softmax")])
model.compile(keras.optimizers.SGD(momentum=0.9), "sparse_categorical_crossentropy")

shutil.rmtree("runs/mlp_snapshots", ignore_errors=True)
recipe = mm.recipes.snapshot(cycles=10, peak=0.01, update="epoch")
model.fit(data.x_train, data.y_train, epochs=500, verbose=0, callbacks=[mm.Collect(recipe, into="runs/mlp_snapshots")])

ensemble = mm.load("runs/mlp_snapshots")
probs = ensemble.predict_members(data.x_test)
for n in range(1, len(ensemble) + 1):
    single, newest = (mm.metrics.accuracy(data.y_test, p) for p in (probs[-n], mm.combine.mean(probs[-n:])))
    print(f"{n:2}: single {single:.3f}, ensemble {newest:.3f}")

print(mm.report(data.y_test, probs, run=ensemble).verdict.headline)
ax = mm.plots.score_by_size(data.y_test, probs, mm.metrics.accuracy)
ax.figure.savefig("runs/mlp_snapshot_ensemble.png", dpi=110)
