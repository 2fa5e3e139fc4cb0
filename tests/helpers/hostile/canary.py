"""A canary: a folder that nothing may touch, and a module that nothing may import; both notice it."""

import json
import sys
from pathlib import Path

MODULE = "canary_module"
_watched: list["Canary"] = []


class Canary:
    """Notices execution, and reads and writes outside the places that a user named.

    Attributes:
        folder: The place elsewhere; hostile files name it.
        marker: A file that hostile code would write.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.marker = folder / "executed"
        self.target = folder / "written"
        self.secret = folder / "secret.txt"
        self.opened: list[str] = []
        folder.mkdir()
        self.secret.write_text("root:secret:0\n")
        (folder / "conf.yaml").write_text("class_path: lit_genre.LogMel\n")
        (folder / f"{MODULE}.py").write_text(
            f"open({str(self.marker)!r}, 'w').close()\n"
            "import lit_genre\nclass Net(lit_genre.CRNN): pass\ndef make(*args, **options): ...\n"
        )
        # What makes transformers run that module, if it is told to trust the folder.
        for name, part in {"config": "AutoConfig", "preprocessor_config": "AutoFeatureExtractor"}.items():
            described = {"model_type": MODULE, "auto_map": {part: f"{MODULE}.Net"}}
            (folder / f"{name}.json").write_text(json.dumps(described))
        self._before = {path.name for path in folder.iterdir()}

    @property
    def command(self) -> str:
        """A shell command that a hostile file wants to be run."""
        return f"touch {self.marker}"

    def check(self) -> list[str]:
        """List what happened that must not."""
        happened = [f"executed: {self.marker.name}"] if self.marker.exists() else []
        new = {path.name for path in self.folder.iterdir()} - self._before - {self.marker.name, "__pycache__"}
        happened += [f"written elsewhere: {name}" for name in sorted(new)]
        happened += [f"read elsewhere: {path}" for path in self.opened]
        self.opened.clear()
        self.marker.unlink(missing_ok=True)
        return happened

    def __enter__(self) -> "Canary":
        _watched.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        _watched.remove(self)


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and _watched and isinstance(arguments[0], str | bytes | Path):
        path = arguments[0].decode(errors="replace") if isinstance(arguments[0], bytes) else str(arguments[0])
        for canary in _watched:
            # Python looks for modules in every folder of its path; that reads no content of a stranger's choice.
            if path.startswith(str(canary.folder)) and not path.endswith((".py", ".pyc")):
                canary.opened.append(path)


sys.addaudithook(_note)
