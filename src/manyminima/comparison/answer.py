"""The answer of a study: what it shows in a terminal, in a notebook, and in files."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from manyminima.comparison.results import Row
from manyminima.reporting.files import json_data, write_text

__all__ = ["Study"]


@dataclass(frozen=True)
class Study:
    """What every method is worth against one ordinary run of the same length.

    `print(study)` shows it in the terminal; `to_html` and `to_json` write files.

    Attributes:
        headline: The answer in one sentence.
        rows: Every method, the single run first.
        sentences: Each method against the single run.
        notes: What the numbers are, and what they do not show.
        metric: The one that the headline is about.
        about: Data, model, budget, peaks, versions, and the seconds of training.
    """

    headline: str
    rows: tuple[Row, ...]
    sentences: tuple[str, ...]
    notes: tuple[str, ...]
    metric: str
    about: dict[str, Any]

    @property
    def winner(self) -> Row:
        """The method to use: the best of those that beat the single run, by `metric`; the single run if none does."""
        from manyminima.comparison import verdict

        return next(iter(verdict.better(self.rows, self.metric)), self.rows[0])

    def to_dict(self) -> dict[str, Any]:
        """The study as JSON data; what is not finite is None."""
        return json_data({**asdict(self), "winner": self.winner.name})

    def to_json(self, path: str | Path) -> Path:
        """Write the study as JSON; folders on the way are made."""
        return write_text(path, json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n")

    def to_html(self, path: str | Path) -> Path:
        """Write the study as one page that needs no other file and no network; folders on the way are made."""
        from manyminima.comparison import showing

        return write_text(path, showing.page(self))

    def __repr__(self) -> str:
        return f"Study({len(self.rows)} methods, {self.about['seeds']} seeds: {self.headline!r})"

    def __str__(self) -> str:
        from manyminima.comparison import showing
        from manyminima.reporting.terminal import as_text

        return as_text(showing.renderable(self))

    def __rich__(self):
        from manyminima.comparison import showing

        return showing.renderable(self)

    def _repr_html_(self) -> str:
        from manyminima.comparison import showing

        return showing.fragment(self)
