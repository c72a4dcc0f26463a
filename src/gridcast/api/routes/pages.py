"""The dashboard's files, read once at the start: no path of a request ever reaches the disk."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from gridcast.api.rendering import Rendered

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
_TEXT = "text/plain; charset=utf-8"


def router() -> APIRouter:
    """``GET /`` and ``GET /static/...``: open to everybody, as nothing in them is a secret."""
    routes = APIRouter(include_in_schema=False)
    folder = files("gridcast.api").joinpath("dashboard")
    pages = _read(folder.joinpath("static"), prefix="")
    front = _page(folder.joinpath("index.html"))

    @routes.api_route("/", methods=["GET", "HEAD"])
    async def index(request: Request) -> Response:
        return front.answer(request)

    @routes.api_route("/static/{path:path}", methods=["GET", "HEAD"])
    async def static(request: Request, path: str) -> Response:
        page = pages.get(path)
        if page is None:
            raise HTTPException(404)
        return page.answer(request)

    return routes


def _read(folder: Traversable, *, prefix: str) -> dict[str, Rendered]:
    found: dict[str, Rendered] = {}
    for each in folder.iterdir():
        if each.is_dir():
            found |= _read(each, prefix=f"{prefix}{each.name}/")
        else:
            found[prefix + each.name] = _page(each)
    return found


def _page(file: Traversable) -> Rendered:
    ending = file.name[file.name.rfind(".") :]
    return Rendered(file.read_bytes(), TYPES.get(ending, _TEXT))
