"""The weight-averaging tutorial's whole job: train 500 epochs on blobs, average the last ten epochs' weights in three ways.

    python examples/weight_averaging.py

Prints the score of 1 to 10 of the newest epochs, alone, averaged in weights and averaged in predictions, and draws them.
On the command line the same is

    manyminima train --data blobs --model mlp:25 --recipe polyak --last 10 --epochs 500 --out runs/blobs
    manyminima average runs/blobs --coefficients exponential -o runs/averaged.keras
"""

import os
import shutil

os.environ.setdefault("KERAS_BACKEND", "jax")
import keras

import manyminima as mm

data = mm.datasets.load("blobs")
keras.utils.set_random_seed(0)
model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(25, "relu"), keras.layers.Dense(3, "softmax")])
model.compile(keras.optimizers.SGD(0.01, momentum=0.9), "sparse_categorical_crossentropy")

shutil.rmtree("runs/blobs", ignore_errors=True)
last_ten = mm.Collect(mm.recipes.polyak(last=10), into="runs/blobs")
model.fit(data.x_train, data.y_train, epochs=500, verbose=0, callbacks=[last_ten])

ensemble = mm.load("runs/blobs")
for coefficients in ("equal", "linear", "exponential"):
    averaged = ensemble.average(coefficients)  # an ordinary Keras model
    probs = averaged.predict(data.x_test, verbose=0)
    print(f"{coefficients}: accuracy {mm.metrics.accuracy(data.y_test, probs):.4f}")
averaged.save("runs/averaged.keras")

scores = ensemble.average_scores(data.x_test, data.y_test)  # nothing is chosen by them
print(scores)
ax = mm.plots.averages(
    scores.single["accuracy"], scores.weights["accuracy"], scores.predictions["accuracy"], mm.metrics.accuracy.facts
)
ax.figure.savefig("runs/averages.png", dpi=150)
