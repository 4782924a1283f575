"""What the docstrings and fields of the recipes say: a new recipe brings its own words along."""

import dataclasses
import inspect
import re
from typing import Any

from manyminima import recipes

_PAPER = re.compile(r"[A-Z][^\s.,]*(?: et al\.| & [A-Z][^\s.,]*)? \d{4}(?=,)")


def fields(recipe: str) -> dict[str, dataclasses.Field]:
    """Return the parameters of a recipe by name."""
    return {f.name: f for f in dataclasses.fields(getattr(recipes, recipe)) if f.init}


def flag(name: str) -> str:
    """Return what is typed for a parameter."""
    return "--" + name.replace("_", "-")


def description(recipe: str) -> str:
    """Return what a recipe does, its paragraphs apart by an empty line."""
    paragraphs = re.split(r"\n\n(?=Args:|Reference:)", _doc(recipe))[0].split("\n\n")
    return "\n\n".join(_plain(re.sub(r"\s+", " ", paragraph)) for paragraph in paragraphs)


def summary(recipe: str) -> str:
    """Return what a recipe does, in one line."""
    return description(recipe).partition("\n")[0]


def meaning(recipe: str, parameter: str) -> str:
    """Return what a recipe's `Args` say about a parameter, in the words of a command line; "" if nothing."""
    found = re.search(rf"^ +{parameter}: (.*(?:\n {{6,}}.*)*)", _doc(recipe), re.MULTILINE)
    return _plain(re.sub(r"\s+", " ", found[1])).rstrip(".").replace("None takes", "default:") if found else ""


def reference(recipe: str) -> str:
    """Return the papers of a recipe with their titles; "" if it has none."""
    found = re.search(r"^Reference:\n((?: +.*\n?)+)", _doc(recipe), re.MULTILINE)
    return _plain(re.sub(r"\s+", " ", found[1])).strip() if found else ""


def papers(recipe: str) -> str:
    """Return authors and years of a recipe's papers.

    >>> papers("snapshot")
    'Huang et al. 2017, Loshchilov & Hutter 2017'
    """
    return ", ".join(_PAPER.findall(reference(recipe)))


def example(recipe: str) -> str:
    """Return a command that uses a recipe."""
    own = fields(recipe)
    values = {name: "5" for name, field in own.items() if field.default is dataclasses.MISSING}
    values |= {"peak": "0.1"} if "peak" in own else {}
    options = "".join(f" {flag(name)} {value}" for name, value in values.items())
    return f"manyminima train --data digits --model mlp --epochs 60 --recipe {recipe}{options}"


def facts(recipe: str) -> dict[str, Any]:
    """Return all of it as plain data."""
    parameters = [
        {
            "name": name,
            "option": flag(name),
            "needed": field.default is dataclasses.MISSING,
            "default": None if field.default is dataclasses.MISSING else field.default,
            "meaning": meaning(recipe, name),
        }
        for name, field in fields(recipe).items()
    ]
    return {
        "name": recipe,
        "summary": summary(recipe),
        "description": description(recipe),
        "reference": reference(recipe),
        "papers": papers(recipe),
        "parameters": parameters,
        "example": example(recipe),
    }


def _doc(recipe: str) -> str:
    return inspect.getdoc(getattr(recipes, recipe)) or ""


def _plain(text: str) -> str:
    return text.replace("`", "")
