"""Write a folder with a page that runs a model in the browser, from any web server for static files."""

import json
import shutil
from importlib.resources import files
from pathlib import Path
from typing import Final

from lit_genre.data.metadata.audio_files import readable
from lit_genre.errors import LitGenreError
from lit_genre.export.program import model_metadata
from lit_genre.export.to_onnx import write_onnx
from lit_genre.model.classifier import GenreClassifier
from lit_genre.text import shell_argument

MODEL: Final = "model.onnx"
"""Name of the ONNX file in the folder."""

METADATA: Final = "model.json"
"""Name of the file with the metadata in the folder."""

RUNTIME: Final = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
"""Files of the npm package onnxruntime-web that the page needs: its version for WebAssembly on the CPU."""

_INSTALLED: Final = Path("node_modules", "onnxruntime-web", "dist")
"""Folder into which `npm install onnxruntime-web` puts these files."""

_PAGE: Final = ("index.html", "page.js", "audio.js", "rates.js", "worker.js", "web.css")


def find_runtime(folder: Path | None) -> Path | None:
    """Find the files of onnxruntime-web.

    Args:
        folder: Folder with the files; None for the folder of an npm installation in the current directory.

    Returns:
        The folder; None if `folder` is None and there is no such installation.

    Raises:
        LitGenreError: A file is not in `folder`.
    """
    source = folder or _INSTALLED
    missing = [name for name in RUNTIME if not (source / name).is_file()]
    if not missing:
        return source
    if folder is None:
        return None
    raise LitGenreError(
        f"--runtime {readable(folder)} does not contain {' and '.join(missing)}. Run `npm install onnxruntime-web`, "
        f"and use --runtime {_INSTALLED}."
    )


def write_web(model: GenreClassifier, folder: Path, runtime: Path | None, weights: str = "float32") -> None:
    """Write a folder with the page, the model as ONNX, its metadata, and onnxruntime-web.

    Args:
        model: The model, on the CPU, in evaluation mode.
        folder: Folder to create, with its parents.
        runtime: Folder with the files of onnxruntime-web; None to leave them out.
        weights: Type of the weights in the ONNX file: "float32", "float16" or "int8".

    Raises:
        LitGenreError: The model cannot be written as ONNX, as for `write_onnx`.
        FileExistsError: The folder exists.
    """
    folder.mkdir(parents=True)
    write_onnx(model, folder / MODEL, weights)
    (folder / METADATA).write_text(json.dumps(model_metadata(model), indent=2) + "\n", encoding="utf-8")
    # Both pages have one style.
    sources = [files("lit_genre.serve") / "page.css", *(files("lit_genre.export") / "web" / name for name in _PAGE)]
    for source in sources:
        (folder / source.name).write_bytes(source.read_bytes())
    for name in RUNTIME if runtime else ():
        shutil.copyfile(Path(runtime or "", name), folder / name)


def describe_use(folder: Path, runtime: Path | None) -> list[str]:
    """Return how to open the page, and how to add onnxruntime-web if it was left out.

    Args:
        folder: Folder of the page.
        runtime: Folder from which onnxruntime-web was copied; None if it was left out.

    Returns:
        Lines of text.
    """
    lines, target = [], shell_argument(readable(folder))
    if runtime is None:
        lines += [
            "The page needs two files of onnxruntime-web, which were not found. To add them:",
            "  npm install onnxruntime-web",
            f"  cp {' '.join(str(_INSTALLED / name) for name in RUNTIME)} {target}",
        ]
    serve = f"python -m http.server 8000 --bind 127.0.0.1 --directory {target}"
    return [*lines, f"To open the page: {serve}", "Then open http://127.0.0.1:8000/ in a browser."]
