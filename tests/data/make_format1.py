"""Write `format1`, the run of format 1 that every later version must load. Run once, with the version that wrote format 1.

    python tests/data/make_format1.py

It is never written anew: what it holds is what users' disks hold.
"""

import json
import os
import shutil
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np

import manyminima as mm
from manyminima.inference.loading import keep

HERE = Path(__file__).parent / "format1"


def main() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(48, 4)).astype("float32"), rng.integers(0, 3, 48)
    keras.utils.set_random_seed(0)
    scale = keras.layers.Normalization()
    scale.adapt(x)
    hidden = [keras.layers.Dense(6, "relu"), keras.layers.BatchNormalization(), keras.layers.Dropout(0.1, seed=1)]
    model = keras.Sequential([keras.Input((4,)), scale, *hidden, keras.layers.Dense(3, "softmax")], name="tiny")
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    run = mm.Snapshots(HERE / "run", data={"source": "noise", "seed": 0})
    collect = mm.Collect(mm.recipes.snapshot(cycles=2, peak=0.1), into=run, best="loss")
    model.fit(x, y, batch_size=16, epochs=4, verbose=0, callbacks=[collect])
    ensemble = mm.load(HERE / "run")
    combination = mm.Combination.fit(y, ensemble.predict_members(x), "fitted", "temperature")
    keep(run, combination)
    shutil.rmtree(HERE / "run" / "resume", ignore_errors=True)
    told = {
        "x": x[:5].tolist(),
        "probs": ensemble.predict_members(x[:5]).tolist(),
        "combined": mm.load(HERE / "run").predict(x[:5]).tolist(),
        "steps": [member.step for member in run.members],
        "hashes": [member.hash for member in run.members],
        "logs": [member.logs for member in run.members],
        "best": run.best[0].step,
    }
    (HERE / "told.json").write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    if HERE.exists():
        raise SystemExit(f"'{HERE}' is there already, and is never written anew.")
    main()
