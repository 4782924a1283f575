"""Methods from papers: how fast to learn, and when to collect.

A recipe is a frozen dataclass whose parameters are shares of the run, never steps. `plan(epochs, steps_per_epoch)` turns it
into functions of the step; `mm.Collect` calls it, because `fit` knows both numbers. `peak=None` means: the optimizer's own
learning rate. Recipes that are averages of weights also have `fold(into)`: what is collected into, given a directory or None.
This module's `__all__` is what the command line offers.
"""

from manyminima.recipes.averages import ema, lawa, polyak, swa
from manyminima.recipes.members import checkpoints, cyclic, fge, snapshot
from manyminima.recipes.plan import Plan as Plan
from manyminima.recipes.plan import Recipe as Recipe

__all__ = ["checkpoints", "cyclic", "ema", "fge", "lawa", "polyak", "snapshot", "swa"]
