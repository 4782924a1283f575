"""The callback builder of the repository Snapshot-Ensembles (Keras 1)."""

from pathlib import Path

from manyminima.compat.cycles import EpochCycles
from manyminima.compat.files import Callbacks, KeepBest, ModelFiles, check_unused
from manyminima.runs.snapshots import Snapshots
from manyminima.training.collect import Collect

__all__ = ["SnapshotCallbackBuilder"]

_FOLDER = Path("weights")


class SnapshotCallbackBuilder:
    """Builds the callbacks that train `nb_snapshots` cosine cycles and save a snapshot at the end of each.

    Exactly `nb_snapshots` of them, also where they do not divide `nb_epochs`. The rate changes once an epoch and takes the
    place of the optimizer's own, which is back afterwards.

    Args:
        nb_epochs: T, the epochs that `fit` is going to train.
        nb_snapshots: M, at most `nb_epochs`.
        init_lr: alpha_zero, the learning rate at each restart.

    Raises:
        ValueError: more snapshots than epochs, or a number that is none.

    Example:
        snapshot = SnapshotCallbackBuilder(200, 5, 0.1)
        model.fit(x, y, epochs=200, callbacks=snapshot.get_callbacks(model_prefix="WRN-16-4"))
        ensemble = mm.load("weights/WRN-16-4")

    Reference:
        Huang et al. 2017, Snapshot Ensembles: Train 1, Get M for Free, eq. 2.
    """

    def __init__(self, nb_epochs: int, nb_snapshots: int, init_lr: float = 0.1):
        self.recipe = EpochCycles(nb_epochs, nb_snapshots, init_lr)
        self.T, self.M, self.alpha_zero = self.recipe.epochs, self.recipe.cycles, init_lr

    def get_callbacks(self, model_prefix: str = "Model") -> list:
        """Return the callbacks for one `fit`, as a list: `callbacks=snapshot.get_callbacks()`.

        Beside the run in `weights/<model_prefix>`, for `mm.load`, they write files for `model.load_weights`:
        `weights/<model_prefix>-1.weights.h5` and so on, and `weights/<model_prefix>-Best.weights.h5`, the epoch with the best
        validation accuracy (validation loss, or those of training, where that is all there is).

        Args:
            model_prefix: name of the run and of its files; may begin with "weights/".

        Raises:
            FileExistsError: there is a run of that name.
        """
        prefix = Path(model_prefix)
        prefix = prefix if prefix.parts[:1] == _FOLDER.parts else _FOLDER / prefix
        check_unused(
            prefix, f'Write get_callbacks(model_prefix="{model_prefix}2"), or delete it and {prefix}-*.weights.h5.'
        )
        files = ModelFiles(f"{prefix}-{{}}.weights.h5")
        collect = Collect(self.recipe, into=[Snapshots(prefix), files])
        files.callback = collect
        return Callbacks([collect, KeepBest(collect.folds, ("accuracy", "acc"))])
