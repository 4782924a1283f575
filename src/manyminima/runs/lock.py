"""One writer to a run: a lock that says who holds it, and that ends with its process, however that ends. No Keras.

The lock is the operating system's own, on the file `lock` in the run: the kernel lets go of it when the process ends, also
after SIGKILL, and a process number that is used again cannot be mistaken for it. What the file says serves people, and
hosts that share a folder without sharing locks. Readers never look at it.
"""

import contextlib
import datetime
import json
import os
import platform
import sys
import weakref
from dataclasses import asdict, dataclass
from pathlib import Path

from manyminima.runs.strict import parse, read_bytes

__all__ = ["Holder", "Lock", "holder", "take"]

NAME = "lock"


@dataclass(frozen=True)
class Holder:
    """The process that a lock names.

    Args:
        pid: its number.
        host: the machine it runs on.
        since: when it took the lock, UTC.
        started: when the process began, as the machine's kernel counts it; tells it from a later one of the same number.
        command: how it was started.
    """

    pid: int
    host: str
    since: str = ""
    started: str = ""
    command: str = ""

    def __str__(self):
        since = f" since {self.since}" if self.since else ""
        return f"process {self.pid} on host '{self.host}'{since}" + (f" ({self.command})" if self.command else "")

    @property
    def elsewhere(self) -> bool:
        """Whether it runs on another host, where nothing is known about it."""
        return self.host != platform.node()

    @property
    def runs(self) -> bool:
        """Whether it is a process of this host that has not ended."""
        if self.elsewhere:
            return False
        started = _started(self.pid)
        return started == self.started if started else started is not None and _exists(self.pid)


def holder(folder: Path) -> Holder | None:
    """Return whom the lock of a run names, alive or not; None if there is no lock, or it does not say."""
    try:
        known = parse(read_bytes(folder / NAME))
        found = Holder(**known)
    except (OSError, ValueError, TypeError):
        return None
    texts = (found.host, found.since, found.started, found.command)
    return found if type(found.pid) is int and all(isinstance(text, str) for text in texts) else None


class Lock:
    """The right to write to one run, until `release`, the end of this object, or the end of the process.

    Attributes:
        path: the file, from the root of the file system.
    """

    def __init__(self, path: Path, descriptor: int):
        self.path, self._descriptor = path, descriptor
        self._end = weakref.finalize(self, _release, path, descriptor)
        _HELD[str(path)] = self

    def release(self) -> None:
        """Let others write; calling it again does nothing."""
        self._end()

    @property
    def held(self) -> bool:
        """Whether nobody else has begun to write meanwhile."""
        return self._end.alive and _is(self.path, self._descriptor)

    def hand_over(self) -> int:
        """Return the open file, which is the taker's from now on."""
        self._end.detach()
        return self._descriptor


_HELD: "weakref.WeakValueDictionary[str, Lock]" = weakref.WeakValueDictionary()


def take(folder: Path) -> Lock:
    """Return the lock of a run. One that this very process holds already changes hands; a dead process's is taken over.

    Raises:
        FileExistsError: another process is writing; the message says which, where, and since when.
        OSError: the folder cannot be written to.
    """
    path = Path(os.path.realpath(folder), NAME)
    earlier = _HELD.get(str(path))
    descriptor = earlier.hand_over() if earlier is not None and earlier.held else _open(path, folder)
    try:
        _write(descriptor)
    except OSError:
        _release(path, descriptor)
        raise
    return Lock(path, descriptor)


def _open(path: Path, folder: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
        named = holder(path.parent)
        if not _try(descriptor, named):
            os.close(descriptor)
            raise FileExistsError(
                f"'{folder}' is being written by {named or 'another process'}. Wait until it has ended, or give this run "
                f"a directory of its own."
            )
        if not _is(path, descriptor):  # its holder ended, and removed it, between the two lines above
            os.close(descriptor)
            continue
        if named is not None and named.elsewhere:
            os.close(descriptor)
            raise FileExistsError(
                f"'{folder}' is being written by {named}, as '{folder / NAME}' says, and from here, '{platform.node()}', nobody "
                f"can see whether it has ended. If it has: rm '{folder / NAME}'"
            )
        return descriptor


def _try(descriptor: int, named: Holder | None) -> bool:
    """Lock the open file for this process; where the file system has no locks, tell by the process that the file names."""
    try:
        _lock(descriptor)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return named is None or not named.runs
    return True


if sys.platform == "win32":  # pragma: no cover
    import msvcrt

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, 1 << 30, os.SEEK_SET)  # a byte behind the text, which stays readable
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _write(descriptor: int) -> None:
    since = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    command = " ".join([os.path.basename(sys.executable), *sys.argv])[:200]
    me = Holder(os.getpid(), platform.node(), since, _started(os.getpid()) or "", command)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.ftruncate(descriptor, 0)
    os.write(descriptor, json.dumps(asdict(me), indent=1).encode())


def _release(path: Path, descriptor: int) -> None:
    with contextlib.suppress(OSError):  # a folder that has vanished, or Windows, which keeps open files
        if _is(path, descriptor):
            os.unlink(path)  # while it is still ours: nobody else can have locked this file
    with contextlib.suppress(OSError):
        os.close(descriptor)


def _is(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.lstat(path), os.fstat(descriptor))
    except OSError:
        return False


def _started(pid: int) -> str | None:
    """Return when a process of this host began, in words of its kernel; None if there is none, "" where it is not told."""
    if not os.path.isdir("/proc/self"):
        return ""
    try:
        ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip() + " " + ticks
    except (OSError, IndexError):
        return None


def _exists(pid: int) -> bool:
    if os.name != "posix":  # where this very call would end the process
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _leave_to_parent() -> None:
    """In a forked child: close its copies, which would hold the locks when the parent has ended."""
    for lock in list(_HELD.values()):
        with contextlib.suppress(OSError):
            os.close(lock.hand_over())
    _HELD.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)
