"""Files for Keras's own loaders, written while a run is collected."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
from keras.src import tree  # a list that is no plain one is flattened only if it is registered
from keras.src.utils.tracking import TrackedList

from manyminima.inference.export import copy_of
from manyminima.inference.sources import from_files
from manyminima.runs.format import Weights
from manyminima.training.best import Best
from manyminima.training.caller import validates

__all__ = ["Callbacks", "KeepBest", "ModelFiles", "check_unused"]


class ModelFiles:
    """A fold that saves the training model itself, number by number: what it collects is also a file of Keras's own kind.

    Args:
        pattern: the files' path with "{}" for the number, from 1; ".keras" saves the model with its optimizer and losses,
            ".weights.h5" what `model.load_weights` reads.
        callback: the one that knows the model; it may also be set later.
        tell: called with a line for each file.
    """

    def __init__(self, pattern: str, callback: Any = None, tell: Callable[[str], Any] | None = None):
        self.pattern, self.callback, self._tell = pattern, callback, tell
        self.files: list[Path] = []

    def begin(self, run: Mapping[str, Any]) -> None:
        """Make the folder, and look for files of a longer run, which would be taken for members of this one.

        Raises:
            FileExistsError: there are some.
        """
        folder, name = Path(self.pattern).parent, Path(self.pattern).name
        number = re.compile(r"(\d+)".join(re.escape(part) for part in name.split("{}")))
        found = [match for path in folder.glob("*") if (match := number.fullmatch(path.name))]
        foreign = sorted(int(match[1]) for match in found if int(match[1]) > len(run["collect"]))
        if foreign:
            raise FileExistsError(
                f"'{self._path(foreign[0])}' is there from another run: this one writes {len(run['collect'])} files, and whoever "
                f"loads them all would mix two runs. Delete '{self._path('*')}', or train in another folder."
            )
        folder.mkdir(parents=True, exist_ok=True)
        self.files = []

    def add(self, weights: Weights, step: int, *, epoch: float | None = None, logs: Mapping | None = None) -> None:
        """Save the model under the next number; `weights` are its own at this moment."""
        path = self._save(len(self.files) + 1)
        self.files.append(path)
        if self._tell is not None:
            self._tell(f">saved snapshot {path}, epoch {(epoch or 0) - 1:g}")

    def add_best(self, weights: Weights, step: int, *, epoch: float | None = None, logs: Mapping | None = None) -> None:
        """Replace the file of the best single model."""
        self._save("Best")

    def _path(self, number: int | str) -> Path:
        return Path(self.pattern.replace("{}", str(number)))

    def _save(self, number: int | str) -> Path:
        path = self._path(number)
        temporary = path.with_name(f".{path.name}")
        model = self.callback.model
        (model.save if path.suffix == ".keras" else model.save_weights)(temporary)
        os.replace(temporary, path)
        return path

    def __len__(self) -> int:
        return len(self.files)

    def __iter__(self) -> Iterator[Weights]:
        model = self.callback.model
        return iter(from_files(copy_of(model, model.name), self.files).weights if self.files else [])


class KeepBest(keras.callbacks.Callback):
    """Hands the weights of the best epoch so far to every fold that keeps a best model.

    A log of the validation rows tells if `fit` has some, else one of training.

    Args:
        folds: those of the `Collect` before it in the list.
        endings: of the log's name, such as ("accuracy", "acc"); where there is no such log, or no endings, it is the loss.
    """

    def __init__(self, folds: tuple, endings: tuple[str, ...]):
        super().__init__()
        self._folds, self._endings = folds, endings

    def on_train_begin(self, logs=None):
        """Forget an earlier `fit`."""
        self._best: Best | None = None
        self._validates, self._epochs = validates(self), 0

    def on_epoch_end(self, epoch, logs=None):
        """Compare this epoch with the best so far."""
        logs, self._epochs = logs or {}, self._epochs + 1
        validated = any(name.startswith("val_") for name in logs)
        if not validated and self._validates:
            return  # validation_freq= leaves this epoch out
        if self._best is None:
            self._best = Best(self._watched(logs, "val_" if validated else ""))
        if self._best.improved_by(logs):
            self._hand_over(self._best.name, float(logs[self._best.name]))

    def _watched(self, logs: Mapping[str, Any], prefix: str) -> str:
        named = (name for name in logs if name.startswith(prefix) and name.endswith(self._endings))
        return next(named, f"{prefix}loss")

    def _hand_over(self, name: str, value: float) -> None:
        weights, step = self.model.get_weights(), self._epochs * self.params["steps"]
        for fold in self._folds:
            if hasattr(fold, "add_best"):
                fold.add_best(weights, step, epoch=float(self._epochs), logs={name: value})


@tree.register_tree_node_class
class Callbacks(TrackedList):
    """A list of callbacks that may also stand in a list itself: `callbacks=[builder.get_callbacks()]` works.

    Keras flattens lists within lists, but before that it asks each entry which of the hooks it leaves as they are.
    """

    def __getattr__(self, name: str):
        if name.startswith("on_") and self:
            hooks = [getattr(callback, name) for callback in self]
            return next((hook for hook in hooks if not getattr(hook, "_is_default", False)), hooks[0])
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")


def check_unused(directory: Path, otherwise: str) -> None:
    """Raise FileExistsError if a run has members there; `otherwise` is what to write instead."""
    if any(directory.glob("members/*.safetensors")):
        raise FileExistsError(f"'{directory}' already holds a run, which is never overwritten. {otherwise}")
