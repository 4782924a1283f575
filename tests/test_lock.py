"""One writer to a run: whom the lock names, what outlives SIGKILL, and what nobody else notices."""

import json
import os
import platform
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

import manyminima as mm
from manyminima.runs import lock

ARRAYS = [np.arange(6, dtype="float32")]
WRITER = """
import sys, numpy as np
from manyminima.runs.snapshots import Snapshots
run = Snapshots(sys.argv[1])
run.add([np.zeros(6, "float32")], 1)
print("written", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def writer(tmp_path):
    """Another process that holds the lock of a run until it is told to end."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "run")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "written\n"
    yield process
    process.kill()
    process.communicate()


def test_another_process_is_named(writer, tmp_path):
    run = tmp_path / "run"
    with pytest.raises(
        FileExistsError, match=rf"being written by process {writer.pid} on host .* since 20.*Wait until"
    ):
        lock.take(run)
    with pytest.raises(
        FileExistsError, match=rf"already holds a run .* written by process {writer.pid} .*Choose another"
    ):
        mm.Snapshots(run).add(ARRAYS, 2)
    assert lock.holder(run).runs
    # Readers never look at it.
    assert len(mm.Snapshots(run)) == 1
    assert mm.Snapshots(run).problems() == []


def test_the_lock_of_a_killed_process_is_taken_over(writer, tmp_path):
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    named = lock.holder(tmp_path / "run")
    assert (named.pid, named.runs) == (writer.pid, False)
    taken = lock.take(tmp_path / "run")
    assert lock.holder(tmp_path / "run").pid == os.getpid()
    taken.release()


def test_a_process_that_ends_leaves_no_lock(writer, tmp_path):
    writer.communicate("\n")
    assert not (tmp_path / "run" / "lock").exists()


def test_a_number_that_is_used_again_is_another_process(tmp_path):
    (tmp_path / "lock").write_text(json.dumps({"pid": os.getpid(), "host": platform.node(), "started": "long ago"}))
    assert not lock.holder(tmp_path).runs
    lock.take(tmp_path).release()


def test_a_lock_of_another_host_says_how_to_remove_it(tmp_path):
    path = tmp_path / "lock"
    path.write_text(json.dumps({"pid": 7, "host": "far-away", "since": "2026-01-02T03:04:05", "command": "train.py"}))
    with pytest.raises(
        FileExistsError, match=rf"process 7 on host 'far-away' since 2026.*\(train.py\).*If it has: rm '{path}'"
    ):
        lock.take(tmp_path)
    path.unlink()
    lock.take(tmp_path).release()


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"pid": "1", "host": "a"}', b'{"pid": 1}', b'{"pid": 1, "host": "a", "x": 0}', b"\xff"],
)
def test_a_lock_that_says_nothing_is_nobodys(tmp_path, content):
    (tmp_path / "lock").write_bytes(content)
    assert lock.holder(tmp_path) is None
    lock.take(tmp_path).release()


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "lock").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="lock"):
        lock.take(tmp_path)
    assert (tmp_path / "precious").read_text() == "mine"


def test_the_same_process_takes_its_lock_over(tmp_path):
    first = lock.take(tmp_path)
    second = lock.take(tmp_path)
    assert (first.held, second.held) == (False, True)
    first.release()
    assert (tmp_path / "lock").exists()
    second.release()
    second.release()
    assert not (tmp_path / "lock").exists()


def test_a_lock_removed_by_hand_is_lost(tmp_path):
    run = mm.Snapshots(tmp_path / "run")
    run.add(ARRAYS, 1)
    (tmp_path / "run" / "lock").unlink()
    run.add(ARRAYS, 2)  # nobody has come
    (tmp_path / "run" / "lock").write_text("somebody else's")
    with pytest.raises(FileExistsError, match="another run has begun to write .*Give each run a directory of its own"):
        run.add(ARRAYS, 3)
    assert len(mm.Snapshots(tmp_path / "run")) == 2


def test_a_forked_child_does_not_hold_it(tmp_path):
    """Data loaders fork; one that outlives its killed parent must not keep the run locked, nor release it at its end."""
    program = f"""
import os, signal, sys, time
from pathlib import Path
from manyminima.runs import lock
held = lock.take(Path({str(tmp_path)!r}))
if os.fork() == 0:
    held.release()
    print("child", flush=True)
    time.sleep(30)
    os._exit(0)
time.sleep(0.3)
os.kill(os.getpid(), signal.SIGKILL)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert process.stdout.readline() == "child\n"
        assert (tmp_path / "lock").exists()
        process.wait()
        lock.take(tmp_path).release()
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.stdout.close()


def test_only_one_of_many_gets_it(tmp_path):
    """Threads of this process stand for processes: each opens the file by itself."""
    got, refused, gate = [], [], threading.Barrier(8)

    def race():
        gate.wait()
        try:
            got.append(lock._open(tmp_path / "lock", tmp_path))
        except FileExistsError:
            refused.append(1)

    threads = [threading.Thread(target=race) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(got), len(refused)) == (1, 7)
    os.close(got[0])


def test_a_run_that_was_read_is_not_written_to(tmp_path):
    mm.Snapshots(tmp_path / "run").add(ARRAYS, 1)
    again = mm.Snapshots(tmp_path / "run")
    assert len(again) == 1
    with pytest.raises(FileExistsError, match="never overwritten"):
        again.add(ARRAYS, 2)
    assert len(mm.Snapshots(tmp_path / "run")) == 1
