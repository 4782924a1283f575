"""The options of commands that fit coefficients and calibrators. The names are those of `manyminima.combination`."""

import typer

FITTED = ("uniform", "fitted", "greedy", "newest")
CALIBRATES = ("none", "temperature", "isotonic")
COEFFICIENTS = "How much of each member: uniform, fitted (lowest NLL), greedy (Caruana) or newest (the best k newest)."
CALIBRATE = "How sure the combined prediction is made: none, temperature or isotonic."


def check_fit(coefficients: str | None, calibrate: str | None) -> None:
    """Raise a usage error where one of them is not known; before anything is read."""
    from manyminima import combination

    known = {"--coefficients": combination.COEFFICIENTS, "--calibrate": combination.CALIBRATORS}
    for (option, names), value in zip(known.items(), (coefficients, calibrate), strict=True):
        if value is not None and value not in names:
            raise typer.BadParameter(f"{value!r} is none of {', '.join(names)}.", param_hint=option)
