"""README, CONTRIBUTING and docs/ as the tests read them: pages with sections, blocks and tables."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from textwrap import dedent
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
FENCED: Final = re.compile(r"^(?P<indent> *)```(?P<kind>\w*)\n(?P<body>.*?)^(?P=indent)```$", re.DOTALL | re.MULTILINE)
LINK: Final = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
SPAN: Final = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block. `kind`: the word behind its fence. `line`: where it begins, from 1."""

    page: str
    kind: str
    text: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    name: str
    text: str

    @property
    def blocks(self) -> list[Block]:
        return [
            Block(page=self.name, kind=each["kind"], text=dedent(each["body"]), line=self.line(each.start()))
            for each in FENCED.finditer(self.text)
        ]

    def line(self, offset: int) -> int:
        return self.text.count("\n", 0, offset) + 1

    @property
    def prose(self) -> str:
        """Without fenced blocks."""
        return FENCED.sub("", self.text)

    @property
    def anchors(self) -> set[str]:
        """As GitHub makes them of headings."""
        found: list[str] = []
        for title in re.findall(r"^#+ (.+)$", self.prose, re.MULTILINE):
            slug = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
            found.append(slug if slug not in found else f"{slug}-{found.count(slug)}")
        return set(found)

    def section(self, title: str) -> str:
        """What stands below the heading, up to the next one of its level or above."""
        (heading,) = re.findall(rf"^(#+) {re.escape(title)}$", self.text, re.MULTILINE)
        after = self.text.partition(f"{heading} {title}\n")[2]
        return re.split(rf"^#{{1,{len(heading)}}} ", after, maxsplit=1, flags=re.MULTILINE)[0]


@cache
def pages() -> dict[str, Page]:
    paths = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md")), *ROOT.glob("findings/*.md")]
    names = [str(path.relative_to(ROOT)) for path in paths]
    return {name: Page(name=name, text=(ROOT / name).read_text(encoding="utf-8")) for name in names}


def first_column(table: str) -> list[str]:
    """The code spans in the first cell of each row."""
    return [span for row in re.findall(r"^\| (.*?) \|", table, re.MULTILINE) for span in SPAN.findall(row)]


def blocks_of(kind: str, *names: str) -> list[Block]:
    return [block for name in names or pages() for block in pages()[name].blocks if block.kind == kind]
