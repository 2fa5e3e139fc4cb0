"""The HTTP interface: GET returns the page, and POST to /classify predicts the genres of a file."""

import asyncio
import tempfile
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

from lit_genre.data.decoding.errors import AudioError
from lit_genre.serve.page import Page, Resource
from lit_genre.serve.security import LOOPBACK, SecurityMiddleware
from lit_genre.serve.service import InferenceService, StoppedError
from lit_genre.serve.uploads import RefusedError, Uploads

Result = TypeVar("Result")


def build_api(service: InferenceService, uploads: Uploads, host: str, folder: Path) -> FastAPI:
    """Build the application.

    Args:
        service: Decodes and predicts the uploads.
        uploads: Receives the uploads within its limits.
        host: Address that the server is bound to. If it is a loopback address, requests that name another host are
            refused: a page of another site can make its own name point to this machine (DNS rebinding).
        folder: Folder of the uploads; each is deleted before its response is sent.

    Returns:
        The application.
    """
    # Without openapi_url there are no documentation pages, which would load scripts from other servers.
    app = FastAPI(title="lit-genre", openapi_url=None, redirect_slashes=False)
    if host in LOOPBACK:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*LOOPBACK, "[::1]"])
    app.add_middleware(SecurityMiddleware)
    _add_error_handlers(app)
    model = service.model
    _add_page(app, Page(type(model.backbone).__name__, model.classes, service.limits))

    @app.post("/classify")
    async def classify(
        request: Request,
        top_k: int = 3,
        segments: bool = False,
        timeline: bool = False,
        spectrogram: bool = False,
    ) -> JSONResponse:
        # A client can ask for any top_k; `classify` has no use for less than 1, and returns all genres for too many.
        classify_file = partial(
            service.classify, top_k=max(1, top_k), segments=segments, timeline=timeline, spectrogram=spectrogram
        )
        async with uploads.register() as upload:
            # On Windows, files of a decoder that is being killed cannot be deleted yet. `folder` is deleted at the end.
            with tempfile.TemporaryDirectory(dir=folder, ignore_cleanup_errors=True) as upload_folder:
                path = Path(upload_folder) / "upload"
                await uploads.receive(upload, request, path)
                return JSONResponse(await _run_while_connected(request, partial(classify_file, path)))

    return app


async def _run_while_connected(request: Request, function: Callable[[threading.Event], Result]) -> Result:
    """Call a function in a thread, and set the event that is its argument if the client disconnects."""
    cancelled = threading.Event()

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        cancelled.set()

    watcher = asyncio.create_task(watch())
    try:
        return await run_in_threadpool(function, cancelled)
    finally:
        watcher.cancel()


def _add_page(app: FastAPI, page: Page) -> None:
    """Add the addresses of the page, its scripts and its examples."""

    @app.get("/{name}")
    def get_page(name: str) -> Response:
        return _respond(page.find(name))

    @app.get("/")
    def get_index() -> Response:
        return _respond(page.index)

    @app.get("/examples/{name}")
    def get_example(name: str) -> Response:
        return _respond(page.find_example(name))


def _respond(resource: Resource | None) -> Response:
    if resource is None:
        raise HTTPException(404)
    return Response(resource.content, media_type=resource.media_type)


def _add_error_handlers(app: FastAPI) -> None:
    """Return every error as a JSON object with the reason as `error`."""

    @app.exception_handler(RefusedError)
    async def refuse(request: Request, error: RefusedError) -> JSONResponse:
        # 408: after a time-out the rest of the body must not be read as the next request. 503: seconds to wait.
        headers = {408: {"Connection": "close"}, 503: {"Retry-After": "5"}}.get(error.status)
        return _error(error.status, f"This file cannot be classified: {error}.", headers)

    @app.exception_handler(AudioError)
    async def explain(request: Request, error: AudioError) -> JSONResponse:
        return _error(422, f"This file cannot be classified: {error}.")

    @app.exception_handler(StoppedError)
    async def stop(request: Request, error: StoppedError) -> JSONResponse:
        return _error(503, "This file cannot be classified: the server is stopping.")

    @app.exception_handler(RequestValidationError)
    async def validate(request: Request, error: RequestValidationError) -> JSONResponse:
        # Only name and reason, not the value: FastAPI's own response would repeat what the client sent.
        reasons = (f"{fault['loc'][-1]}: {fault['msg']}" for fault in error.errors())
        return _error(422, f"This request has wrong parameters: {'; '.join(reasons)}.")

    @app.exception_handler(HTTPException)
    async def fail(request: Request, error: HTTPException) -> JSONResponse:
        return _error(error.status_code, f"{error.detail}.", error.headers)

    @app.exception_handler(Exception)
    async def crash(request: Request, error: Exception) -> JSONResponse:
        # Uvicorn logs the traceback. The response must not reveal paths of this machine.
        return _error(500, "The server failed.")


def _error(status: int, text: str, headers: Any = None) -> JSONResponse:
    return JSONResponse({"error": text}, status, headers)
