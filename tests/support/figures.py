"""Figures that a test measured, printed so that pytest shows them with ``-rA`` or on failure."""

from __future__ import annotations

from collections.abc import Mapping


def tell(what: str, **figures: object) -> None:
    """Print a line with a description and named figures. Seconds are rounded."""
    parts = (f"{name.replace('_', ' ')} {_rounded(figure)}" for name, figure in figures.items())
    print(f"\n{what}: {', '.join(parts)}")  # noqa: T201 - the figures are the point


def _rounded(figure: object) -> object:
    if isinstance(figure, float):
        return f"{figure:.1f} s"
    if isinstance(figure, Mapping):
        return ", ".join(f"{name} {_rounded(one)}" for name, one in sorted(figure.items()))
    return figure
