"""A run as a TOML file: its keys are the options of `manyminima train`, those of the recipe in a table `[recipe]`.

data = "digits"
model = "mlp:64"
epochs = 60

[recipe]
name = "snapshot"
cycles = 5

What is wrong with a file is a usage error, as a wrong option is.
"""

import difflib
import inspect
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin

import typer

from manyminima.cli import recipe_options
from manyminima.datasets.sources import NAMES

__all__ = ["asked_for", "read", "without_overruled"]

_NOT_IN_FILES = {"ctx", "experiment", "resume", "json", "debug"}
_WORDS = {
    str: 'a text in quotes, such as "snapshot"',
    int: "a whole number, such as 5",
    float: "a number, such as 0.1",
    list: 'a list of texts, such as ["id"]',
}


def read(path: Path, signature: inspect.Signature) -> dict[str, Any]:
    """Return the options in a file, by the names of a command's parameters; relative paths begin at the file's folder.

    Args:
        path: of the file.
        signature: of the command.

    Raises:
        typer.BadParameter: no such file, no TOML, a key that is no option, or a value of another type.
    """
    content = _content(path)
    kinds = {name: _kind(p.annotation) for name, p in signature.parameters.items() if name not in _NOT_IN_FILES}
    of_recipe = recipe_options.names()
    found: dict[str, Any] = {}
    for key, value in _flat(content, path):
        name = key.replace("-", "_")
        in_table = name.startswith("recipe.")
        name = name.removeprefix("recipe.")
        _check_key(path, key, name, kinds, of_recipe, in_table)
        if name in found:
            raise _wrong(path, f"the key {key} is there twice, with - and with _. Leave one of them out.")
        found[name] = _typed(path, key, value, kinds[name])
    return {name: _from_folder(path.parent, name, value) for name, value in found.items()}


def without_overruled(ctx: typer.Context, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recipe's options without those of the file, where the command line asks for another recipe than it."""
    file = ctx.default_map or {}
    if "recipe" not in file or ctx.params["recipe"] == file["recipe"]:
        return dict(options)
    return {name: None if _came_from_file(ctx, name) else value for name, value in options.items()}


def asked_for(ctx: typer.Context, command: Any) -> dict[str, Any]:
    """Return what a run records to be repeated: every option that has another value than it has by itself, as plain data."""
    usual = {name: p.default for name, p in inspect.signature(command).parameters.items()}
    recipe = without_overruled(ctx, {name: ctx.params[name] for name in recipe_options.names()})
    values = {name: value for name, value in (ctx.params | recipe).items() if name not in {*_NOT_IN_FILES, "out"}}
    return {name: value for name, value in values.items() if value not in (None, (), [], usual.get(name))}


def _came_from_file(ctx: typer.Context, name: str) -> bool:
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "DEFAULT_MAP"


def _content(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise _wrong(
            path, "there is no such file. Expected one with data, model, epochs and a table [recipe]."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise _wrong(path, f"it cannot be read: {error}. Expected a TOML file.") from None
    except tomllib.TOMLDecodeError as error:
        raise _wrong(path, f'it is no TOML: {error}. Write lines such as data = "digits".') from None


def _flat(content: dict[str, Any], path: Path) -> Iterable[tuple[str, Any]]:
    """Yield keys and values, those of the recipe behind `recipe.`, and its name as `recipe`."""
    for key, value in content.items():
        if key != "recipe" or not isinstance(value, dict):
            yield key, value
        elif "name" not in value:
            raise _wrong(path, 'the table [recipe] has no name. Write name = "snapshot" in it.')
        else:
            for own, one in value.items():
                yield ("recipe" if own == "name" else f"recipe.{own}"), one


def _check_key(
    path: Path, key: str, name: str, kinds: Mapping[str, Any], of_recipe: Iterable[str], in_table: bool
) -> None:
    if name in kinds and in_table == (name in of_recipe):
        return
    if name in of_recipe:
        raise _wrong(path, f"{key} is an option of the recipe. Write it in the table [recipe].")
    if name in kinds:
        raise _wrong(path, f"{key} is no option of a recipe. Write {name.replace('_', '-')} above the table [recipe].")
    known = [n.replace("_", "-") for n in (of_recipe if in_table else kinds.keys() - {*of_recipe})]
    near = difflib.get_close_matches(name.replace("_", "-"), known, n=1, cutoff=0.5)
    hint = f"Did you mean {near[0]}?" if near else f"Expected one of {', '.join(sorted(known))}."
    raise _wrong(path, f"{key} is no option. {hint}")


def _kind(annotation: Any) -> type:
    """Return str, int, float or list: what a value in a file must be."""
    plain = get_args(annotation)[0]  # of Annotated
    options = [t for t in (get_args(plain) if isinstance(plain, UnionType) else (plain,)) if t is not type(None)]
    return list if get_origin(options[0]) is list else str if options[0] is Path else options[0]


def _typed(path: Path, key: str, value: Any, kind: type) -> Any:
    """Return a value, if it is of its kind; whole numbers are numbers, and one text stands for a list of one."""
    accepted = {float: (int, float), list: (list, str)}.get(kind, (kind,))
    right = isinstance(value, accepted) and not isinstance(value, bool)
    if kind is list and right:
        value = [value] if isinstance(value, str) else value
        right = all(isinstance(one, str) for one in value)
    if not right:
        raise _wrong(path, f"{key} is {value!r}. Expected {_WORDS[kind]}.")
    return float(value) if kind is float else value


def _from_folder(folder: Path, name: str, value: Any) -> Any:
    """Return a path as the command has to be given it; other values as they are."""
    if name == "out":
        return str(folder / value)
    if name == "data" and value not in NAMES and ("/" in value or Path(value).suffix or (folder / value).exists()):
        return str(folder / value)
    if name == "model" and (value.endswith(".keras") or value.rpartition(":")[0].endswith(".py")):
        return str(folder / value)
    return value


def _wrong(path: Path, what: str) -> typer.BadParameter:
    return typer.BadParameter(what, param_hint=f"'{path}'")
