"""Let docstrings say "Example:", or show a prompt without saying so: the parser knows "Examples:" only."""

import re
import textwrap

from griffe import Extension

_SECTION = re.compile(r"^Example:\n((?:[ \t]+.*\n?|\n)+)", re.MULTILINE)
_BARE = re.compile(r"^(>>> (?:.+\n?)+)", re.MULTILINE)


class Examples(Extension):
    """Turns sections "Example:" into what the parser knows; a call that is not typed at a prompt becomes a code block."""

    def on_instance(self, *, obj, **_):
        """Change the docstring of each module, class and function when it is found."""
        if obj.docstring is not None:
            text = _BARE.sub(lambda found: f"Example:\n{textwrap.indent(found[1], '    ')}", obj.docstring.value)
            obj.docstring.value = _SECTION.sub(_known, text)


def _known(section: re.Match) -> str:
    body = textwrap.dedent(section[1]).strip("\n")
    if not body.startswith(">>>"):
        body = f"```python\n{body}\n```"
    return "Examples:\n" + textwrap.indent(body, "    ") + "\n"
