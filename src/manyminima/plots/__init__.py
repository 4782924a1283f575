"""Pictures: each function draws on the Axes it is given, or on a figure of its own, and returns the Axes.

A figure of its own is never registered with pyplot, so nothing pops up and nothing has to be closed:

```python
plots.score_by_size(y, probs).figure.savefig("sizes.png")
```
"""

from manyminima.plots.curves import learning_curves
from manyminima.plots.doubt import risk_coverage
from manyminima.plots.effects import forest
from manyminima.plots.lines import barrier
from manyminima.plots.pairs import correlation, disagreement
from manyminima.plots.rates import learning_rate
from manyminima.plots.sizes import averages, score_by_size
from manyminima.plots.trust import confusion, predicted, reliability

__all__ = [
    "averages",
    "barrier",
    "confusion",
    "correlation",
    "disagreement",
    "forest",
    "learning_curves",
    "learning_rate",
    "predicted",
    "reliability",
    "risk_coverage",
    "score_by_size",
]
