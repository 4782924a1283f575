"""What `manyminima train` shows while it trains: a line per member, and on a terminal the epoch and the time left."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

import keras
from rich.console import Console

from manyminima.cli import interrupting
from manyminima.training.engine.bar import bar

_OFTEN = 0.2  # seconds from one look at the batches to the next


class Progress:
    """A context that tells how training goes: a fold that says when it gets a member, and a callback for the epochs.

    Args:
        console: where to write.
        epochs: of the run.
    """

    def __init__(self, console: Console, epochs: int):
        self._console, self._epochs = console, epochs
        self._bar = bar(console)
        self._task = self._bar.add_task("compiling ...", total=epochs)
        self._count = self._total = self._epoch = 0
        self._told, self._score = 0.0, ""
        self.callback = keras.callbacks.LambdaCallback(
            on_epoch_begin=self._epoch_begun, on_train_batch_begin=self._batch_begun, on_epoch_end=self._epoch_done
        )

    def __enter__(self):
        self._bar.start()
        return self

    def __exit__(self, *error):
        self._bar.stop()

    def begin(self, run: Mapping[str, Any]) -> None:
        """Hear how many members there will be."""
        self._total = len(run["collect"])

    def state(self) -> dict[str, Any]:
        """Return how many members were told of."""
        return {"count": self._count}

    def take_up(self, run: Mapping[str, Any], state: Mapping[str, Any]) -> None:
        """Go on counting, in a training that goes on."""
        self.begin(run)
        self._count = state["count"]

    def add(self, weights, step: int, *, epoch: float | None = None, logs: Mapping | None = None) -> None:
        """Say that a member was collected; nothing of it is kept."""
        self._count += 1
        at = f"step {step:,}" if epoch is None else f"step {step:,}, epoch {epoch:.4g}"
        self._console.print(f"member {self._count}/{self._total} at {at}: {_scores(logs or {})}", highlight=False)

    def __iter__(self) -> Iterator[list]:
        return iter(())

    def _epoch_begun(self, epoch: int, logs: Mapping[str, Any]) -> None:
        self._epoch = epoch

    def _batch_begun(self, batch: int, logs: Mapping[str, Any]) -> None:
        """Move the bar within a long epoch, once the first batch has been compiled."""
        interrupting.check()
        if batch and time.monotonic() - self._told > _OFTEN:
            self._tell(self._epoch + 1, self._epoch + batch / (self.callback.params.get("steps") or batch))

    def _epoch_done(self, epoch: int, logs: Mapping[str, Any]) -> None:
        self._score = f": {_scores(logs).partition(', ')[0]}"  # one, so that the time left fits behind it
        self._tell(epoch + 1, epoch + 1)

    def _tell(self, epoch: int, done: float) -> None:
        self._bar.update(self._task, description=f"epoch {epoch}/{self._epochs}{self._score}", completed=done)
        self._told = time.monotonic()


def _scores(logs: Mapping[str, Any]) -> str:
    names = [name for name in ("val_loss", "val_accuracy") if name in logs] or [n for n in ("loss",) if n in logs]
    return ", ".join(f"{name} {logs[name]:.4g}" for name in names)
