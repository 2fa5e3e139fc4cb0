"""A file server that misbehaves as it is told."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

STEP = 1 << 16


class FileServer:
    """Serves one content under every address but those of `others`; each fault in `faults` is for one request.

    Faults: a number is a status; "drop" closes the connection after half of what was asked for, "stall" stops there
    without closing; "nothing" closes it at once; "no ranges" answers with the whole file, "no length" too, without its
    length; "drop, no ranges" both; "other part" sends another part than asked for; "endless" sends more than there is.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.others: dict[str, bytes] = {}
        self.tag = '"first"'
        self.faults: list[str | int] = []
        self.asked: list[str] = []
        self.tags_asked: list[str | None] = []
        self.url = ""
        self.stalling = Event()
        self.released = Event()


class _Handler(BaseHTTPRequestHandler):
    files: FileServer

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.files.content)))
        self.end_headers()

    def do_GET(self) -> None:
        files, content = self.files, self.files.others.get(self.path, self.files.content)
        ranged, tag = self.headers.get("Range", ""), self.headers.get("If-Range")
        files.asked.append(ranged)
        files.tags_asked.append(tag)
        fault = files.faults.pop(0) if files.faults else ""
        if isinstance(fault, int):
            self.send_error(fault)
            return
        if fault == "nothing":
            return
        whole = "no ranges" in fault or fault == "no length" or tag not in (None, files.tag)
        found = "" if whole else ranged
        begin = int(match[1]) if (match := re.match(r"bytes=(\d+)-", found)) else 0
        if begin >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if fault == "other part":
            begin += 7
        self.send_response(206 if found else 200)
        if found:
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        if files.tag:
            self.send_header("ETag", files.tag)
        if fault not in ("no length", "endless"):
            self.send_header("Content-Length", str(len(content) - begin))
        self.end_headers()
        end = begin + (len(content) - begin) // 2 if "drop" in fault or fault == "stall" else len(content)
        try:
            self.wfile.write(content[begin:end])
            if fault == "endless":
                self.wfile.write(bytes(STEP))
        except OSError:
            return
        if fault == "stall":
            files.stalling.set()
            files.released.wait(30)


@contextmanager
def serving(content: bytes) -> Iterator[FileServer]:
    """Serve on a port of this machine."""
    files = FileServer(content)
    handler = type("Handler", (_Handler,), {"files": files})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        files.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield files
        finally:
            files.released.set()
            server.shutdown()
            thread.join()
