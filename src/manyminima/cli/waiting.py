"""What a terminal shows of work that takes longer than a moment: how far it is, and the time left. Files get nothing of it."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

_ROWS = 4096  # a multiple of the batches that ensembles predict in, so that pieces are computed as the whole would be


def watched(things: Sequence[Any], what: str) -> Iterator[Any]:
    """Yield things, and show how many of them are done."""
    from rich.markup import escape

    from manyminima.training.engine.bar import bar

    with bar() as shown:
        yield from shown.track(things, description=escape(what))


def predict_members(ensemble: Any, x: "np.ndarray", what: str) -> Any:
    """Return what every member of an ensemble predicts, (members, rows, ..., classes), and show how far that is."""
    import numpy as np

    if len(x) < 2 * _ROWS or len(ensemble.tasks) > 1:
        return ensemble.predict_members(x)
    starts = range(0, len(x) - _ROWS + 1, _ROWS)  # the last piece is longer: a short one would be computed otherwise
    probs = np.empty(0)
    for first, end in watched([*zip(starts, [*starts[1:], len(x)], strict=True)], what):
        piece = ensemble.predict_members(x[first:end])
        if not first:
            probs = np.empty((len(piece), len(x), *piece.shape[2:]), piece.dtype)
        probs[:, first:end] = piece
    return probs
