"""The two recipes behind the callbacks of this folder: cycles that were counted in epochs before the run is known."""

from dataclasses import dataclass
from fractions import Fraction

from manyminima.recipes import Plan, snapshot
from manyminima.recipes.plan import check_whole
from manyminima.schedules import CosineCycles
from manyminima.when import At

__all__ = ["EpochCycles", "GrowingCycles"]


@dataclass(frozen=True)
class EpochCycles:
    """Equal cosine cycles over a number of epochs that is told beforehand; the rate changes once an epoch.

    `mm.recipes.snapshot(cycles, peak, update="epoch")` for a run that must be as long as was said. Exactly `cycles` members:
    where the epochs cannot be divided equally, some cycles are an epoch longer than others.

    Args:
        epochs: of the run.
        cycles: number of cycles, and of members; at most one for each epoch.
        peak: learning rate at each restart.
    """

    epochs: int
    cycles: int
    peak: float

    def __post_init__(self):
        for name in ("epochs", "cycles"):
            value = getattr(self, name)
            if isinstance(value, float) and value.is_integer():  # n_epochs / 50, as people write it, is 10.0
                object.__setattr__(self, name, int(value))
            check_whole(self, name)
        if self.cycles > self.epochs:
            raise ValueError(
                f"{self}: {self.cycles} snapshots do not fit into {self.epochs} epochs, since each cycle takes one at least. "
                f"Ask for {self.epochs} or fewer, train longer, or let the rate change at every batch: "
                f'mm.Collect(mm.recipes.snapshot(cycles={self.cycles}, peak={self.peak}), into="runs/x").'
            )

    def plan(self, epochs: int, steps_per_epoch: int) -> Plan:
        """Return cosine cycles that fill the run, and their ends."""
        if epochs != self.epochs:
            raise ValueError(
                f"{self} was told of {self.epochs} epochs, but this fit trains {epochs}. "
                f"Write model.fit(…, epochs={self.epochs}), or tell it {epochs}."
            )
        return snapshot(self.cycles, self.peak, update="epoch").plan(epochs, steps_per_epoch)


@dataclass(frozen=True)
class GrowingCycles:
    """Cosine cycles that get longer and lower, changed at every batch; a member at the end of each that the run completes.

    A last cycle that the run's end cuts off is still at a high rate: no member is taken there.

    Args:
        cycle_length: epochs of the first cycle.
        cycle_length_multiplier: how many times as long each next cycle is; 1, or at least 1.001.
        lr_init: rate at the start of the first cycle.
        lr_min: rate that the first cycle falls towards.
        lr_multiplier: factor on both rates of each next cycle.
        num_snapshots: keep to the newest so many; None collects nothing but the run's last weights.
    """

    cycle_length: float = 10
    cycle_length_multiplier: float = 1.5
    lr_init: float = 0.01
    lr_min: float = 1e-6
    lr_multiplier: float = 0.9
    num_snapshots: int | None = None

    def __post_init__(self):
        grows = self.cycle_length_multiplier == 1 or self.cycle_length_multiplier >= 1.001
        rates = 0 <= self.lr_min < self.lr_init and self.lr_multiplier > 0
        if not (self.cycle_length > 0 and grows and rates):
            raise ValueError(
                f"{self}: expected cycle_length > 0, cycle_length_multiplier of 1 or at least 1.001, 0 <= lr_min < lr_init and "
                f"lr_multiplier > 0."
            )
        if self.num_snapshots is not None:
            check_whole(self, "num_snapshots")

    def schedule(self, steps_per_epoch: int) -> CosineCycles:
        """Return the rate as a function of the step."""
        length = Fraction(self.cycle_length).limit_denominator(1000) * steps_per_epoch
        return CosineCycles(self.lr_init, length, self.lr_min, self.cycle_length_multiplier, self.lr_multiplier)

    def ends(self, epochs: int, steps_per_epoch: int) -> list[int]:
        """Return the number of batches after which each of the complete cycles is over."""
        lr, total = self.schedule(steps_per_epoch), epochs * steps_per_epoch
        return [n for n in lr.ends(int(total / Fraction(lr.length))) if n <= total]

    def plan(self, epochs: int, steps_per_epoch: int) -> Plan:
        """Return the cycles, and the ends of the newest complete ones."""
        lr = self.schedule(steps_per_epoch)
        if self.num_snapshots is None:
            return Plan(lr, At((epochs * steps_per_epoch,)))
        if Fraction(lr.length) < 1:
            raise ValueError(
                f"{self}: with {steps_per_epoch} batches an epoch, the first cycle is shorter than a batch. Write cycle_length=1."
            )
        ends = self.ends(epochs, steps_per_epoch)
        if not ends:
            raise ValueError(
                f"{self}: the first cycle takes {self.cycle_length} epochs and this fit trains {epochs}, so nothing would be "
                f"saved. Write cycle_length={epochs}, or model.fit(…, epochs={-int(-self.cycle_length // 1)})."
            )
        return Plan(lr, At(tuple(ends[-self.num_snapshots :])))
