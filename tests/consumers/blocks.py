"""The code blocks of the documents, as a reader copies them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from tests.consumers.install import ROOT

DOCUMENTS = [
    "README.md",
    "client_js/README.md",
    *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))),
]
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A block of code.

    Attributes:
        number: counts the blocks of the document, from 1.
        language: as the document names it; empty if it does not.
    """

    document: str
    number: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.document}-{self.number}-{self.language or 'text'}"

    @property
    def stem(self) -> str:
        """A name for a file or a module."""
        return re.sub(r"\W", "_", f"{self.document.removesuffix('.md')}_{self.number}").lower()


BLOCKS = [
    Block(document, number, *found)
    for document in DOCUMENTS
    for number, found in enumerate(_BLOCK.findall((ROOT / document).read_text("utf-8")), 1)
]


def blocks(*languages: str, document: str | None = None) -> list[Block]:
    """Return the blocks in these languages, in order."""
    return [
        block
        for block in BLOCKS
        if block.language in languages and document in (None, block.document)
    ]


def block_with(text: str, document: str) -> str:
    """Return the text of the one block of the document that contains ``text``."""
    [found] = (block.text for block in blocks("python", document=document) if text in block.text)
    return found


def commands(*programs: str) -> list[tuple[str, list[str]]]:
    """Return each command of the documents that runs one of the programs: its block, its words."""
    lines = [
        (str(block), shlex.split(line, comments=True))
        for block in blocks("sh")
        for line in block.text.splitlines()
    ]
    return [(document, words) for document, words in lines if words and words[0] in programs]
