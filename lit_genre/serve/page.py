"""The page: drop or record a song, see its genres as bars, and hear it beside its spectrogram and genres over time."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

# Before gradio is imported: no report of its use goes anywhere.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

import gradio as gr
from fastapi import FastAPI

from lit_genre.data.audio import AudioError
from lit_genre.serve.hearing import Hearing
from lit_genre.serve.timeline import STYLE, message_html, song_html

_SANS, _MONO = ["system-ui", "sans-serif"], ["ui-monospace", "monospace"]
_FILE = "/gradio_api/file="


def build_page(hearing: Hearing, examples: Sequence[Path]) -> gr.Blocks:
    """Build the page.

    Args:
        hearing: The model and its limits.
        examples: Songs to click on.
    """
    backbone = type(hearing.model.backbone).__name__
    limits = f"at most {hearing.max_seconds / 60:g} minutes and {hearing.max_bytes / 1e6:g} MB"

    def answer(path: str | None) -> tuple[Any, str]:
        if path is None:
            return None, ""
        try:
            heard = hearing.hear(Path(path))
            picture = hearing.look(Path(path))
        except AudioError as error:
            return None, message_html(f"This file cannot be classified: {error}.")
        classes = hearing.model.classes
        bars = dict(zip(classes, heard.probs.tolist(), strict=True))
        return bars, song_html(heard, classes, picture, f"{_FILE}{quote(path)}", hearing.clip_seconds)

    with gr.Blocks(title=f"lit-genre: {backbone}", analytics_enabled=False, delete_cache=(600, 3600)) as page:
        gr.Markdown(f"# What genre is it?\n{backbone}, {len(hearing.model.classes)} genres. Songs of {limits}.")
        with gr.Row():
            with gr.Column():
                song = gr.Audio(
                    label="Drop a song, or record one",
                    sources=["upload", "microphone"],
                    type="filepath",
                    elem_id="song",
                    buttons=[],
                )
                gr.Examples([[str(path)] for path in examples], song, label="Or try one of these", elem_id="examples")
            with gr.Column():
                bars = gr.Label(label="Genres", num_top_classes=8, elem_id="genres")
        over_time = gr.HTML(elem_id="over_time")
        song.change(answer, song, [bars, over_time], api_visibility="private", concurrency_limit=None)
    assert isinstance(page, gr.Blocks)
    return page


def mount(app: FastAPI, page: gr.Blocks, hearing: Hearing) -> FastAPI:
    """Put the page onto the application, with fonts of the machine that looks at it."""
    theme = gr.themes.Soft(font=_SANS, font_mono=_MONO)
    mounted: FastAPI = gr.mount_gradio_app(
        app, page, path="/", max_file_size=hearing.max_bytes, ssr_mode=False, theme=theme, css=STYLE, footer_links=[]
    )
    return mounted
