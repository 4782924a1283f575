"""Probabilities that mean what they say: fitted on rows that nothing was trained on, used on others.

Combine first, calibrate after: what is calibrated here is one prediction, such as `combine.mean(probs)`.
"""

from manyminima.calibrate.crossing import cross_fitted
from manyminima.calibrate.curves import Isotonic, isotonic
from manyminima.calibrate.scaling import Temperature, temperature

__all__ = ["Isotonic", "Temperature", "cross_fitted", "isotonic", "temperature"]
