"""The ideas that are tried: each is a set of options, of which validation rows choose one."""

from dataclasses import dataclass

from quality.problem import BATCH, EPOCHS, per_epoch, seeds_of
from quality.rates import own_steps
from quality.trails import Trail

__all__ = ["CLOSE", "EMA", "IDEAS", "SINGLE", "Option"]

FINE = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4)
COARSE = (0.1, 0.2, 0.3)
SMALLER = {50: (0.05, 0.1, 0.15, 0.2), 25: (0.05, 0.075, 0.1)}  # peaks by rows in a batch
EMAS = ("ema 0.98", "ema 0.99", "ema 0.995")
SINGLE, EMA = "one cosine cycle", "moving average of a constant rate, one model"


@dataclass(frozen=True)
class Option:
    """One way to spend the budget.

    Attributes:
        rate: by name.
        peaks: one for each of the runs that share the budget.
        average: what a member is: the "newest" weights, "ema 0.99", or the "mean 3" of so many epochs' ends.
        steps: after which a member is taken, in each run.
        combine: "mean" of all members, "fitted" coefficients, or the mean of the "best newest" members.
        epochs: of each run.
        batch: rows in a batch.
        per_epoch: how often in an epoch a run is read.
    """

    rate: str
    peaks: tuple[float, ...]
    average: str = "newest"
    steps: tuple[int, ...] = ()
    combine: str = "mean"
    epochs: int = EPOCHS
    batch: int = BATCH
    per_epoch: int = 1

    def __post_init__(self):
        for name in ("peaks", "steps"):  # JSON has lists
            object.__setattr__(self, name, tuple(getattr(self, name)))
        object.__setattr__(self, "steps", self.steps or own_steps(self.rate, self.epochs, per_epoch(self.batch)))
        if self.epochs * len(self.peaks) > EPOCHS:
            raise ValueError(f"{self} takes more than the budget of {EPOCHS} epochs.")

    @property
    def members(self) -> int:
        """How many models predict together."""
        return len(self.steps) * len(self.peaks)

    def trails(self, seed: int) -> list[Trail]:
        """The runs of one seed."""
        pairs = zip(self.peaks, seeds_of(seed, len(self.peaks)), strict=True)
        return [Trail(self.rate, peak, own, self.epochs, self.batch, self.per_epoch) for peak, own in pairs]

    def __str__(self) -> str:
        peaks = " and ".join(f"{peak:g}" for peak in dict.fromkeys(self.peaks))
        epochs = [step / per_epoch(self.batch) for step in self.steps]
        many = f"{len(epochs)} members from epoch {epochs[0]:g} on" if len(epochs) > 1 else "at the end"
        runs = f", {len(self.peaks)} runs of {self.epochs} epochs" if len(self.peaks) > 1 else ""
        batch = f", batch {self.batch}" if self.batch != BATCH else ""
        how = f", {self.combine}" if self.combine != "mean" else ""
        return f"{self.rate}, peak {peaks}, {self.average} weights, {many}{runs}{batch}{how}"


def _ends(first: float, every: int, epochs: int = EPOCHS, batch: int = BATCH) -> tuple[int, ...]:
    """Steps of the last epoch's end and of every so manieth before it, from this share of the run on."""
    return tuple(sorted(epoch * per_epoch(batch) for epoch in range(epochs, 0, -every) if epoch > first * epochs))


def _one_model(rate: str, peaks: tuple[float, ...], averages: tuple[str, ...], batch: int = BATCH) -> list[Option]:
    end = _ends(0.999, 1, batch=batch)
    return [Option(rate, (peak,), average, end, batch=batch) for peak in peaks for average in averages]


def _own(rate: str, averages: tuple[str, ...] = ("newest",), **how) -> list[Option]:
    """Members where the rate's own recipe collects them."""
    return [Option(rate, (peak,), average, **how) for peak in COARSE for average in averages]


def _at_intervals(
    rate: str, peaks: tuple, averages: tuple[str, ...], firsts: tuple[float, ...], everys: tuple[int, ...], **how
) -> list[Option]:
    """Members at intervals; each entry of `peaks` is one peak for each run."""
    size = {"epochs": how.get("epochs", EPOCHS), "batch": how.get("batch", BATCH)}
    return [
        Option(rate, own, average, _ends(first, every, **size), **how)
        for own in peaks
        for average in averages
        for first in firsts
        for every in everys
    ]


def _alone(peaks: tuple[float, ...], runs: int = 1) -> tuple:
    return tuple((peak,) * runs for peak in peaks)


def _shared(runs: int) -> list[Option]:
    """A deep ensemble: ordinary runs that share the budget."""
    return [Option("cosine", own, epochs=EPOCHS // runs) for own in _alone(COARSE, runs)]


_FIRSTS, _EVERYS = (0.3, 0.5, 0.7), (1, 2, 4)
_SHORT = {"averages": EMAS, "firsts": (0.3, 0.5, 0.7), "everys": (1, 2, 3)}
_OFTEN = {100: (0.15, 0.2), 50: (0.075, 0.1, 0.125), 25: (0.05,)}


def _often(batch: int, peaks: tuple[float, ...], averages: tuple[str, ...]) -> list[Option]:
    """Members four times an epoch, or twice, along a constant rate."""
    return [
        Option("constant", (peak,), average, _quarters(first, every, batch), batch=batch, per_epoch=4)
        for peak in peaks
        for average in averages
        for first in _FIRSTS
        for every in (1, 2)
    ]


def _quarters(first: float, every: int, batch: int) -> tuple[int, ...]:
    quarter = per_epoch(batch) // 4
    return tuple(n * quarter for n in range(4 * EPOCHS, 0, -every) if n > 4 * first * EPOCHS)[::-1]


_TWO = ((0.1, 0.2), (0.15, 0.2), (0.2, 0.25), (0.2, 0.3))

IDEAS: dict[str, list[Option]] = {
    SINGLE: _one_model("cosine", FINE, ("newest",)),
    EMA: _one_model("constant", FINE, EMAS),
    "mean of the last epochs (polyak), one model": _one_model(
        "constant", FINE, ("mean 5", "mean 10", "mean 20", "mean 30")
    ),
    "moving average along a cosine, one model": _one_model("cosine", FINE, EMAS),
    "checkpoints along a constant rate": _at_intervals("constant", _alone(FINE), ("newest",), _FIRSTS, _EVERYS),
    "moving averages along a constant rate": _at_intervals("constant", _alone(FINE), EMAS, _FIRSTS, _EVERYS),
    "moving averages of the last fifth of a constant rate": _at_intervals(
        "constant", _alone(FINE), EMAS, (0.8,), (1, 2)
    ),
    "members along a constant rate, coefficients fitted": _at_intervals(
        "constant", _alone(FINE), ("newest", "ema 0.98"), (0.3, 0.5), (2, 4), combine="fitted"
    ),
    "window means along a constant rate": _at_intervals(
        "constant", _alone(FINE), ("mean 2", "mean 3", "mean 5"), _FIRSTS, _EVERYS
    ),
    "moving averages along a constant rate, batches of 50": _at_intervals(
        "constant", _alone(SMALLER[50]), EMAS, _FIRSTS, _EVERYS, batch=50
    ),
    "checkpoints along a constant rate, batches of 50": _at_intervals(
        "constant", _alone(SMALLER[50]), ("newest",), _FIRSTS, _EVERYS, batch=50
    ),
    "moving average, one model, batches of 50": _one_model("constant", SMALLER[50], EMAS, batch=50),
    "checkpoints four times an epoch": _often(100, _OFTEN[100], ("newest",)),
    "means of 2 or 4 checkpoints, four times an epoch": _often(100, _OFTEN[100], ("mean 2", "mean 4")),
    "checkpoints four times an epoch, batches of 50": _often(50, _OFTEN[50], ("newest",)),
    "means of 2 or 4 checkpoints, four times an epoch, batches of 50": _often(50, _OFTEN[50], ("mean 2", "mean 4")),
    "checkpoints four times an epoch, batches of 25": _often(25, _OFTEN[25], ("newest",)),
    "means of 2 or 4 checkpoints, four times an epoch, batches of 25": _often(25, _OFTEN[25], ("mean 2", "mean 4")),
    "moving averages, 2 runs of half the budget": _at_intervals(
        "constant", _alone((*COARSE, 0.15, 0.25), 2), EMAS, _FIRSTS, _EVERYS, epochs=30
    ),
    "moving averages, 2 runs of half the budget, batches of 50": _at_intervals(
        "constant", _alone((0.1, 0.15, 0.2), 2), EMAS, _FIRSTS, _EVERYS, epochs=30, batch=50
    ),
    "moving averages, 3 runs of a third": _at_intervals("constant", _alone(COARSE, 3), **_SHORT, epochs=20),
    "snapshot, 5 cycles": _own("snapshot-5"),
    "moving averages at the lows of 5 cosine cycles": _own("snapshot-5", EMAS),
    "fge, 6 cycles": _own("fge-6"),
    "swa, one model": _one_model("swa", COARSE, ("mean 15",)),
    "snapshot, 3 cycles": _own("snapshot-3"),
    "moving averages at the lows of 3 cosine cycles": _own("snapshot-3", EMAS),
    "moving averages all along 3 cosine cycles": _at_intervals("snapshot-3", _alone(COARSE), EMAS, _FIRSTS, _EVERYS),
    "snapshot, 6 cycles": _own("snapshot-6"),
    "snapshot, 6 cycles, the best newest": _own("snapshot-6", combine="best newest"),
    "moving averages at the lows of 6 cosine cycles": _own("snapshot-6", EMAS),
    "2 nets of half the budget each": _shared(2),
    "3 nets of a third each": _shared(3),
    "5 nets of a fifth each": _shared(5),
    "cyclic, 6 cycles": _own("cyclic-6"),
    "one cosine cycle, batches of 50": _one_model("cosine", SMALLER[50], ("newest",), batch=50),
    "moving averages along a constant rate, batches of 25": _at_intervals(
        "constant", _alone(SMALLER[25]), EMAS, _FIRSTS, _EVERYS, batch=25
    ),
    "checkpoints along a constant rate, batches of 25": _at_intervals(
        "constant", _alone(SMALLER[25]), ("newest",), _FIRSTS, _EVERYS, batch=25
    ),
    "moving average, one model, batches of 25": _one_model("constant", SMALLER[25], EMAS, batch=25),
    "moving averages at the lows of waves, after converging": _own("waves-6", EMAS),
    "constant rate, last weights": _one_model("constant", FINE, ("newest",)),
    "moving averages, 2 runs of half, two peaks": _at_intervals("constant", _TWO, EMAS, _FIRSTS, (1, 2), epochs=30),
}

CLOSE = [
    option for option in IDEAS[SINGLE] if option.peaks[0] in (0.2, 0.25, 0.3)
]  # four seeds cannot tell these apart
