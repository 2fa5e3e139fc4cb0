"""The model behind an address: POST a file to /classify, get its genres as JSON."""

import tempfile
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect

from lit_genre.answer.tables import answer_as_dict
from lit_genre.data.audio import AudioError
from lit_genre.serve.hearing import Hearing

LOOPBACK = ("127.0.0.1", "localhost", "::1")


class _TooLargeError(Exception):
    pass


def build_api(hearing: Hearing, host: str) -> FastAPI:
    """Build the application; the page is mounted on it.

    Args:
        hearing: The model and its limits.
        host: Address that it is bound to. Where only this machine is meant, other names of it are refused, as pages of
            other sites use them to get behind the browser's walls.
    """
    # The pages of documentation that FastAPI has come with scripts from elsewhere.
    app = FastAPI(title="lit-genre", docs_url=None, redoc_url=None)
    if host in LOOPBACK:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*LOOPBACK, "[::1]"])

    @app.post("/classify")
    async def classify(request: Request, top: int = 3, over_time: bool = False) -> JSONResponse:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "song"
            try:
                await _receive(request, path, hearing.max_bytes)
                answer = await run_in_threadpool(hearing.hear, path)
            except ClientDisconnect:
                return _refuse(499, "it did not arrive whole")
            except _TooLargeError:
                return _refuse(413, hearing.too_large)
            except AudioError as error:
                return _refuse(422, str(error))
        model = hearing.model
        return JSONResponse(
            answer_as_dict(answer, model.classes, model.task, max(1, top), over_time, hearing.clip_seconds)
        )

    return app


async def _receive(request: Request, path: Path, max_bytes: int) -> None:
    received = 0
    with path.open("wb") as file:
        async for chunk in request.stream():
            received += len(chunk)
            if received > max_bytes:
                raise _TooLargeError
            file.write(chunk)


def _refuse(status: int, reason: str) -> JSONResponse:
    return JSONResponse({"error": f"This file cannot be classified: {reason}."}, status)
