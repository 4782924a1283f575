"""A bar on a terminal while data are read: a table of ten million rows takes minutes."""

import contextlib
from collections.abc import Callable, Iterator

__all__ = ["reading"]


@contextlib.contextmanager
def reading(what: str = "reading") -> Iterator[Callable[[str, float], None]]:
    """Yield a function that takes what is being done and the share of it that is, 0..1; the bar goes when all is read."""
    from manyminima.training.engine.bar import bar

    with bar() as shown:
        task = shown.add_task(what, total=1.0)
        yield lambda now, share: shown.update(task, description=now, completed=share)
