"""Members are written behind training: what is written, when errors come to the front, and what a reader sees."""

import shutil
import threading
import time

import keras
import pytest

import manyminima as mm
from manyminima.runs import snapshots
from manyminima.runs.behind import Behind, settle
from problems import assert_same, compiled, data

X, Y = data(96)
RECIPE = mm.recipes.checkpoints(every=1)


def fit(model, *callbacks, epochs=4):
    model.fit(X, Y, batch_size=16, epochs=epochs, verbose=0, callbacks=list(callbacks))


def test_calls_are_made_in_order_and_one_of_a_kind_waits():
    behind, made, gate = Behind(), [], threading.Event()
    behind.submit("a", gate.wait)
    behind.submit("b", made.append, 1)
    behind.submit("c", made.append, 2)
    waiting = threading.Thread(target=behind.submit, args=("a", made.append, 3))
    waiting.start()
    waiting.join(0.05)
    assert waiting.is_alive()
    assert made == []
    gate.set()
    waiting.join()
    behind.close()
    assert made == [1, 2, 3]
    assert not any(thread.is_alive() for thread in behind._thread._threads)


def test_errors_come_to_the_front():
    behind = Behind()
    behind.submit("a", {}.pop, "missing")
    settle()
    assert behind.failed
    with pytest.raises(KeyError, match="missing"):
        behind.submit("a", print)
    with pytest.raises(KeyError, match="missing"):
        behind.check()


@pytest.fixture
def gate(monkeypatch):
    """Holds every member back until it is opened, then writes it as ever."""
    opened, write = threading.Event(), snapshots.write_member
    monkeypatch.setattr(snapshots, "write_member", lambda *given: opened.wait() and write(*given))
    return opened


def test_a_member_is_that_of_its_step_however_late_it_is_written(tmp_path, gate):
    run, seen = mm.Snapshots(tmp_path / "run"), []

    class Opens(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append([w.copy() for w in self.model.get_weights()])

        def on_train_batch_end(self, batch, logs=None):
            if len(seen) == 1 and batch == 3:  # well into the second epoch
                assert not list((run.path / "members").glob("[!.]*"))
                gate.set()

    fit(compiled(), mm.Collect(RECIPE, into=run), Opens())
    for found, expected in zip(run, seen, strict=True):
        assert_same(found, expected)


def test_what_fails_ends_the_training_with_its_error(tmp_path):
    """At the next step, not at the next member; what was written stays, and the rate is put back by the next Collect."""
    path, steps = tmp_path / "run", []

    class Removes(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                settle()
                shutil.move(path / "members", tmp_path / "moved")

        def on_train_batch_end(self, batch, logs=None):
            steps.append(batch)
            if len(steps) > 12:
                time.sleep(0.2)

    with pytest.raises(OSError, match=r"cannot write .*members/r000-s000000.*What was written before is complete"):
        fit(compiled(), mm.Collect(RECIPE, into=path), Removes(), epochs=8)
    assert len(steps) <= 14
    shutil.move(tmp_path / "moved", path / "members")
    assert len(mm.load(path)) == 1


def test_what_fails_at_the_end_is_told_at_the_end(tmp_path):
    path = tmp_path / "run"

    class Removes(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 3:
                settle()
                shutil.rmtree(path / "members")

    with pytest.raises(OSError, match=r"cannot write .*members/r000-s000000.*What was written before is complete"):
        fit(compiled(), mm.Collect(RECIPE, into=path), Removes())


def test_after_an_exception_what_was_collected_is_complete(tmp_path, gate):
    class Crash(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            threading.Timer(0.1, gate.set).start()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(compiled(), mm.Collect(RECIPE, into=tmp_path / "run"), Crash())
    assert len(mm.Snapshots(tmp_path / "run")) == 1
