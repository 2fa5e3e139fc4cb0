"""Hostile files of many kinds: checkpoints, run folders and exported folders as a stranger may send them.

Each kind is a function that spoils a good file; `KINDS` lists them all, and `table` writes them down for
SECURITY.md.
"""

import datetime
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
import yaml

from tests.helpers.hostile.canary import MODULE, Canary

Content = dict[str, Any]
Spoil = Callable[[Content, Canary], None]


class Kind(NamedTuple):
    """A kind of hostile file.

    Attributes:
        name: What it tries.
        form: `checkpoint`, `run` (a folder with its configuration) or `hub` (an exported folder).
        make: Writes the file, from a good run folder, into a folder, and returns what a command is given.
    """

    name: str
    form: str
    make: Callable[[Path, Path, Canary], Path]


KINDS: list[Kind] = []

_MODEL = ("fit", "validate", "test", "predict", "probe", "baseline", "classify", "similar", "export", "serve")
COMMANDS = {
    "checkpoint": _MODEL,
    "run": (*_MODEL, "compare"),
    "hub": ("classify", "similar", "export", "serve"),
}
"""Commands that take a file of each form."""

_FORMS = {"checkpoint": "A checkpoint", "run": "A checkpoint in a run folder", "hub": "A folder in the Hub's format"}


def table() -> str:
    """Write the kinds, grouped by form, with the commands that each was given to, as Markdown."""
    lines = ["| form | given to | kinds |", "|---|---|---|"]
    for form, commands in COMMANDS.items():
        names = [kind.name.removeprefix("exported: ") for kind in KINDS if kind.form == form]
        lines.append(f"| {_FORMS[form]} | {', '.join(commands)} | {len(names)}: {'; '.join(names)} |")
    return "\n".join(lines)


def checkpoint(name: str) -> Callable[[Spoil], Spoil]:
    """Declare a kind of checkpoint, by a function that changes its content."""

    def declare(spoil: Spoil) -> Spoil:
        def make(good: Path, folder: Path, canary: Canary) -> Path:
            content = torch.load(good / "checkpoints" / "best.ckpt", weights_only=True)
            spoil(content, canary)
            path = folder / "hostile.ckpt"
            torch.save(content, path)
            return path

        KINDS.append(Kind(name, "checkpoint", make))
        return spoil

    return declare


def config(name: str) -> Callable[[Spoil], Spoil]:
    """Declare a kind of run folder, by a function that changes its configuration."""

    def declare(spoil: Spoil) -> Spoil:
        def make(good: Path, folder: Path, canary: Canary) -> Path:
            run = _copy(good, folder)
            content = yaml.safe_load((run / "config.yaml").read_text())
            spoil(content, canary)
            (run / "config.yaml").write_text(yaml.safe_dump(content))
            return run / "checkpoints" / "last.ckpt"

        KINDS.append(Kind(name, "run", make))
        return spoil

    return declare


def run_folder(name: str) -> Callable[[Callable[[Path, Canary], None]], object]:
    """Declare a kind of run folder, by a function that changes its files."""

    def declare(spoil: Callable[[Path, Canary], None]) -> object:
        def make(good: Path, folder: Path, canary: Canary) -> Path:
            run = _copy(good, folder)
            # As from another account: unsigned.
            content = yaml.safe_load((run / "config.yaml").read_text())
            (run / "config.yaml").write_text(yaml.safe_dump(content))
            spoil(run, canary)
            return run / "checkpoints" / "last.ckpt"

        KINDS.append(Kind(name, "run", make))
        return spoil

    return declare


def hub(name: str) -> Callable[[Callable[[Path, Canary], None]], object]:
    """Declare a kind of exported folder, by a function that changes its files."""

    def declare(spoil: Callable[[Path, Canary], None]) -> object:
        def make(good: Path, folder: Path, canary: Canary) -> Path:
            exported = folder / "hub"
            shutil.copytree(good.parent / "hub", exported)
            spoil(exported, canary)
            return exported

        KINDS.append(Kind(name, "hub", make))
        return spoil

    return declare


def _copy(good: Path, folder: Path) -> Path:
    run = folder / "run"
    shutil.copytree(good, run)
    return run


def _hyperparameter(name: str, title: str, value: Callable[[Canary], Any]) -> None:
    def spoil(content: Content, canary: Canary) -> None:
        content["hyper_parameters"][name] = value(canary)

    checkpoint(title)(spoil)


def _setting(path: str, title: str, value: Callable[[Canary], Any]) -> None:
    def spoil(content: Content, canary: Canary) -> None:
        *parents, last = path.split(".")
        for parent in parents:
            content = content.setdefault(parent, {})
        content[last] = value(canary)

    config(title)(spoil)


def _shell(canary: Canary) -> Content:
    return {"class_path": "subprocess.getoutput", "init_args": {"cmd": canary.command}}


def _module(_: Canary) -> Content:
    return {"class_path": f"{MODULE}.Net"}


# Hyper-parameters that name classes.
_hyperparameter("frontend", "front-end is subprocess.getoutput", _shell)
_hyperparameter(
    "backbone",
    "backbone is os.system",
    lambda canary: {"class_path": "os.system", "init_args": {"command": canary.command}},
)
_hyperparameter("optimizer", "optimiser is subprocess.getoutput", _shell)
_hyperparameter("scheduler", "scheduler is subprocess.getoutput", _shell)
_hyperparameter("augment", "augmentation is subprocess.getoutput", lambda canary: [_shell(canary)])
_hyperparameter("backbone", "backbone of a module on the path", _module)
_hyperparameter("frontend", "front-end of a module on the path", _module)
_hyperparameter("loss", "an argument that is not one, of a module on the path", _module)
_hyperparameter(
    "frontend",
    "front-end by way of a module that imports subprocess",
    lambda canary: {"class_path": "lit_genre.data.ffmpeg.subprocess.call", "init_args": {"args": canary.command}},
)
_hyperparameter(
    "frontend",
    "front-end is a function of lit-genre that writes",
    lambda canary: {"class_path": "lit_genre.demo.write.write_demo", "init_args": {"root": str(canary.target)}},
)
_hyperparameter(
    "frontend",
    "front-end with undeclared arguments",
    lambda _: {"class_path": "lit_genre.LogMel", "dict_kwargs": {"sr": 3}},
)
_hyperparameter(
    "frontend",
    "front-end with a class among its arguments",
    lambda canary: {"class_path": "lit_genre.LogMel", "init_args": {"engine": _shell(canary)}},
)
_hyperparameter("frontend", "front-end is text", lambda _: "torch.nn.Linear")
_hyperparameter("backbone", "backbone is a file elsewhere", lambda canary: str(canary.folder / "conf.yaml"))
_hyperparameter("backbone", "backbone is a list", lambda _: ["lit_genre.CRNN"])
_hyperparameter("backbone", "backbone is a nameless class", lambda _: {"class_path": ""})
_hyperparameter("backbone", "backbone is a dunder path", lambda _: {"class_path": "lit_genre.CRNN.__init__"})
_hyperparameter("_instantiator", "Lightning's instantiator is a function on the path", lambda _: f"{MODULE}.make")
_hyperparameter("_class_path", "Lightning's class path is a class on the path", lambda _: f"{MODULE}.Net")


def _transformers(**init_args: Any) -> Content:
    return {"class_path": "lit_genre_transformers.TransformersBackbone", "init_args": init_args}


def _encoder(title: str, value: Callable[[Canary], Any]) -> None:
    """Declare a kind of encoder on waveforms, with the front-end that it goes with."""

    def spoil(content: Content, canary: Canary) -> None:
        content["hyper_parameters"] |= {"backbone": value(canary), "frontend": {"class_path": "torch.nn.Identity"}}

    checkpoint(title)(spoil)


_encoder(
    "transformers' encoder with code of its own",
    lambda canary: _transformers(model=str(canary.folder), trust_remote_code=True),
)
_encoder("transformers' encoder from a folder elsewhere", lambda c: _transformers(model=str(c.folder)))
_encoder(
    "transformers' encoder with code, by a list",
    lambda canary: _transformers(model=[str(canary.folder)], trust_remote_code=[1]),
)
_encoder(
    "transformers' feature extractor is another object",
    lambda _: _transformers(
        restored={"config": {"model_type": "wav2vec2"}, "extractor": {"feature_extractor_type": "pipeline"}}
    ),
)
_encoder(
    "transformers' configuration names code",
    lambda canary: _transformers(
        restored={
            "config": {"model_type": "wav2vec2", "auto_map": {"AutoModel": f"{canary.folder}--{MODULE}.Net"}},
            "extractor": {"feature_extractor_type": f"{MODULE}.Net"},
        }
    ),
)
_hyperparameter(
    "backbone",
    "timm's weights from the hub",
    lambda _: {"class_path": "lit_genre_timm.TimmBackbone", "init_args": {"pretrained": True}},
)
_hyperparameter(
    "backbone",
    "timm's network from a folder",
    lambda c: {"class_path": "lit_genre_timm.TimmBackbone", "init_args": {"model_name": f"local-dir:{c.folder}"}},
)


def _joined(**changes: Any) -> Content:
    good = {"backbone": "lit_genre.CRNN", "frontend": "lit_genre.LogMel", "sample_rate": 22050}
    parts = [good, {**good, **changes}]
    return {"class_path": "lit_genre.backbones.joined.JoinedBackbones", "init_args": {"parts": parts}}


_encoder("joined backbones with one of a module on the path", lambda c: _joined(backbone=_module(c)))
_encoder("joined backbones with a front-end that is subprocess.getoutput", lambda c: _joined(frontend=_shell(c)))
_encoder(
    "joined backbones with transformers' encoder with code of its own",
    lambda c: _joined(
        backbone=_transformers(model=str(c.folder), trust_remote_code=True), frontend="torch.nn.Identity"
    ),
)
_encoder("joined backbones in joined backbones", lambda _: _joined(backbone=_joined(), frontend="torch.nn.Identity"))

# Hyper-parameters that are out of shape.
_hyperparameter("classes", "class names twice", lambda _: ["Rock"] * 8)
_hyperparameter("classes", "class names that are numbers", lambda _: list(range(8)))
_hyperparameter("classes", "no class", lambda _: [])
_hyperparameter("classes", "class names are one text", lambda _: "ABCDEFGH")
_hyperparameter("classes", "a class name of a megabyte", lambda _: [*"ABCDEFG", "x" * 1_000_000])
_hyperparameter("task", "unknown task", lambda _: "regression")
_hyperparameter("task", "task is a list", lambda _: ["multiclass"])
_hyperparameter("class_counts", "class counts of another length", lambda _: [1])
_hyperparameter("sample_rate", "negative sample rate", lambda _: -1)
_hyperparameter("sample_rate", "sample rate is text", lambda _: "22050")
_hyperparameter("clip_seconds", "a clip of 30 billion years", lambda _: 1e18)
_hyperparameter("clip_seconds", "a clip of NaN seconds", lambda _: float("nan"))
_hyperparameter("head_dim", "negative size of the head", lambda _: -3)
_hyperparameter(3, "a name that is a number", lambda _: 3)  # type: ignore[arg-type]
_hyperparameter("changes", "a switch that is text", lambda _: "yes")
_hyperparameter(
    "backbone",
    "a layer larger than any memory",
    lambda _: {"class_path": "lit_genre.CRNN", "init_args": {"filters": [10**15], "lstm_dim": 10**15}},
)
_hyperparameter(
    "backbone", "a backbone with unknown arguments", lambda _: {"class_path": "lit_genre.CRNN", "init_args": {"x": 1}}
)


def _class_of_model(name: str, class_path: Any) -> None:
    def spoil(content: Content, _: Canary) -> None:
        content["model_class"] = class_path

    checkpoint(name)(spoil)


_class_of_model("class of the model on the path", f"{MODULE}.Net")
_class_of_model("class of the model is a function", "os.system")
_class_of_model("class of the model is another class", "lit_genre.LogMel")
_class_of_model("class of the model is a number", 3)


@checkpoint("nested three hundred levels deep")
def _deep(content: Content, _: Canary) -> None:
    nested: Any = 0
    for _level in range(300):
        nested = [nested]
    content["hyper_parameters"]["class_counts"] = nested


@checkpoint("tensors among the hyper-parameters")
def _tensors(content: Content, _: Canary) -> None:
    content["hyper_parameters"]["clip_seconds"] = torch.ones(1)


@checkpoint("hyper-parameters are a list")
def _listed(content: Content, _: Canary) -> None:
    content["hyper_parameters"] = [1]


# Weights and states.
@checkpoint("weights that are NaN")
def _nan(content: Content, _: Canary) -> None:
    content["state_dict"]["head.bias"].fill_(float("nan"))


@checkpoint("no weights")
def _weightless(content: Content, _: Canary) -> None:
    del content["state_dict"]


@checkpoint("weights that are text")
def _text_weights(content: Content, _: Canary) -> None:
    content["state_dict"]["head.bias"] = "0"


@checkpoint("weights of another shape")
def _misshapen(content: Content, _: Canary) -> None:
    content["state_dict"]["head.bias"] = torch.zeros(3)


@checkpoint("sparse weights")
def _sparse(content: Content, _: Canary) -> None:
    content["state_dict"]["head.weight"] = content["state_dict"]["head.weight"].to_sparse()


@checkpoint("weights with names that are numbers")
def _numbered(content: Content, _: Canary) -> None:
    content["state_dict"] = dict(enumerate(content["state_dict"].values()))


@checkpoint("progress of the loops is text")
def _loops(content: Content, _: Canary) -> None:
    content["loops"]["fit_loop"]["epoch_progress"]["current"]["completed"] = "x"


@checkpoint("no progress of the loops")
def _no_loops(content: Content, _: Canary) -> None:
    content["loops"] = {"fit_loop": 3}


@checkpoint("state of the optimiser is text")
def _optimizer(content: Content, _: Canary) -> None:
    content["optimizer_states"] = ["x"]


@checkpoint("state of the optimiser of another shape")
def _misshapen_optimizer(content: Content, _: Canary) -> None:
    for state in content["optimizer_states"][0]["state"].values():
        state["exp_avg"] = torch.zeros(1, 2, 3)


@checkpoint("state of the scheduler is text")
def _scheduler(content: Content, _: Canary) -> None:
    content["lr_schedulers"] = [{"best": "x", "mode": 3, "patience": "y"}]


@checkpoint("state of a callback is text")
def _callbacks(content: Content, _: Canary) -> None:
    content["callbacks"] = dict.fromkeys(content["callbacks"], "x")


@checkpoint("history that is text")
def _history(content: Content, _: Canary) -> None:
    content["callbacks"]["History"] = {"rows": [{"epoch": "=cmd", "seconds": "[/x]"}]}


@checkpoint("best checkpoint lies elsewhere")
def _best(content: Content, canary: Canary) -> None:
    for name, state in content["callbacks"].items():
        if name.startswith("RunCheckpoint"):
            state["best_model_path"] = state["kth_best_model_path"] = str(canary.secret)
            state["best_k_models"] = {str(canary.secret): torch.tensor(-1.0)}
            state["dirpath"] = str(canary.folder)


@checkpoint("state of the data is text")
def _data_state(content: Content, _: Canary) -> None:
    content["FMADataModule"] = {"seed": "x", "trained_on": "y", "tests_on": 3}


@checkpoint("seed is text")
def _seed(content: Content, _: Canary) -> None:
    content["seed"] = "x"


class _Pickled:
    def __init__(self, command: str) -> None:
        self._command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self._command,)


@checkpoint("a pickled call among the hyper-parameters")
def _pickled(content: Content, canary: Canary) -> None:
    content["hyper_parameters"]["classes"] = _Pickled(canary.command)


@checkpoint("a pickled call among the states")
def _pickled_state(content: Content, canary: Canary) -> None:
    content["callbacks"]["History"] = _Pickled(canary.command)


def _bytes(name: str, write: Callable[[Path, Canary], None]) -> None:
    def make(good: Path, folder: Path, canary: Canary) -> Path:
        path = folder / "hostile.ckpt"
        write(path, canary)
        return path

    KINDS.append(Kind(name, "checkpoint", make))


_bytes("a pickle without torch's archive", lambda path, c: path.write_bytes(pickle.dumps(_Pickled(c.command))) and None)
_bytes("text", lambda path, _: path.write_text("kein Modell") and None)
_bytes("an empty file", lambda path, _: path.touch())
_bytes("a zip that is no archive of torch", lambda path, _: path.write_bytes(b"PK\x05\x06" + bytes(18)) and None)
_bytes("a tensor", lambda path, _: torch.save(torch.ones(3), path))
_bytes("a link to a file elsewhere", lambda path, c: path.symlink_to(c.folder / "missing"))

# Configurations of runs.
_setting("trainer.callbacks", "callback is subprocess.getoutput", lambda c: [_shell(c)])
_setting("trainer.callbacks", "callback is the name of a class on the path", lambda _: [f"{MODULE}.Net"])
_setting("trainer.callbacks", "callbacks are a file elsewhere", lambda c: str(c.folder / "conf.yaml"))
_setting("trainer.logger", "logger is subprocess.getoutput", _shell)
_setting("trainer.plugins", "plugin is subprocess.getoutput", lambda c: [_shell(c)])
_setting("trainer.strategy", "strategy is a class on the path", lambda _: f"{MODULE}.Net")
_setting("trainer.strategy", "strategy is subprocess.getoutput", _shell)
_setting("trainer.accelerator", "accelerator is a class on the path", lambda _: f"{MODULE}.Net")
_setting("trainer.profiler", "profiler is subprocess.getoutput", _shell)
_setting(
    "trainer.profiler",
    "profiler writes elsewhere",
    lambda c: {
        "class_path": "lightning.pytorch.profilers.SimpleProfiler",
        "init_args": {"dirpath": str(c.folder), "filename": "written"},
    },
)
_setting("trainer.default_root_dir", "run folder elsewhere", lambda c: str(c.target))
_setting("model.optimizer", "optimiser of the run is subprocess.getoutput", _shell)
_setting("model.scheduler", "scheduler of the run is subprocess.getoutput", _shell)
_setting("model.augment", "augmentation of the run is subprocess.getoutput", lambda c: [_shell(c)])
_setting("model.frontend", "front-end of the run is subprocess.getoutput", _shell)
_setting("model.backbone", "backbone of the run is a class on the path", _module)
_setting("model.backbone", "backbone of the run is a file elsewhere", lambda c: str(c.folder / "conf.yaml"))
_setting(
    "model.backbone",
    "joined backbones of the run with one of a module on the path",
    lambda c: _joined(backbone=_module(c)),
)
_setting("data.class_path", "data are a class on the path", lambda _: f"{MODULE}.Net")
_setting("data.class_path", "data are subprocess.getoutput", lambda _: "subprocess.getoutput")
_setting("data.init_args.store_root", "store elsewhere", lambda c: str(c.target))
_setting("data.init_args.store_root", "store in a hidden folder beside", lambda _: ".hidden")
_setting("data.init_args.exclude", "list of tracks elsewhere", lambda c: [str(c.secret)])
_setting("data.init_args.exclude", "list of lists elsewhere", lambda c: str(c.secret))
_setting(
    "data",
    "music of a folder elsewhere",
    lambda c: {"class_path": "lit_genre.FolderDataModule", "init_args": {"path": str(c.folder)}},
)
_setting(
    "data",
    "music of a list elsewhere",
    lambda c: {"class_path": "lit_genre.FolderDataModule", "init_args": {"csv": str(c.secret)}},
)
_setting("data.init_args", "arguments of the data are a list", lambda _: [1])
_setting("data", "data are text", lambda c: str(c.secret))
_setting("model", "the model is text", lambda c: str(c.secret))
_setting("trainer", "the trainer is text", lambda c: str(c.secret))
_setting("seed_everything", "seed of the run is text", lambda c: str(c.secret))
_setting("select_by", "selection is a list", lambda _: ["val/loss"])
_setting("weights_only", "checkpoint is to be read with its code", lambda _: False)
_setting("config", "another configuration elsewhere", lambda c: [str(c.folder / "conf.yaml")])
_setting("ckpt_path", "another checkpoint elsewhere", lambda c: str(c.secret))


def _callback(title: str, class_path: str, /, **init_args: Any) -> None:
    def value(canary: Canary) -> list[Content]:
        filled = {key: item(canary) if callable(item) else item for key, item in init_args.items()}
        return [{"class_path": class_path, "init_args": filled}]

    _setting("trainer.logger" if "logger" in class_path else "trainer.callbacks", title, value)


_CALLBACKS = "lightning.pytorch.callbacks"
_callback("Lightning's checkpoints elsewhere", f"{_CALLBACKS}.ModelCheckpoint", dirpath=lambda c: str(c.target))
_callback("a callback that calls a function", f"{_CALLBACKS}.LambdaCallback", on_fit_start=f"{MODULE}.make")
_callback("a checkpoint named out of its folder", "lit_genre.callbacks.checkpoint.RunCheckpoint", filename="../../../w")
_callback("a checkpoint with an absolute name", f"{_CALLBACKS}.ModelCheckpoint", filename=lambda c: str(c.target))
_callback("tables elsewhere", "lightning.pytorch.loggers.CSVLogger", save_dir=lambda c: str(c.target))
_callback(
    "tables named out of their folder",
    "lightning.pytorch.loggers.CSVLogger",
    save_dir=".",
    name="../../elsewhere/written",
)
_callback("W&B's files elsewhere", "lit_genre.loggers.wandb.wandb_logger", save_dir=lambda c: str(c.target))
_callback("a logger at an address", "lightning.pytorch.loggers.MLFlowLogger", tracking_uri="http://127.0.0.1:9/")
_callback("an average by a function", f"{_CALLBACKS}.StochasticWeightAveraging", swa_lrs=0.1, avg_fn=f"{MODULE}.make")


_callback("W&B at an address", "lightning.pytorch.loggers.WandbLogger", settings={"base_url": "http://127.0.0.1:9"})
_callback("a logger that passes arguments on", "lightning.pytorch.loggers.TensorBoardLogger", save_dir=".", log_dir="w")
_setting(
    "model.scheduler",
    "scheduler that calls functions of a list",
    lambda _: {"class_path": "torch.optim.lr_scheduler.LambdaLR", "init_args": {"lr_lambda": [f"{MODULE}.make"]}},
)
_setting("model.loss", "loss of a module on the path", _module)
_setting(
    "data",
    "music of a folder elsewhere, for predict",
    lambda c: {"class_path": "lit_genre.PredictDataModule", "init_args": {"path": str(c.folder)}},
)
_setting(
    "data",
    "places among undeclared arguments of the data",
    lambda c: {"class_path": "lit_genre.FMADataModule", "init_args": {}, "dict_kwargs": {"store_root": str(c.target)}},
)
_setting(
    "trainer.strategy",
    "strategy with a configuration elsewhere",
    lambda c: {
        "class_path": "lightning.pytorch.strategies.DeepSpeedStrategy",
        "init_args": {"config": str(c.folder / "conf.yaml")},
    },
)


@config("configuration and checkpoint for a reader with code")
def _both(content: Content, _: Canary) -> None:
    content["weights_only"] = False
    content["trainer"]["callbacks"] = []


# Files of a run's folder.
def _yaml(name: str, text: str | bytes) -> None:
    def spoil(run: Path, _: Canary) -> None:
        (run / "config.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())

    run_folder(name)(spoil)


_yaml("YAML with a tag of Python", "model: !!python/object/apply:os.system ['true']\ndata: {}\n")
_yaml("YAML with a set", "model: !!set {a, b}\ndata: {}\n")
_yaml("YAML with a date", f"model: {{a: {datetime.date.today()}}}\ndata: {{class_path: lit_genre.FMADataModule}}\n")
_yaml("empty YAML", "")
_yaml("YAML that is a list", "- 1\n- 2\n")
_yaml("YAML that is a number", "3\n")
_yaml("YAML that is not closed", "model: {a: [\n")
_yaml("YAML that is not UTF-8", b"model: \xff\xfe\n")
_yaml("YAML with NUL", b"model: \0\n")
_yaml("YAML nested ten thousand levels deep", "[" * 10_000)
_yaml(
    "YAML whose aliases stand for billions of values",
    "a: &a [1,1,1,1,1,1,1,1,1]\n"
    + "".join(f"{x}: &{x} [{','.join([f'*{y}'] * 9)}]\n" for y, x in zip("abcdefgh", "bcdefghi", strict=True)),
)
_yaml(
    "YAML whose merges stand for billions of values",
    "a: &a {x: 1}\n"
    + "".join(f"{x}: &{x} {{<<: [{','.join([f'*{y}'] * 9)}]}}\n" for y, x in zip("abcdefgh", "bcdefghi", strict=True)),
)
_yaml("YAML that contains itself", "model: &m [*m]\ndata: {}\n")


def _link(name: str, where: str, target: Callable[[Canary], Path]) -> None:
    def spoil(run: Path, canary: Canary) -> None:
        path = run / where
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        path.parent.mkdir(exist_ok=True)
        path.symlink_to(target(canary))

    run_folder(name)(spoil)


_link("configuration is a link elsewhere", "config.yaml", lambda c: c.secret)
_link("table of the test is a link elsewhere", "test.csv", lambda c: c.target)
_link("table of the predictions is a link elsewhere", "predictions.csv", lambda c: c.target)
_link("table of the epochs is a link to a file elsewhere", "metrics.csv", lambda c: c.secret)
_link("summary is a link to a file elsewhere", "summary.json", lambda c: c.secret)
_link("picture is a link elsewhere", "confusion.png", lambda c: c.target)
_link("tests are a link to a folder elsewhere", "tests", lambda c: c.folder)
_link("W&B's folder is a link to a folder elsewhere", "wandb", lambda c: c.folder)
_link("best checkpoint is a link elsewhere", "checkpoints/best.ckpt", lambda c: c.target)
_link("table of the epochs is endless", "metrics.csv", lambda _: Path("/dev/zero"))


@run_folder("configuration is a pipe")
def _pipe(run: Path, _: Canary) -> None:
    (run / "config.yaml").unlink()
    os.mkfifo(run / "config.yaml")


@run_folder("summary is a pipe")
def _summary_pipe(run: Path, _: Canary) -> None:
    (run / "summary.json").unlink(missing_ok=True)
    os.mkfifo(run / "summary.json")


def _file(title: str, name: str, text: str) -> None:
    def spoil(run: Path, _: Canary) -> None:
        (run / name).write_text(text)

    run_folder(title)(spoil)


_file("summary that is a list", "summary.json", "[1]")
_file("summary with text for numbers", "summary.json", '{"parameters": "x", "epoch": "y", "name": 3}')
_file("summary that is not closed", "summary.json", "{")
_file("summary nested a hundred thousand levels deep", "summary.json", "[" * 100_000)
_file("epochs that are text", "metrics.csv", "epoch,seconds,val/accuracy\n=cmd|calc,x,y\n")
_file("test with probabilities that are text", "test.csv", "track_id,genre,predicted,Rock\n1,Rock,Rock,x\n")
_file("test with genres that are not its columns", "test.csv", "track_id,genre,predicted,Rock\n1,[/x],Rock,0.5\n")
_file("test without rows", "test.csv", "track_id,genre,predicted,Rock\n")


# Exported folders.
def _hub_config(name: str, spoil: Spoil) -> None:
    import json

    def change(folder: Path, canary: Canary) -> None:
        content = json.loads((folder / "config.json").read_text())
        spoil(content, canary)
        (folder / "config.json").write_text(json.dumps(content))

    hub(name)(change)


def _set(name: str, value: Callable[[Canary], Any]) -> Spoil:
    return lambda content, canary: content["hyper_parameters"].update({name: value(canary)})


_hub_config("exported: front-end is subprocess.getoutput", _set("frontend", _shell))
_hub_config("exported: backbone of a module on the path", _set("backbone", _module))
_hub_config(
    "exported: encoder with code",
    _set("backbone", lambda c: _transformers(model=str(c.folder), trust_remote_code=True)),
)
_hub_config("exported: class names twice", _set("classes", lambda _: ["Rock"] * 8))
_hub_config("exported: no hyper-parameters", lambda content, _: content.clear())
_hub_config("exported: hyper-parameters are text", lambda content, _: content.update(hyper_parameters="x"))


@hub("exported: JSON that is not closed")
def _broken_json(folder: Path, _: Canary) -> None:
    (folder / "config.json").write_text("{")


@hub("exported: JSON nested a hundred thousand levels deep")
def _deep_json(folder: Path, _: Canary) -> None:
    (folder / "config.json").write_text("[" * 100_000)


@hub("exported: weights that are text")
def _broken_weights(folder: Path, _: Canary) -> None:
    (folder / "model.safetensors").write_text("kein Modell")


@hub("exported: weights are a link elsewhere")
def _linked_weights(folder: Path, canary: Canary) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to(canary.secret)


@hub("exported: description is a link elsewhere")
def _linked_config(folder: Path, canary: Canary) -> None:
    (folder / "config.json").unlink()
    (folder / "config.json").symlink_to(canary.secret)


@hub("exported: weights are a pipe")
def _piped_weights(folder: Path, _: Canary) -> None:
    (folder / "model.safetensors").unlink()
    os.mkfifo(folder / "model.safetensors")


@hub("exported: pickled weights beside")
def _pickled_weights(folder: Path, canary: Canary) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(_Pickled(canary.command)))
