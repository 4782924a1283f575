"""Every program on the site runs as it stands there, in an empty folder; every command is one that there is."""

import contextlib
import importlib.util
import io
import itertools
import re
import shlex
import sys
import textwrap
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

import manyminima as mm
from manyminima.cli import app
from problems import BACKEND

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = {str(path.relative_to(DOCS)): path.read_text() for path in sorted(DOCS.rglob("*.md"))}
BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)

# Pages whose commands run as well; of the others it is checked that they could be typed.
COMMANDS_RUN = {"tutorial.md"}
TOO_LONG = {"study"}
# Programs that need files or services of the reader's own are marked "py" instead of "python".
NOT_RUN = {"how-to/own_loop.md": 1, "how-to/trackers.md": 4, "image_data.md": 1, "resume.md": 1, "tables.md": 1}
RUN_ELSEWHERE = {"migration.md": "test_compat_migration.py", "how-to/trackers.md": "test_trackers.py"}


def blocks(page, *kinds):
    return [(kind, textwrap.dedent(code)) for _, kind, code in BLOCK.findall(PAGES[page]) if kind in kinds]


def commands(code):
    lines = [line for line in code.replace("\\\n", " ").splitlines() if line.startswith("manyminima ")]
    words = [shlex.split(line, comments=True)[1:] for line in lines]
    return [list(itertools.takewhile(lambda word: word not in (">", "|"), line)) for line in words]


def without_numbers(text):
    """What stays the same on another machine."""
    return " ".join(re.sub(r"\d+", "0", text).split())


def run_command(arguments):
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.skipif(BACKEND != "jax", reason="the pages say JAX")
@pytest.mark.parametrize("page", [page for page in PAGES if page not in RUN_ELSEWHERE and blocks(page, "python")])
def test_the_programs_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        for kind, code in blocks(page, "python", "sh"):
            if kind == "python":
                exec(compile(code, f"docs/{page}", "exec"), names)
            elif page in COMMANDS_RUN:
                for arguments in commands(code):
                    if arguments[0] not in TOO_LONG:
                        print(run_command(arguments))
    for _, said in blocks(page, "text"):
        assert page == "idea.md" or without_numbers(said) in without_numbers(shown.getvalue())


def test_what_does_not_run_is_marked():
    assert {page: n for page in PAGES if (n := len(blocks(page, "py")))} == NOT_RUN
    kinds = {kind for page in PAGES for _, kind, _ in BLOCK.findall(PAGES[page])}
    assert kinds <= {"python", "py", "sh", "text", "toml"}


TYPED = [(page, line) for page in PAGES for _, code in blocks(page, "sh") for line in commands(code)]


@pytest.mark.parametrize(("page", "arguments"), TYPED, ids=[f"{page}-{line[0]}" for page, line in TYPED])
def test_the_commands_can_be_typed(page, arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for word in arguments:
        if word.endswith(".toml"):
            Path(word).write_text(blocks(page, "toml")[0][1])
    group = get_command(app)
    with group.make_context("manyminima", list(arguments)) as context:
        name, command, rest = group.resolve_command(context, arguments)
        command.make_context(name, rest, parent=context).close()


@pytest.mark.parametrize("page", PAGES)
def test_the_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", PAGES[page]):
        assert (DOCS / page).parent.joinpath(link).exists(), link


@pytest.fixture(scope="module")
def hooks():
    spec = importlib.util.spec_from_file_location("hooks", DOCS / "hooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_public_name_is_in_the_reference(hooks):
    pages = hooks.reference()
    described = set(re.findall(r"^::: manyminima\.(\S+)", "".join(pages.values()), re.MULTILINE))
    assert described >= set(mm.__all__)
    for module in mm._MODULES:
        names = {name for name in getattr(mm, module).__all__ if not name.isupper()}
        assert {f"{module}.{name}" for name in names} <= described


def test_every_recipe_and_fold_is_in_the_table(hooks):
    row = re.compile(r"^\| \[`(\S+)`\]\(reference/(\w+)\.md#manyminima\.(\S+)\) \| (.+) \| (.+) \|$", re.MULTILINE)
    papers, pages = {}, hooks.reference()
    for name, page, path, _, paper in row.findall(hooks.methods()):
        assert path.endswith(name)
        assert f"::: manyminima.{path}\n" in pages[page]
        papers[path] = paper
    with_papers = set(mm.recipes.__all__) - {"checkpoints"}
    assert {f"recipes.{name}" for name in with_papers} | {"Mean", "Ema", "LastK"} <= set(papers)
    assert "Garipov et al. 2018" in papers["recipes.fge"]


def test_references_are_read_to_their_end(hooks):
    text = "A number.\n\nReference:\n    One 2017, A Title that goes\n    on. Two 2018.\n\nExample:\n    >>> 1\n    1\n"
    assert hooks.references(text) == "One 2017, A Title that goes on. Two 2018."
    assert hooks.references("A number.") == ""


def test_every_picture_stands_beside_its_program(hooks):
    pictures = sorted(path.stem for path in hooks.GALLERY.glob("*.png"))
    assert pictures
    page = hooks.gallery()
    for name in pictures:
        assert f"images/gallery/{name}.png" in page
        assert f'"examples/{name}.py"' in page
    assert sum(path.stat().st_size for path in hooks.GALLERY.iterdir()) < 500_000


@pytest.mark.parametrize(
    ("html", "asks"),
    [
        ('<script src="https://cdn.example/x.js"></script>', True),
        ('<link href="//fonts.example/css" rel="stylesheet">', True),
        ('<img alt="x" src="http://example/x.png">', True),
        ('<a href="https://example">read</a><script src="assets/x.js"></script><link rel="icon" href="x.png">', False),
    ],
)
def test_requests_to_the_net_are_noticed(hooks, html, asks):
    assert bool(hooks.asks_the_net(html)) == asks


def test_the_hooks_need_neither_keras_nor_mkdocs():
    import subprocess

    program = f"import sys; sys.modules['mkdocs'] = None; sys.path.insert(0, {str(DOCS)!r}); import hooks; "
    program += "hooks.methods(), hooks.reference(), hooks.gallery(); assert 'keras' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
