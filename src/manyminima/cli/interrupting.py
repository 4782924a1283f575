"""A Ctrl-C that does not get lost.

Python drops an exception that is raised in a finalizer or in a callback of the garbage collector (JAX has one), and an interrupt
may come just then. So it is remembered, and raised again where the work next asks.
"""

import contextlib
import signal
import threading
from collections.abc import Iterator

__all__ = ["check", "remembered"]

_pressed = False


@contextlib.contextmanager
def remembered() -> Iterator[None]:
    """Remember Ctrl-C within this context, unless somebody else handles it."""
    global _pressed
    _pressed = False
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _remember)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def check() -> None:
    """Raise KeyboardInterrupt if Ctrl-C was pressed."""
    if _pressed:
        raise KeyboardInterrupt


def _remember(number, frame) -> None:
    global _pressed
    _pressed = True
    raise KeyboardInterrupt
