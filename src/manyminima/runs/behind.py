"""Writing that does not stop training: calls made in order by one thread behind it, and their errors brought to the front."""

from collections.abc import Callable, Hashable
from concurrent import futures
from typing import Any
from weakref import WeakSet

__all__ = ["Behind", "settle"]


class Behind:
    """One thread that makes calls in the order they come; of each kind one call at most is under way or waits.

    A second call of a kind waits for the first, so that memory and what a crash can lose are bounded. Python finishes calls
    under way before it exits, also after an exception or Ctrl-C.

    Attributes:
        failed: whether a call has raised; `check` and `close` raise it in the caller's thread.
        closed: whether it has ended.
    """

    def __init__(self):
        self._thread = futures.ThreadPoolExecutor(max_workers=1, thread_name_prefix="manyminima-writer")
        self._calls: dict[Hashable, futures.Future] = {}
        self._last: list[Callable[[], Any]] = []
        self.failed = self.closed = False
        _LIVE.add(self)

    def submit(self, kind: Hashable, call: Callable[..., Any], *args: Any) -> None:
        """Have `call(*args)` made soon, after the call of this kind before; raise what that one raised."""
        if kind in self._calls:
            self._calls[kind].result()
        self._calls[kind] = self._thread.submit(self._make, call, *args)

    def _make(self, call: Callable[..., Any], *args: Any) -> None:
        try:
            call(*args)
        except BaseException:
            self.failed = True
            raise

    def check(self) -> None:
        """Raise the error of a call that has failed."""
        if self.failed:
            self.close()

    def at_end(self, call: Callable[[], Any]) -> None:
        """Have `call()` made when all other calls are made and this is closed, also if one of them failed."""
        self._last.append(call)

    def close(self) -> None:
        """Return when all calls are made and the thread has ended; raise the error of a call that failed."""
        self._thread.shutdown()
        self.closed = True
        while self._last:
            self._last.pop()()
        for call in self._calls.values():
            call.result()


_LIVE: WeakSet[Behind] = WeakSet()


def settle() -> None:
    """Return when nothing is being written by this process any more, well or not: what is read then is complete."""
    futures.wait([call for behind in list(_LIVE) for call in list(behind._calls.values())])
