"""The callback and helpers of the package snapshot_ensemble (TensorFlow 2)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from manyminima.compat.cycles import GrowingCycles
from manyminima.compat.files import Callbacks, KeepBest, ModelFiles, check_unused
from manyminima.runs.snapshots import Snapshots
from manyminima.training.collect import Collect

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["GenerateSnapshotCallbacks", "SnapshotEnsembleCallback", "VisualizeLR"]

_OPTIONS = {"num_snapshots": 10, "dirpath": "Ensemble/", "model_prefix": "Model"}
_POINTS = 5000


class SnapshotEnsembleCallback(Collect):
    """Cosine cycles that get longer and lower, changed at every batch, with a snapshot at the end of each complete one.

    The run is in `dirpath`, and `mm.load(dirpath)` is the ensemble. Beside it are files for `model.load_weights`:
    `<dirpath>/<model_prefix>-1.weights.h5` is the oldest that is kept. The last cycle is among them if the run completes it:
    25 epochs of the default cycles (10 and 15) give two snapshots.

    Args:
        cycle_length: epochs of the first cycle.
        cycle_length_multiplier: how many times as long each next cycle is.
        lr_init: rate at the start of the first cycle; takes the place of the optimizer's own, which is back afterwards.
        lr_min: rate that the first cycle falls towards.
        lr_multiplier: factor on both rates of each next cycle.
        ensemble: False drives the rate and saves nothing.
        ensemble_options: "num_snapshots", to keep to the newest so many cycles of the planned run (10), "dirpath"
            ("Ensemble/") and "model_prefix" ("Model").

    Raises:
        ValueError: numbers that are no schedule, or unknown options; before training, if no cycle is complete by its end.
        FileExistsError: `dirpath` already holds a run.

    Example:
        model.fit(x, y, epochs=25, callbacks=[SnapshotEnsembleCallback()])
        ensemble = mm.load("Ensemble/")

    Reference:
        Loshchilov & Hutter 2017, SGDR. Huang et al. 2017, Snapshot Ensembles: Train 1, Get M for Free.
    """

    def __init__(
        self,
        cycle_length: float = 10,
        cycle_length_multiplier: float = 1.5,
        lr_init: float = 0.01,
        lr_min: float = 1e-6,
        lr_multiplier: float = 0.9,
        ensemble: bool = True,
        ensemble_options: Mapping[str, Any] | None = None,
    ):
        options = _complete(ensemble_options or {})
        cycles = (cycle_length, cycle_length_multiplier, lr_init, lr_min, lr_multiplier)
        if not ensemble:
            super().__init__(GrowingCycles(*cycles))
            return
        directory = Path(options["dirpath"])
        check_unused(directory, f'Write ensemble_options={{"dirpath": "{directory}2/"}}, or delete it.')
        files = ModelFiles(f"{directory / options['model_prefix']}-{{}}.weights.h5", self)
        super().__init__(GrowingCycles(*cycles, options["num_snapshots"]), into=[Snapshots(directory), files])


def GenerateSnapshotCallbacks(
    cycle_length: float = 10,
    cycle_length_multiplier: float = 1.5,
    lr_init: float = 0.01,
    lr_min: float = 1e-6,
    lr_multiplier: float = 0.9,
    ensemble: bool = True,
    ensemble_options: Mapping[str, Any] | None = None,
) -> list:
    """Return a list of `SnapshotEnsembleCallback` and a callback that keeps the epoch with the lowest validation loss.

    That one writes `<dirpath>/<model_prefix>-Best.weights.h5`; without validation data the training loss tells.

    Args:
        cycle_length: as for `SnapshotEnsembleCallback`, like all others.
        cycle_length_multiplier: see there.
        lr_init: see there.
        lr_min: see there.
        lr_multiplier: see there.
        ensemble: see there; with False the best epoch is kept all the same.
        ensemble_options: see there.
    """
    collect = SnapshotEnsembleCallback(
        cycle_length, cycle_length_multiplier, lr_init, lr_min, lr_multiplier, ensemble, ensemble_options
    )
    if ensemble:
        return Callbacks([collect, KeepBest(collect.folds, ())])
    options = _complete(ensemble_options or {})
    path = Path(options["dirpath"], f"{options['model_prefix']}-Best.weights.h5")
    best = keras.callbacks.ModelCheckpoint(path, "val_loss", save_best_only=True, save_weights_only=True, mode="min")
    return Callbacks([collect, best])


def VisualizeLR(
    epochs: int = 500,
    cycle_length: float = 10,
    cycle_length_multiplier: float = 1.5,
    lr_init: float = 0.01,
    lr_min: float = 1e-6,
    lr_multiplier: float = 0.9,
) -> Figure:
    """Return a figure of the learning rate that `SnapshotEnsembleCallback` runs with, and where it takes snapshots.

    Args:
        epochs: of the run.
        cycle_length: as for `SnapshotEnsembleCallback`, like all others.
        cycle_length_multiplier: see there.
        lr_init: see there.
        lr_min: see there.
        lr_multiplier: see there.

    Example:
        >>> VisualizeLR(epochs=25).axes[0].get_xlabel()
        'epoch'
    """
    from manyminima.plots import learning_rate

    cycles = GrowingCycles(cycle_length, cycle_length_multiplier, lr_init, lr_min, lr_multiplier)
    fine = max(_POINTS // epochs, 10)  # steps in an epoch: the curve is the same for any number
    steps = np.arange(epochs * fine)
    ends = np.array(cycles.ends(epochs, fine))
    ax = learning_rate(steps / fine, cycles.schedule(fine)(steps), ends / fine)
    ax.set_xlabel("epoch")
    return ax.figure  # pyright: ignore[reportReturnType]


def _complete(given: Mapping[str, Any]) -> dict[str, Any]:
    unknown = sorted(given.keys() - _OPTIONS.keys())
    if unknown:
        raise ValueError(f"ensemble_options has no {', '.join(unknown)}. It has {', '.join(_OPTIONS)}.")
    return {**_OPTIONS, **given}
