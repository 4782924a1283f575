"""What every page and every part of one must keep to, told from its text alone."""

import re
from collections import Counter
from html.parser import HTMLParser

_VOID = {"meta", "link", "img", "br", "hr", "input", "col"}
_ADDRESSES = ("src", "href", "srcset", "action", "data", "poster")


class _Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open: list[str] = []
        self.problems: list[str] = []
        self.headings: list[int] = []
        self.ids: Counter[str] = Counter()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, dict]] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags[tag] += 1
        self.attributes.append((tag, given))
        if tag not in _VOID:
            self.open.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if "id" in given:
            self.ids[given["id"]] += 1
        for name in _ADDRESSES:
            if name in given and not given[name].startswith("data:"):
                self.problems.append(f"<{tag} {name}={given[name]!r}> is not in the page")
        if tag == "img" and len(given.get("alt") or "") < 15:
            self.problems.append(f"an image says {given.get('alt')!r}")
        if tag == "th" and given.get("scope") not in ("row", "col"):
            self.problems.append("a heading cell without scope")
        self.problems += [f"<{tag}> runs {name}" for name in given if name.startswith("on")]

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.problems.append(f"</{tag}> closes nothing")

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.text += data


def read(html: str) -> _Reader:
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader


def problems(html: str) -> list[str]:
    """What is wrong with a part of a page."""
    found = read(html)
    said = [*found.problems, *(f"<{tag}> is not closed" for tag in found.open)]
    said += [f"the id {name!r} is there {count} times" for name, count in found.ids.items() if count > 1]
    said += [f"h{b} comes after h{a}" for a, b in zip(found.headings, found.headings[1:], strict=False) if b > a + 1]
    said += [f"<{tag}> is there" for tag in ("script", "iframe", "object", "base", "form") if found.tags[tag]]
    without_data = re.sub(r"data:[^\"')\s]+", "", html)
    said += [f"it names {one!r}" for one in re.findall(r"@import[^;]*|url\([^)]*\)|https?://\S+", without_data)]
    said += ["a table without a row of headings"] * (found.tags["table"] - found.tags["thead"])
    return said


def problems_of_page(html: str) -> list[str]:
    """What is wrong with a page of its own."""
    found, said = read(html), problems(html)
    given = dict(found.attributes)
    said += [] if given.get("html", {}).get("lang") else ["no language"]
    said += [f"{found.tags[tag]} times <{tag}>" for tag in ("title", "main", "h1") if found.tags[tag] != 1]
    return said + ([] if found.headings[:1] == [1] else ["it does not begin with h1"])
