"""What the columns of a table hold, told from its training rows alone, and their cells as numbers.

A number stays as it is, NaN where it is missing; true and false are 1 and 0; a category is its place in the vocabulary,
counted from 1, and 0 where the vocabulary does not have it. What a model makes of these is in `manyminima.zoo.tables`.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import repeat
from typing import Any

import numpy as np

NUMBERS = ("number", "boolean")
USED = (*NUMBERS, "category")

FEW = 20  # different values up to which numbers may be names of something
_LARGEST_VOCABULARY = 1000
_FEWEST_OF_ONE = 2  # rows that make a word known; rarer ones are what an unknown one is
_COUNTED_NUMBERS, _COUNTED_WORDS = 1000, 50_000
_DATE = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([ T].*)?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2}(\d{2})?([ T].*)?")
_COMMA = re.compile(r"[-+]?\d+(\.\d{3})*,\d+")
_TRUTH = {"true": 1, "yes": 1, "y": 1, "t": 1, "false": 0, "no": 0, "n": 0, "f": 0}


@dataclass(frozen=True)
class Column:
    """One column of a table, as a run keeps it.

    Args:
        name: as in the header.
        kind: "number", "boolean" or "category" where it is used; "id", "text", "count", "constant" or "dropped" where not.
        categories: of a category, most frequent first; "" stands for a missing cell.
        center: median of the training rows' numbers, which stands in for a missing one.
        variance: of the training rows' numbers.
        missing: training rows without a value.
        distinct: different values in the training rows, where they were counted.
    """

    name: str
    kind: str
    categories: tuple[str, ...] = ()
    center: float = 0.0
    variance: float = 1.0
    missing: int = 0
    distinct: int | None = None

    @property
    def used(self) -> bool:
        """Whether a model gets it."""
        return self.kind in USED

    @cached_property
    def _codes(self) -> dict[str, int]:
        return {word: code for code, word in enumerate(self.categories, start=1)}

    def encode(self, cells: Sequence[str], first: int, path: Any) -> np.ndarray:
        """Return the cells as numbers, (rows,) float32.

        Args:
            cells: of this column.
            first: number of the first row, for errors.
            path: of the file, for errors.

        Raises:
            ValueError: text in a column of numbers, or a number that is infinite or too large for float32.
        """
        if self.kind == "category":
            return np.fromiter(map(self._codes.get, cells, repeat(0)), np.float32, len(cells))
        found = numbers(cells) if self.kind == "number" else _truths(cells)
        if found is None:
            fits = _is_number if self.kind == "number" else _is_truth
            row = next(i for i, cell in enumerate(cells) if cell and not fits(cell))
            kinds = {"number": "numbers", "boolean": "true or false"}[self.kind]
            raise ValueError(
                f"row {first + row} below the header of '{path}' has {cells[row]!r:.60} in column {self.name!r}, which holds "
                f"{kinds} in the training rows. Correct the cell, or leave it empty if the value is missing."
            )
        large = np.abs(found) > np.finfo(np.float32).max
        if large.any():
            row = int(np.argmax(large))
            raise ValueError(
                f"row {first + row} below the header of '{path}' has {cells[row]!r:.60} in column {self.name!r}. Expected a "
                f"finite number that float32 can hold: correct the cell, or leave it empty."
            )
        return found.astype(np.float32)

    def unknown(self, cells: Sequence[str]) -> Counter[str]:
        """Count the words that the vocabulary does not have."""
        strange = set(cells) - self._codes.keys() - {""} if self.kind == "category" else ()
        return Counter(filter(strange.__contains__, cells) if strange else ())

    def fitted(self, values: np.ndarray, path: Any) -> "Column":
        """Return the column with the median and the variance of these numbers, (rows,) with NaN where one is missing."""
        if self.kind not in NUMBERS:
            return self
        there = values[~np.isnan(values)].astype(np.float64)
        variance = float(there.var())
        if variance == 0:
            raise ValueError(
                f"column {self.name!r} of '{path}' varies by less than float32 can tell around {there[0]:.15g}. Subtract that "
                f"from it in the file, or leave the column out: --drop {self.name!r}."
            )
        return replace(self, center=float(np.median(there)), variance=variance)

    def to_json(self) -> dict[str, Any]:
        """Return plain data for `run.json`."""
        return {**asdict(self), "categories": list(self.categories)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Column":
        """Return what `to_json` was asked for."""
        return cls(**{**data, "categories": tuple(data["categories"])})


def numbers(cells: Sequence[str]) -> np.ndarray | None:
    """Return cells as float64, NaN where one is empty; None if one is no number.

    >>> numbers(["1", "", "-2.5e3"]).tolist()
    [1.0, nan, -2500.0]
    >>> numbers(["1", "1_000"]) is None
    True
    """
    try:
        found = np.fromiter(map(float, cells), np.float64, len(cells))
    except ValueError:  # an empty cell, or text
        try:
            found = np.array([float(cell) if cell else math.nan for cell in cells])
        except ValueError:
            return None
    return None if "_" in " ".join(cells) else found  # which `float` passes over


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return "_" not in word


def _is_truth(word: str) -> bool:
    return word.lower() in _TRUTH


def _truths(cells: Sequence[str]) -> np.ndarray | None:
    try:
        return np.array([_TRUTH[cell.lower()] if cell else math.nan for cell in cells], np.float64)
    except KeyError:
        return None


class Tally:
    """What has been seen of a column, chunk by chunk; `column` says what it holds. Memory is bounded."""

    def __init__(self, name: str):
        self.name = name
        self._words: Counter[str] | None = Counter()
        self._rows = self._missing = self._numeric = 0
        self._text: tuple[int, str] | None = None
        self._offset: float | None = None
        self._counting = True

    def add(self, cells: Sequence[str], rows: np.ndarray) -> None:
        """Take in cells of training rows, and the numbers of these rows."""
        found = numbers(cells)
        self._rows += len(cells)
        self._missing += cells.count("")
        if found is not None:
            self._numeric += len(cells) - cells.count("")
            self._count_up(found, rows)
            if self._words is None:  # nothing is left to be learnt from numbers
                return
        counts = Counter(cells)
        if found is None:
            text = {word for word in counts if word and not _is_number(word)}
            first = next(i for i, cell in enumerate(cells) if cell in text)
            self._text = self._text or (int(rows[first]), cells[first])
            self._counting = False
            self._numeric += sum(n for word, n in counts.items() if word and word not in text)
        if self._words is not None:
            self._words.update(counts)
            if len(self._words) > (_COUNTED_WORDS if self._text else _COUNTED_NUMBERS):
                self._words = None

    def _count_up(self, found: np.ndarray, rows: np.ndarray) -> None:
        if self._counting and len(rows):
            offsets = found - rows
            self._offset = float(offsets[0]) if self._offset is None else self._offset
            self._counting = bool(np.all(offsets == self._offset))

    def column(self, path: Any) -> Column:
        """Return what the column holds.

        Raises:
            ValueError: it holds dates, numbers with a comma, or numbers with text between them.
        """
        words = self._words if self._words is None else Counter({w: n for w, n in self._words.items() if w})
        distinct = None if words is None else len(words)
        known = Column(self.name, "number", missing=self._missing, distinct=distinct)
        if distinct == 0 or (distinct == 1 and not self._missing):
            return replace(known, kind="constant")
        if self._text is None and distinct != 1:
            return replace(known, kind="count" if self._counting else "number")
        self._check_text(path, words)
        return _of_words(known, words, self._rows - self._missing)

    def _check_text(self, path: Any, words: Counter[str] | None) -> None:
        row, text = self._text or (0, "")
        drop = f"leave the column out: --drop {self.name!r}"
        sample = list(words)[:1000] if words else [text]
        if sum(bool(_DATE.fullmatch(word)) for word in sample) > 0.9 * len(sample):
            raise ValueError(
                f"column {self.name!r} of '{path}' holds dates, such as {sample[0]!r}. Expected numbers or categories: make "
                f"numbers of what matters in them, such as the year, the month or the days since an event, or {drop}."
            )
        if sum(bool(_COMMA.fullmatch(word)) for word in sample) > 0.5 * len(sample):
            raise ValueError(
                f"column {self.name!r} of '{path}' holds numbers with a decimal comma, such as {sample[0]!r}. Expected a "
                f"point: write the file again with points, or {drop}."
            )
        if self._numeric > (self._rows - self._missing) / 2 and (words is None or len(words) > FEW):
            raise ValueError(
                f"column {self.name!r} of '{path}' holds numbers in {self._numeric:,} of {self._rows:,} training rows, but "
                f"row {row} below the header has {text!r:.60}. Expected numbers alone: leave cells empty where the value is "
                f"missing, or {drop}."
            )


def _of_words(known: Column, words: Counter[str] | None, rows: int) -> Column:
    """What a column of words holds: categories, unless nearly every row has a word of its own."""
    if words is None or (len(words) > FEW and len(words) > rows / 2):
        return replace(known, kind="id" if words is not None and len(words) == rows else "text")
    if {_TRUTH.get(word.lower()) for word in words} == {0, 1}:
        return replace(known, kind="boolean")
    counted = words + Counter({"": known.missing})
    kept = [word for word, n in counted.items() if n >= _FEWEST_OF_ONE]
    if not any(kept):
        return replace(known, kind="text")
    kept = sorted(kept, key=lambda word: (-counted[word], word))[:_LARGEST_VOCABULARY]
    return replace(known, kind="category", categories=tuple(kept))
