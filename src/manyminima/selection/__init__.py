"""Which members to combine, and how much of each: coefficients with a proof, and simpler choices beside them."""

from manyminima.selection.caruana import greedy
from manyminima.selection.chosen import Selection
from manyminima.selection.fitting import fit_coefficients
from manyminima.selection.recent import newest
from manyminima.selection.sizes import scores_by_size

__all__ = ["Selection", "fit_coefficients", "greedy", "newest", "scores_by_size"]
