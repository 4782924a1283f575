"""What `manyminima train` shows while it trains: a line per member, and on a terminal the epoch it is at."""

from collections.abc import Iterator, Mapping
from typing import Any

import keras
from rich.console import Console


class Progress:
    """A context that tells how training goes: a fold that says when it gets a member, and a callback for the epochs.

    Args:
        console: where to write.
        epochs: of the run.
    """

    def __init__(self, console: Console, epochs: int):
        self._console, self._epochs = console, epochs
        self._status = console.status("compiling ...")
        self._count = self._total = 0
        self.callback = keras.callbacks.LambdaCallback(on_epoch_end=self._epoch_done)

    def __enter__(self):
        self._status.start()
        return self

    def __exit__(self, *error):
        self._status.stop()

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

    def _epoch_done(self, epoch: int, logs: Mapping[str, Any]) -> None:
        self._status.update(f"epoch {epoch + 1}/{self._epochs}: {_scores(logs)}")


def _scores(logs: Mapping[str, Any]) -> str:
    names = [name for name in ("val_loss", "val_accuracy") if name in logs] or [n for n in ("loss",) if n in logs]
    return ", ".join(f"{name} {logs[name]:.4g}" for name in names)
