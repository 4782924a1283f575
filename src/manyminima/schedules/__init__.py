"""Learning rates as functions of the step, named for their shape.

A schedule is a frozen dataclass: `schedule(step)` is the rate served to the 0-based batch `step`. A plain number (or
NumPy array) of steps gives plain float64 numbers, which is what plots and tables use; a backend's tensor is traced, so the
same object runs inside the compiled training step. Each one is an ordinary Keras `LearningRateSchedule` and can be given to
any Keras optimizer.

Phases are computed in integers: step 10,000,000 is as exact as step 10, also where the backend knows float32 only.
"""

from manyminima.schedules.cycles import CosineCycles, Triangular
from manyminima.schedules.pieces import Constant, Joined, Linear, Staircase

__all__ = ["Constant", "CosineCycles", "Joined", "Linear", "Staircase", "Triangular"]
