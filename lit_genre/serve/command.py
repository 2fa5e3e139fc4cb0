"""The command `serve`: a page on this machine to try a model on."""

import argparse
import os
import socket
import tempfile
import threading
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import soundfile

from lit_genre.console import console, quiet_c_stderr
from lit_genre.demo.instruments import SAMPLE_RATE
from lit_genre.demo.synth import synthesise
from lit_genre.errors import LitGenreError, check_at_least
from lit_genre.load import add_model_arguments, find_device, load_model
from lit_genre.serve.hearing import Hearing

if TYPE_CHECKING:
    from fastapi import FastAPI

EXAMPLES = {"Rock": 12, "Folk": 12, "Electronic": 12, "Hip-Hop": 12}
"""Synthetic songs to click on, with their length in seconds: by the names of the demo's genres."""


def run(args: Sequence[str]) -> None:
    """Run the command."""
    options = _parser().parse_args(args)
    check_at_least(max_megabytes=(options.max_megabytes, 0.001), max_seconds=(options.max_seconds, 1))
    if not 0 <= options.port <= 65535:
        raise LitGenreError(f"--port is {options.port}, but must be 0 to 65535.")
    try:
        import gradio  # noqa: F401
        import uvicorn
    except ImportError as error:
        raise LitGenreError("To serve a page: pip install 'lit-genre[serve]'.") from error
    device = find_device(options.device)
    model = load_model(options.checkpoint, trust=options.trust, device=device)
    hearing = Hearing(model, int(options.max_megabytes * 1e6), options.max_seconds)
    listening = _bind(options.host, options.port)
    with tempfile.TemporaryDirectory() as folder, quiet_c_stderr():
        server = uvicorn.Server(uvicorn.Config(build_app(hearing, options.host, Path(folder)), log_level="warning"))
        host = f"[{options.host}]" if ":" in options.host else options.host
        url = f"http://{host}:{listening.getsockname()[1]}/"
        console.print(f"Open {url}\nor:  curl --data-binary @song.mp3 {url}classify\nStop with Ctrl-C.", markup=False)
        if not options.no_browser:
            threading.Timer(1, webbrowser.open, [url]).start()
        server.run(sockets=[listening])


def build_app(hearing: Hearing, host: str, folder: Path) -> "FastAPI":
    """Build address and page; examples are written into a folder."""
    from lit_genre.serve.api import build_api
    from lit_genre.serve.page import build_page, mount

    page = build_page(hearing, write_examples(folder))
    return mount(build_api(hearing, host), page, hearing)


def write_examples(folder: Path) -> list[Path]:
    """Write synthetic songs."""
    paths = []
    for number, (genre, seconds) in enumerate(EXAMPLES.items()):
        paths.append(folder / f"{genre.lower()}.mp3")
        soundfile.write(paths[-1], synthesise(genre, 90 + number, 900 + number, seconds, seed=0), SAMPLE_RATE)
    return paths


def _bind(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except socket.gaierror as error:
        raise LitGenreError(f"--host {host} is no address of this machine: {error.strerror}.") from error
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise LitGenreError(f"{host}, port {port} cannot be listened on: {reason}. Choose another --port.") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lit-genre serve", description="Open a page on this machine to try a model on.", allow_abbrev=False
    )
    add_model_arguments(parser)
    parser.add_argument(
        "--host", default="127.0.0.1", help="0.0.0.0 lets others in, without a password (default: %(default)s)"
    )
    parser.add_argument("--port", type=int, default=7860, help="0 for any that is free (default: %(default)s)")
    parser.add_argument("--max_megabytes", type=float, default=100, help="of a file (default: %(default)s)")
    parser.add_argument("--max_seconds", type=float, default=1200, help="of a song (default: %(default)s)")
    parser.add_argument("--no_browser", action="store_true", help="open no browser")
    return parser
