"""Count phrases that read like a translation in comments, docstrings and documents.

``python scripts/check_prose.py [--hits] [PATH ...]`` prints one line for each area: its words, and
how often each phrase occurs per 10,000 words. It exits with 1 if an area is above a bound.

It reads docstrings and comments of Python, comments of TypeScript and JavaScript, and Markdown
outside code blocks; inline code does not count. The patterns are approximate. They show how common
a habit is, and do not judge a single sentence.
"""

from __future__ import annotations

import argparse
import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]

_PRONOUN = "(?:there|one|none|nothing|nobody|no|that|this|it|they|its|each|both)"
BOUNDS: dict[str, tuple[float, str]] = {
    # "where it fails", and "Where a send fails, ..." at the start of a sentence. A clause of place
    # ("the file where it is defined") matches too, so the bound is above 0.
    "where as if": (8, rf"\bwhere {_PRONOUN} [a-z]+|\bWhere [^.?!,]+,"),
    "is none": (0, r"\b(?:is|are|was|were) none\b"),
    # "who waits is woken". Questions and "anyone who" match too, so the bound is above 0.
    "who + verb": (8, r"\b[Ww]ho(?:ever)? [a-z]+"),
    "whom": (0, r"\b[Ww]hom(?:ever)?\b"),
    "so many": (0, r"\b[Ss]o many (?!that\b)[a-z]+"),
    "none of ours": (0, r"\bnone of (?:ours|mine|its own)\b"),
    "let go": (0, r"\blet(?:s|ting)? (?:it |them )?go\b"),
    "all that": (7, r"\b[Aa]ll that\b"),
}
"""Each phrase: how often it may occur per 10,000 words, and its pattern. A space in a pattern
stands for any white space, so that a phrase may span lines."""

AREAS: dict[str, tuple[str, ...]] = {
    "package": ("transport/**/*.py",),
    "tests": ("tests/**/*.py",),
    "tools": ("benchmarks/**/*.py", "examples/**/*.py", "scripts/*.py"),
    "client": (
        "client_js/src/**/*.ts",
        "client_js/console/*.ts",
        "client_js/*.mjs",
        "examples/**/*.js",
        "scripts/*.mjs",
    ),
    "client tests": ("client_js/test/**/*.ts", "tests/**/*.js", "tests/integrations/**/*.ts"),
    "documents": ("*.md", "client_js/*.md", "docs/*.md", "tests/**/*.md"),
}
GENERATED = {"build", "node_modules"}
EXCLUDED = {
    "scripts/check_prose.py",  # it quotes the phrases
}

_INLINE_CODE = re.compile(r"``.+?``|`[^`]+`", re.DOTALL)
_FENCED_CODE = re.compile(r"^```.*?^```$|<!--.*?-->|(?<=\])\([^)\s]+\)", re.DOTALL | re.MULTILINE)
_STRING_OR_COMMENT = re.compile(
    r"\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`"
    r"|(?P<comment>/\*.*?\*/|//[^\n]*(?:\n[ \t]*//[^\n]*)*)",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Passage:
    """A run of prose, with the line on which it begins."""

    line: int
    text: str


def python_passages(source: str) -> Iterator[Passage]:
    """Yield each docstring, and each block of comment lines."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Expr(value=ast.Constant(value=str(text))):
                yield Passage(node.lineno, text)
            case _:
                pass
    block: list[str] = []
    last = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            if token.start[0] != last + 1:
                yield Passage(last - len(block) + 1, "\n".join(block))
                block = []
            block.append(token.string.lstrip("# "))
            last = token.start[0]
    yield Passage(last - len(block) + 1, "\n".join(block))


def script_passages(source: str) -> Iterator[Passage]:
    """Yield each comment of TypeScript or JavaScript; adjacent lines of ``//`` are one."""
    for match in _STRING_OR_COMMENT.finditer(source):
        if match["comment"]:
            text = re.sub(r"^[ \t]*(?://+|/?\*+/?)|\*/$", "", match["comment"], flags=re.MULTILINE)
            yield Passage(source.count("\n", 0, match.start()) + 1, text)


def markdown_passages(source: str) -> Iterator[Passage]:
    """Yield each paragraph, list and table, without code blocks, HTML comments and link targets."""
    prose = _FENCED_CODE.sub(lambda match: "\n" * match[0].count("\n"), source)
    for match in re.finditer(r"(?:^.*\S.*$\n?)+", prose, re.MULTILINE):
        yield Passage(prose.count("\n", 0, match.start()) + 1, match[0])


def paths(area: str, only: list[Path]) -> Iterator[Path]:
    """Yield the files of an area; if ``only`` is not empty, those in its files and folders."""
    for path in sorted({path for pattern in AREAS[area] for path in ROOT.glob(pattern)}):
        if path.relative_to(ROOT).as_posix() in EXCLUDED or GENERATED.intersection(path.parts):
            continue
        if not only or any(path.is_relative_to(each) for each in only):
            yield path


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--hits", action="store_true", help="list the places of each phrase")
    parser.add_argument("path", nargs="*", type=Path, help="count in these files or folders only")
    arguments = parser.parse_args()
    only = [path.resolve() for path in arguments.path]
    patterns = {name: re.compile(p.replace(" ", r"\s+")) for name, (_, p) in BOUNDS.items()}
    print(f"{'area':12} {'words':>7} " + " ".join(f"{name:>12}" for name in BOUNDS))
    print(f"{'(bound)':20} " + " ".join(f"{bound:12g}" for bound, _ in BOUNDS.values()))
    is_above = False
    for area in AREAS:
        words, hits = 0, {name: list[str]() for name in BOUNDS}
        for path in paths(area, only):
            read = {".py": python_passages, ".md": markdown_passages}.get(path.suffix)
            for passage in (read or script_passages)(path.read_text("utf-8")):
                text = _INLINE_CODE.sub(lambda code: "X" + "\n" * code[0].count("\n"), passage.text)
                words += len(re.findall(r"[A-Za-z][\w'-]*", text))
                for name, pattern in patterns.items():
                    for match in pattern.finditer(text):
                        line = passage.line + text.count("\n", 0, match.start())
                        place = f"{path.relative_to(ROOT)}:{line}"
                        hits[name].append(f"{place}: {' '.join(match[0].split())[:60]}")
        rates = {name: len(found) * 10_000 / max(1, words) for name, found in hits.items()}
        print(f"{area:12} {words:7,} " + " ".join(f"{rate:12.1f}" for rate in rates.values()))
        is_above |= any(rates[name] > bound for name, (bound, _) in BOUNDS.items())
        if arguments.hits:
            for name, found in hits.items():
                print("".join(f"  {name}: {hit}\n" for hit in found), end="")
    return int(is_above)


if __name__ == "__main__":
    sys.exit(main())
