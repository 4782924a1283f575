"""What the site has beside its pages: methods and reference out of docstrings, the gallery out of the examples.

MkDocs calls the functions `on_…`. The others need neither MkDocs nor Keras, and tests call them too.
"""

import ast
import inspect
import re
import textwrap
from importlib import import_module
from itertools import chain
from pathlib import Path

import manyminima as mm

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "manyminima"
GALLERY = ROOT / "docs" / "images" / "gallery"

# Modules whose functions are methods, in the order of the data's way.
GROUPS = {
    "Collecting members": "recipes",
    "Averaging weights while training": "averaging.folds",
    "Choosing and weighing members": "selection",
    "Combining": "combine",
    "Scoring": "metrics",
    "Scoring pixels": "segmentation",
    "Calibrating": "calibrate",
    "Confidence against accuracy": "reliability",
    "How sure": "uncertainty",
    "Finding errors and foreign data": "detection",
    "How much members differ": "diversity",
    "How far apart weights are": "weight_space",
    "Where an error comes from": "decomposition",
    "Mixtures for regression": "mixtures",
    "Worth in independent nets": "equivalent",
}
# Folders of names that are used as `mm.Name`, in the order of the data's way; others come behind them.
STAGES = ("training", "runs", "averaging", "inference", "combination", "reporting", "comparison")
# What a browser fetches by itself; links that a reader may follow are none of it.
_FETCHED = re.compile(r"""<(?:script|img|iframe|source|link)\b[^>]*?\b(?:src|href)=["']?(?:https?:)?//[^>]*>""")
_FETCHED_BY_STYLES = re.compile(r"""(?:@import\s+|url\()\s*["']?(?:https?:)?//[^;)]*""")


# -- methods -----------------------------------------------------------------------------------------------------------


def methods() -> str:
    """Return a table of every public thing whose docstring names a paper, a section for each group."""
    parts = []
    for title, module in GROUPS.items():
        names = [name for name in exported(module) if module in mm._MODULES or name in mm._NAMES]
        rows = [row for name in names if (row := _row(module, name))]
        head = f"| `mm.{module}` |" if module in mm._MODULES else "| `mm` |"
        if rows:
            parts.append("\n".join([f"## {title}", "", f"{head} what it is | reference |", "|---|---|---|", *rows]))
    return "\n\n".join(parts)


def _row(module: str, name: str) -> str:
    text = inspect.getdoc(getattr(import_module(f"manyminima.{module}"), name)) or ""
    papers = references(text)
    if not papers:
        return ""
    page, path = place(module, name)
    about = text.partition("\n")[0].replace("|", r"\|")
    return f"| [`{name}`](reference/{page}.md#manyminima.{path}) | {about} | {papers} |"


def references(docstring: str) -> str:
    """Return what stands under "Reference:" in a docstring, as one line; "" if nothing does."""
    found = re.search(r"^Reference:\n((?:[ \t]+.*\n?|\n)+)", docstring, re.MULTILINE)
    return " ".join(found[1].split()) if found else ""


def place(module: str, name: str) -> tuple[str, str]:
    """Return the page of the reference that has a name, and the name as users write it behind `mm.`."""
    if name in mm._NAMES:
        return mm._NAMES[name].partition(".")[0], name
    return module, f"{module}.{name}"


# -- reference ---------------------------------------------------------------------------------------------------------


def exported(module: str) -> list[str]:
    """Return a module's public names, read without importing it, since some import Keras.

    These are its `__all__`, and what else it defines with an example, a paper or attributes: `__all__` is also what a report or
    the command line offers, and may be shorter.
    """
    path = PACKAGE / module.replace(".", "/")
    tree = ast.parse((path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text()).body
    lists = [ast.literal_eval(n.value) for n in tree if isinstance(n, ast.Assign) and _name(n.targets[0]) == "__all__"]
    shown = [n.name for n in tree if isinstance(n, ast.FunctionDef | ast.ClassDef) and _is_shown(n)]
    return list(dict.fromkeys([name for name in [*chain(*lists), *shown] if not name.isupper()]))


def _name(target: ast.expr) -> str:
    return target.id if isinstance(target, ast.Name) else ""


def _is_shown(node: ast.FunctionDef | ast.ClassDef) -> bool:
    documented = re.search(r"^(Example|Reference|Attributes):$", ast.get_docstring(node) or "", re.MULTILINE)
    return documented is not None and not node.name.startswith("_")


def reference() -> dict[str, str]:
    """Return the pages of the reference by name: for each stage of names like `mm.Collect`, and for each module.

    Behind the names of a stage stands what else their files offer: the classes of what they return.
    """
    pages: dict[str, str] = {}
    places = {name: path.partition(".")[0] for name, path in mm._NAMES.items()}
    for stage in [*STAGES, *sorted(set(places.values()) - set(STAGES))]:
        names = [name for name, found in places.items() if found == stage]
        files = dict.fromkeys(mm._NAMES[name] for name in names)
        classes = [(file, name) for file in files for name in exported(file) if name[0].isupper()]
        results = [f"{file}.{name}" for file, name in classes if name not in mm._NAMES]
        title = f"{stage.capitalize()}: {', '.join(names)}"
        pages[stage] = _page(title, [f"manyminima.{name}" for name in [*names, *results]])
    for module in mm._MODULES:
        known = [f"manyminima.{module}.{name}" for name in exported(module)]
        pages[module] = _page(f"mm.{module}", known, f"manyminima.{module}")
    return pages


def _page(title: str, names: list[str], module: str = "") -> str:
    head = [f"::: {module}\n    options:\n      members: false\n      show_root_heading: false"] if module else []
    return "\n\n".join([f"# {title}", *head, *(f"::: {name}" for name in names)]) + "\n"


# -- gallery -----------------------------------------------------------------------------------------------------------


def gallery() -> str:
    """Return the pictures that are there, each with the example that drew it."""
    return "\n\n".join(_exhibit(ROOT / "examples" / f"{picture.stem}.py") for picture in sorted(GALLERY.glob("*.png")))


def _exhibit(example: Path) -> str:
    source = example.read_text()
    title, _, about = (ast.get_docstring(ast.parse(source)) or "").partition("\n")
    kept = [line for line in about.strip().splitlines() if not line.startswith(("    python ", "python "))]
    about, heading = "\n".join([title, *kept]), example.stem.replace("_", " ").capitalize()
    code = textwrap.indent(f"```py\n{source.rstrip()}\n```", "    ")
    picture = f"![{title}](images/gallery/{example.stem}.png)"
    return "\n\n".join([f"## {heading}", about, picture, f'??? example "examples/{example.name}"', code])


# -- what MkDocs calls -------------------------------------------------------------------------------------------------

_GENERATED = {"<!-- methods -->": methods, "<!-- gallery -->": gallery}


def on_config(config):
    """Put the pages of the reference behind the others."""
    config.nav.append({"Reference": [{_label(text): f"reference/{name}.md"} for name, text in reference().items()]})
    return config


def _label(page: str) -> str:
    return page.partition("\n")[0].removeprefix("# ")


def on_files(files, config):
    """Add the reference, and the examples that pages link to."""
    from mkdocs.structure.files import File

    for name, text in reference().items():
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    for example in sorted((ROOT / "examples").glob("*.py")):
        files.append(File.generated(config, f"examples/{example.name}", abs_src_path=str(example)))
    return files


def on_page_markdown(markdown, page, config, files):
    """Fill in what is generated; examples lie in `docs/examples` on the site, and one folder higher in the repository."""
    for mark, generate in _GENERATED.items():
        if mark in markdown:
            markdown = markdown.replace(mark, generate())
    return re.sub(r"\]\(\.\./((?:\.\./)*examples/)", r"](\1", markdown)


def asks_the_net(text: str) -> list[str]:
    """Return what a page or a style sheet would have a browser fetch from elsewhere."""
    return [*_FETCHED.findall(text), *_FETCHED_BY_STYLES.findall(text)]


def on_post_build(config):
    """Stop if a page would ask the network for anything."""
    from mkdocs.exceptions import PluginError

    site = Path(config.site_dir)
    files = [*site.rglob("*.html"), *site.rglob("*.css")]
    found = [f"{path.relative_to(site)}: {what}" for path in files for what in asks_the_net(path.read_text())]
    if found:
        raise PluginError("the site would ask the network for something:\n" + "\n".join(found))
