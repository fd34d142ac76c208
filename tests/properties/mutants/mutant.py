"""`Mutant` and `SourceMutant`: one broken rule of a core, as data."""

from __future__ import annotations

import inspect
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any


@dataclass(frozen=True)
class Mutant:
    """A rule of a Python core, and the change to a method or function that breaks it.

    Attributes:
        where: the class of the method, or the module of the function.
        method: its name.
        name: of the mutant; with the side in front it is the id of its test.
        rule: what is broken, with the clause.
        old: the code that is changed. It occurs once in the method.
        new: what it is changed to.
        first_seed: the schedule with which the machine begins, if few schedules detect the mutant.
        vectors_only: why the machine cannot detect it; empty if it can.
    """

    where: type | ModuleType
    method: str
    name: str
    rule: str
    old: str
    new: str
    first_seed: int = 0
    vectors_only: str = ""

    @property
    def original(self) -> Any:
        """The method or function as it is."""
        return inspect.getattr_static(self.where, self.method)

    def broken(self) -> Any:
        """Return the method or function with the change."""
        source = textwrap.dedent(inspect.getsource(self.original))
        assert source.count(self.old) == 1, f"{self.name}: {self.old!r} is not in the source"
        where = self.where
        module = where if isinstance(where, ModuleType) else sys.modules[where.__module__]
        names: dict[str, Any] = {}
        exec(source.replace(self.old, self.new), vars(module), names)
        return names[self.method]


@dataclass(frozen=True)
class TestedMutant(Mutant):
    """A rule outside of the cores, and the change that breaks it.

    Attributes:
        test: a test that must fail, async or not, with its arguments.
    """

    __test__ = False  # not for pytest
    test: Callable[[], Any] = lambda: None


@dataclass(frozen=True)
class SourceMutant:
    """A rule of the TypeScript core, and the change to a source file that breaks it.

    Attributes:
        source: the name of the file in ``client_js/src``.
        name: of the mutant, and of its test.
        rule: what is broken, with the clause.
        old: the code that is changed. It occurs once in the file.
        new: what it is changed to.
        first_seed, vectors_only: as of a `Mutant`.
    """

    source: str
    name: str
    rule: str
    old: str
    new: str
    first_seed: int = 0
    vectors_only: str = ""
