"""The files of a scene: its own page, and the code that all pages share."""

from pathlib import Path

from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles


def files(app: str) -> list[BaseRoute]:
    """Return the last routes of a scene.

    Args:
        app: the path of its `app.py`. The page is in the folder `page` next to it.
    """
    page = StaticFiles(directory=Path(app).parent / "page", html=True)
    panel = StaticFiles(directory=Path(__file__).parent)
    return [Mount("/panel", app=panel), Mount("/", app=page)]
