"""Quotations: words of a library that are looked up in it, or in a page of this repository, with the place."""

import inspect
import re
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Quotation:
    """words: as they stand at `place`. value: the number that they state, if they state one."""

    place: str
    words: str
    value: float = float("nan")

    def __str__(self) -> str:
        return f"{self.place}: '{self.words}'"


def docstring(of: str, words: str) -> Quotation:
    """Words of the docstring of "module:attribute"; LookupError if they do not stand there."""
    module, _, attribute = of.partition(":")
    text = inspect.getdoc(resolve_name(of)) or ""
    return _checked(f"docstring of {module}.{attribute}", text, words)


def page(file: str, words: str) -> Quotation:
    """Words of a text file of this repository; LookupError if they do not stand there."""
    return _checked(file, (ROOT / file).read_text(encoding="utf-8"), words)


def _checked(place: str, text: str, words: str) -> Quotation:
    if " ".join(words.split()) not in " ".join(text.split()):
        raise LookupError(f"the {place} does not say {words!r}; read it again and quote what it says now.")
    return Quotation(place, words)


def line(cls: type, pattern: str) -> tuple[str, str]:
    """The place and the words of the first line that matches in a class, or in the first of its bases that has one."""
    for owner in cls.__mro__[:-1]:
        lines, first = inspect.getsourcelines(owner)
        for number, line in enumerate(lines, start=first):
            if re.search(pattern, line):
                return f"{owner.__module__.replace('.', '/')}.py, line {number}", line.strip()
    raise LookupError(f"{cls} has no line with {pattern!r}.")
