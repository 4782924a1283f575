"""What users of other snapshot-ensemble code have, under the names they know; `docs/migration.md` sets old and new side by side.

    from manyminima.compat import SnapshotCallbackBuilder              the repository Snapshot-Ensembles
    from manyminima.compat import SnapshotEnsembleCallback             the package snapshot_ensemble
    from manyminima.compat import SnapshotEnsemble, load_all_models    the tutorial on snapshot ensembles
    from manyminima.compat import model_weight_ensemble                the tutorial on averages of weights

All of it is `mm.Collect` with a recipe underneath. New programs are shorter with `mm.recipes.snapshot` and `mm.load`.
"""

from manyminima.compat.averaging_tutorial import evaluate_n_averaged, model_weight_ensemble
from manyminima.compat.loading import load_all_models
from manyminima.compat.snapshot_ensemble import GenerateSnapshotCallbacks, SnapshotEnsembleCallback, VisualizeLR
from manyminima.compat.snapshot_ensembles import SnapshotCallbackBuilder
from manyminima.compat.snapshot_tutorial import (
    CosineAnnealingLearningRateSchedule,
    SnapshotEnsemble,
    cosine_annealing,
    ensemble_predictions,
    evaluate_n_members,
)

__all__ = [
    "CosineAnnealingLearningRateSchedule",
    "GenerateSnapshotCallbacks",
    "SnapshotCallbackBuilder",
    "SnapshotEnsemble",
    "SnapshotEnsembleCallback",
    "VisualizeLR",
    "cosine_annealing",
    "ensemble_predictions",
    "evaluate_n_averaged",
    "evaluate_n_members",
    "load_all_models",
    "model_weight_ensemble",
]
