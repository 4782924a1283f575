"""What a study compares: a recipe with its options, as it is typed, and how many runs share the budget."""

import dataclasses
import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

from manyminima import recipes
from manyminima.recipes import Plan, Recipe

__all__ = ["BASELINES", "DEEP", "PEAKS", "Method", "along", "constant", "method_of", "methods_of", "peaks_of"]

DEEP = "deep-ensemble"
BASELINES = ("single", "constant")
_DEEP_MEMBERS = 5
PEAKS = {"SGD": (0.03, 0.1, 0.3), "other optimizers": (0.0003, 0.001, 0.003)}  # to choose from where none are given


def peaks_of(optimizer: Any) -> tuple[float, ...]:
    """The rates to choose from for a Keras optimizer: those of SGD, or those of optimizers that adapt."""
    return PEAKS.get(type(getattr(optimizer, "inner_optimizer", optimizer)).__name__, PEAKS["other optimizers"])


@dataclass(frozen=True)
class constant:
    """A constant rate, and the last weights: the baseline without any schedule.

    Args:
        peak: learning rate of every step.
    """

    peak: float

    def plan(self, epochs: int, steps_per_epoch: int) -> Plan:
        """Return the constant rate, and the run's end."""
        from manyminima.schedules import Constant
        from manyminima.when import At

        return Plan(Constant(self.peak), At((epochs * steps_per_epoch,)))


@dataclass(frozen=True)
class along:
    """A recipe that leaves the rate alone, such as `ema`, along a constant rate.

    Args:
        recipe: which says when to collect, and what to make of it.
        peak: learning rate of every step.
    """

    recipe: Any
    peak: float

    def plan(self, epochs: int, steps_per_epoch: int) -> Plan:
        """Return the constant rate, and the recipe's moments."""
        rate = constant(self.peak).plan(epochs, steps_per_epoch).lr
        return Plan(rate, self.recipe.plan(epochs, steps_per_epoch).when)

    def fold(self, into: Any) -> Any:
        """Return what the recipe collects into."""
        return self.recipe.fold(into) if hasattr(self.recipe, "fold") else into


@dataclass(frozen=True)
class Method:
    """One way to spend a budget of epochs.

    Attributes:
        name: As it was typed, such as "snapshot:cycles=5".
        kind: The recipe's name, "single", "constant" or "deep-ensemble".
        options: Of the recipe.
        runs: How many runs share the epochs, each with an equal part; their members are combined.
    """

    name: str
    kind: str
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    runs: int = 1

    def recipe(self, peak: float) -> Recipe:
        """Return the recipe with this peak."""
        if self.kind in ("single", DEEP):
            return recipes.snapshot(cycles=1, peak=peak)
        if self.kind == "constant":
            return constant(peak)
        made = getattr(recipes, self.kind)
        if "peak" in _fields(made):
            return made(**self.options, peak=peak)
        return along(made(**self.options), peak)

    def python(self, peak: float) -> str:
        """Return what is typed in Python to train it with this peak.

        >>> method_of("snapshot:cycles=5").python(0.1)
        'mm.recipes.snapshot(cycles=5, peak=0.1)'
        """
        if self.kind == "constant":
            return f"fit with learning_rate={peak:g}"
        options = {"cycles": 1} if self.kind in ("single", DEEP) else self.options
        rate = "" if isinstance(self.recipe(peak), along) else f"peak={peak:g}"
        given = ", ".join([*(f"{name}={value!r}" for name, value in options.items()), *([rate] if rate else [])])
        text = f"mm.recipes.{'snapshot' if self.kind in ('single', DEEP) else self.kind}({given})"
        if self.kind == DEEP:
            return f"mm.train with replicas={self.runs} and {text}"
        return text if rate else f"{text} with learning_rate={peak:g}"

    def epochs(self, epochs: int) -> int:
        """Return the epochs of each run.

        Raises:
            ValueError: there are more runs than epochs.
        """
        if self.runs > epochs:
            raise ValueError(
                f"{self.name}: {epochs} epochs cannot be shared by {self.runs} runs. Train for more epochs."
            )
        return epochs // self.runs


def methods_of(texts: Sequence[str], epochs: int) -> list[Method]:
    """Read what is compared: the baselines and the methods asked for, in that order.

    Args:
        texts: methods as they are typed; baselines may be among them.
        epochs: the budget; a deep ensemble that nobody asked for has at most so many members, and 5.

    Raises:
        TypeError: it is no list of texts.
        ValueError: there is none, one is no method, or two are the same.

    Example:
        >>> [method.name for method in methods_of(["swa"], epochs=60)]
        ['single', 'constant', 'swa', 'deep-ensemble:members=5']
    """
    if isinstance(texts, str):
        raise TypeError(f'recipes={texts!r} is one text, expected a list of them: ["{texts}"].')
    if not len(texts):
        raise ValueError('there are no recipes to compare. Name one or several, such as ["snapshot:cycles=5", "swa"].')
    asked = [method_of(text) for text in texts]
    _check_different(asked)
    asked = [method for method in asked if method.kind not in BASELINES]
    shared = min(_DEEP_MEMBERS, epochs)
    deep = [] if shared < 2 or any(method.kind == DEEP for method in asked) else [method_of(f"{DEEP}:members={shared}")]
    return [*map(method_of, BASELINES), *asked, *deep]


def _check_different(methods: Sequence[Method]) -> None:
    seen: dict[str, Method] = {}
    for method in methods:
        other = seen.setdefault(f"{method.recipe(0.1)!r} {method.runs}", method)
        if other is not method:
            raise ValueError(
                f"{other.name!r} and {method.name!r} are the same method. Leave one out, or give it other options."
            )


def method_of(text: str) -> Method:
    """Read a method as it is typed: a name, and options behind a colon.

    Raises:
        ValueError: no such method, an option that it does not take, or a value that is none.

    Example:
        >>> method_of("snapshot:cycles=5,floor=0.001").options
        {'cycles': 5, 'floor': 0.001}
        >>> method_of("deep-ensemble:members=4").runs
        4
    """
    if not isinstance(text, str):
        raise TypeError(f"{text!r:.80} is no text. Write recipes as they are typed, such as {_typed(text)!r}.")
    kind, _, rest = text.strip().partition(":")
    given = dict(_option(text, part) for part in rest.split(",") if part)
    if kind in BASELINES:
        _check_options(text, given, {})
        return Method(text.strip(), kind)
    if kind == DEEP:
        _check_options(text, given, {"members": int})
        return Method(text.strip(), DEEP, runs=_whole(text, given.get("members", "5")))
    if kind not in recipes.__all__:
        names = (*BASELINES, DEEP, *recipes.__all__)
        close = difflib.get_close_matches(kind, names, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise ValueError(f"no method {kind!r}.{hint} Expected one of {', '.join(names)}.")
    types = _fields(getattr(recipes, kind))
    types.pop("peak", None)  # chosen on validation rows
    _check_options(text, given, types)
    made = Method(text.strip(), kind, {name: _value(text, name, value, types[name]) for name, value in given.items()})
    made.recipe(0.1)  # to have wrong options told now
    return made


def _typed(recipe: Any) -> str:
    """Return how a recipe, given as an object, would be typed."""
    if type(recipe).__name__ not in recipes.__all__:
        return "snapshot:cycles=5"
    fields = [f for f in dataclasses.fields(recipe) if f.init and f.name != "peak"]
    given = [f"{f.name}={value}" for f in fields if (value := getattr(recipe, f.name)) != f.default]
    return ":".join([type(recipe).__name__, *([",".join(given)] if given else [])])


def _fields(recipe: type) -> dict[str, Any]:
    return {field.name: field.type for field in dataclasses.fields(recipe) if field.init}


def _option(text: str, part: str) -> tuple[str, str]:
    name, equals, value = part.partition("=")
    if not equals:
        raise ValueError(f"{text!r}: {part!r} is no option. Write name=value, as in snapshot:cycles=5.")
    return name.strip().replace("-", "_"), value.strip()


def _check_options(text: str, given: dict[str, str], known: dict[str, Any]) -> None:
    if foreign := sorted(given.keys() - known.keys()):
        peak = " The peak is chosen on validation rows, from --peaks." if "peak" in foreign else ""
        takes = f"It takes {', '.join(known)}." if known else "It takes none."
        raise ValueError(f"{text!r}: unknown option {', '.join(foreign)}. {takes}{peak}")


def _whole(text: str, value: str) -> int:
    if not value.isdecimal() or int(value) < 1:
        raise ValueError(f"{text!r}: expected a whole number of at least 1, got {value!r}.")
    return int(value)


def _value(text: str, name: str, value: str, annotation: Any) -> Any:
    kind = next((t for t in (*get_args(annotation), annotation) if t in (int, float)), str)
    try:
        return kind(value)
    except ValueError:
        raise ValueError(f"{text!r}: expected a number for {name}, got {value!r}.") from None
