"""Refuse requests of pages of other sites, and allow this page to load only files of this server."""

from typing import Final
from urllib.parse import urlsplit

from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
"""Names of this machine that other machines cannot reach."""

_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",  # The picture of the spectrogram is a data URL.
        "media-src blob:",  # The browser's own copy of a song.
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # A response describes a private file, so no cache on the way may store it.
    "Cache-Control": "no-store",
}


class SecurityMiddleware:
    """Refuses requests of other origins, and adds the security headers to every response.

    Args:
        app: The application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request.

        Args:
            scope: Description of the request, by the ASGI specification.
            receive: Returns the next event of the request.
            send: Sends an event of the response.
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        app = self._app
        if scope["method"] not in ("GET", "HEAD") and not is_same_origin(Headers(scope=scope)):
            app = JSONResponse({"error": "Requests of pages of other sites are refused."}, 403)
        await app(scope, receive, send_with_headers)


def is_same_origin(headers: Headers) -> bool:
    """Check that a request comes from the page of this server, or from a program that is not a browser.

    Browsers send `Origin` with every POST, and a page cannot change it. Programs such as curl send neither `Origin` nor
    `Sec-Fetch-Site`.

    Args:
        headers: Headers of the request.

    Returns:
        Whether the request is allowed.
    """
    if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        return False
    origins = headers.getlist("origin")
    if not origins:
        return True
    host = headers.get("host", "")
    # Only host and port are compared: if a proxy adds TLS, the page has the scheme https, but the request has http.
    return len(origins) == 1 and bool(host) and _host_of(origins[0]) == host.lower()


def _host_of(origin: str) -> str:
    """Return host and port of an origin as in a `Host` header; "" if the origin is not that of a web page."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return ""
    return parts.netloc.lower() if parts.scheme in ("http", "https") else ""
