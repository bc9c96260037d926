"""The pages and their files, as they lie in the package: no build step, nothing from the network, a strict policy.

Knows files and headers; knows no extractor and no review.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import RedirectResponse, Response

from extractft.extractor import Extractor
from extractft.pages.doubtful_answers import DoubtfulAnswers
from extractft.pages.form_api import form_router
from extractft.pages.review_api import review_router
from extractft.review import ReviewStore
from extractft.serving import ServerConfig, create_app

__all__ = ["create_app_with_pages", "page_routers"]

ROOM = "extractft.pages"
PAGES = {"/": "extract.html", "/review": "review.html"}
MEDIA_TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
"""Nothing but our own files, and no way for a text to become markup or code."""
HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def create_app_with_pages(
    extractors: Mapping[str, Extractor[Any]],
    settings: ServerConfig | None = None,
    store: ReviewStore | None = None,
    review_below: float | None = None,
) -> FastAPI:
    """`create_app` of the service, with the pages.

    Args:
        extractors: Extractors by the name that they have in addresses.
        settings: Settings of the service.
        store: The review; without one, there is no `/review`.
        review_below: Records of answers with a lower confidence are added to the review.
    """
    app = create_app(extractors, settings, routers=page_routers(store))
    if store is not None and review_below is not None:
        app.state.service.observers.append(DoubtfulAnswers(store, review_below))
    return app


def page_routers(store: ReviewStore | None = None) -> list[APIRouter]:
    """The routes of the pages, and of the API that they use.

    Args:
        store: The review; without one, there is no `/review`.
    """
    router = APIRouter(include_in_schema=False)
    for path, name in PAGES.items():
        if store is not None or path != "/review":
            router.add_api_route(path, _endpoint(name), methods=["GET", "HEAD"])
    for name in _contents():
        if not name.endswith(".html"):
            router.add_api_route(f"/pages/{name}", _endpoint(name), methods=["GET", "HEAD"])
    router.add_api_route("/favicon.ico", _icon, methods=["GET", "HEAD"])
    return [router, form_router(reviewed=store is not None), *([] if store is None else [review_router(store)])]


@cache
def _contents() -> Mapping[str, bytes]:
    """The files by name."""
    folder = files(ROOM).joinpath("static")
    return {
        found.name: found.read_bytes() for found in folder.iterdir() if found.name.rpartition(".")[2] in MEDIA_TYPES
    }


def _endpoint(name: str) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    content = _contents()[name]
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {**HEADERS, "ETag": tag}
    media_type = MEDIA_TYPES[name.rpartition(".")[2]]

    async def file(request: Request) -> Response:
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=media_type, headers=headers)

    return file


async def _icon() -> Response:
    return RedirectResponse("/pages/icon.svg", 301)
