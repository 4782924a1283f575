"""A bar that tells how far something is, and the time left."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["bar", "telling"]


def bar(console: Any = None) -> Any:
    """Return a rich bar, gone when its work is done: what is being done, its share, time taken and time left.

    It is on stderr, or on the console on which lines are printed meanwhile.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    text = TextColumn("{task.description}")
    columns = (text, BarColumn(), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    console = console or Console(stderr=True)
    watched = console.is_terminal or console.is_jupyter  # a file would get an empty line
    return Progress(*columns, console=console, transient=True, disable=not watched)


def telling(progress: Any) -> contextlib.AbstractContextManager[Callable[[int, int], Any]]:
    """Return a context that gives the function to tell of progress: of "bar" one that moves a bar, of None one that is silent.

    Raises:
        TypeError: at once, if it is neither a function nor one of these.
    """
    if progress == "bar":
        return _moving()
    if progress is not None and not callable(progress):
        raise TypeError(f'progress={progress!r:.60}: expected a function (done, total), or progress="bar".')
    return contextlib.nullcontext(progress or _silent)


@contextlib.contextmanager
def _moving() -> Iterator[Callable[[int, int], Any]]:
    with bar() as shown:
        task = shown.add_task("compiling", total=None)
        yield lambda done, total: shown.update(task, description="training", completed=done, total=total)


def _silent(done: int, total: int) -> None:
    """Tell nobody."""
