"""Reads the words of a command line before they are parsed: configurations, single options, the class of the model."""

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from lit_genre.errors import LitGenreError
from lit_genre.trust.plain import texts_of


def take(options: list[str], name: str) -> tuple[str | None, list[str]]:
    """Take an option out of the options."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument(name, dest="value")
    found, rest = parser.parse_known_args(options)
    return found.value, rest


def take_configs(options: list[str]) -> tuple[list[str], list[str]]:
    """Take the configurations out of the options."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("-c", "--config", action="append", default=[])
    try:
        found, rest = parser.parse_known_args(options)
    except argparse.ArgumentError:  # The last of them has no name; jsonargparse says so.
        return [], options
    return found.config, rest


def asks_for_help(options: list[str]) -> bool:
    """Check for an option that prints help, or the configuration, and ends."""
    return any(option.startswith(("-h", "--help", "--print_config")) or ".help" in option for option in options)


def texts_in(configs: Iterable[str], options: Iterable[str]) -> frozenset[str]:
    """Collect the texts in the user's configurations and options."""
    texts: set[str] = set()
    for option in options:
        texts |= {option, option.partition("=")[2]}
        texts |= texts_of(_loaded(option.partition("=")[2]))
    for config in configs:
        path = Path(config).expanduser()
        texts |= texts_of(_loaded(path.read_text(encoding="utf-8")) if path.is_file() else _loaded(config))
    return frozenset(texts)


def data_class_in(config: str) -> str | None:
    """Return the class of the data that a configuration names; None where it names none."""
    try:
        content = yaml.safe_load(Path(config).expanduser().read_text(encoding="utf-8"))
        data = content["data"]
        return data if isinstance(data, str) else str(data["class_path"])
    except (KeyError, OSError, TypeError, ValueError, yaml.YAMLError):  # The parser will report it.
        return None


def check_names(config: str) -> None:
    """Refuse a configuration in which a name stands twice: PyYAML would silently take the last of its values.

    Args:
        config: Path of a YAML file; anything else is left to the parser.

    Raises:
        LitGenreError: A name stands twice; says which, and in which lines.
    """
    path = Path(config).expanduser()
    if not path.is_file():
        return
    try:
        waiting = [yaml.compose(path.read_text(encoding="utf-8"), yaml.SafeLoader)]
    except (ValueError, yaml.YAMLError):  # The parser will report it.
        return
    while waiting:
        node = waiting.pop()
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif isinstance(node, yaml.MappingNode):
            lines: dict[str, int] = {}
            for name, value in node.value:
                line = name.start_mark.line + 1
                if (first := lines.setdefault(str(name.value), line)) != line:
                    raise LitGenreError(
                        f"{path}, line {line}: {name.value} stands in line {first} already, and only one of the two "
                        "would be read. Put them together."
                    )
                waiting.append(value)


def take_model_class(configs: list[str], options: list[str]) -> tuple[str | None, list[str], list[str]]:
    """Take the class of the model out of configurations and options: `model_class`, `model.class_path` or `--model`.

    The arguments of the class stay, as they would be without it: `model.init_args.backbone` is `model.backbone`.

    Returns:
        The class path, or None; the configurations; the options.
    """
    chosen, flat = None, []
    for config in configs:
        path = Path(config).expanduser()
        content = _loaded(path.read_text(encoding="utf-8")) if path.is_file() else None
        content = content if isinstance(content, dict) else {}
        chosen = content.get("model_class") or chosen
        model = content.get("model")
        if isinstance(model, dict) and "class_path" in model:
            chosen = model["class_path"]
            arguments = {name: value for name, value in model.items() if name not in ("class_path", "init_args")}
            config = json.dumps({**content, "model": {**(model.get("init_args") or {}), **arguments}})
        flat.append(config)
    for name in ("--model_class", "--model", "--model.class_path"):
        asked, rest = take(options, name)
        # jsonargparse also takes a file with the arguments of the model there.
        if asked and not Path(asked).expanduser().is_file():
            chosen, options = asked, rest
    return chosen, flat, [option.replace("--model.init_args.", "--model.", 1) for option in options]


def fitting_defaults(path: str, arguments: Iterable[str], configs: list[str], options: list[str]) -> str | None:
    """Return the defaults that fit what the user names, as JSON; None where all of a file's defaults fit.

    Left out are arguments that the model does not have, and the options of an optimiser or a scheduler of which the
    user names another class: jsonargparse would hand Adam's weight decay on to it.

    Args:
        path: YAML file of the defaults.
        arguments: Names of the arguments of the model.
        configs: The user's configurations.
        options: The user's options.
    """
    defaults = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    known, kept = set(arguments), {}
    for name, value in defaults["model"].items():
        asked = _class_of("model", name, configs, options)
        same = asked is None or asked.rpartition(".")[2] == value["class_path"].rpartition(".")[2]
        if name in known and same:
            kept[name] = value
    if kept == defaults["model"]:
        return None
    return json.dumps({**defaults, "model": kept})


def _class_of(section: str, name: str, configs: list[str], options: list[str]) -> str | None:
    """Return the class that the user names for a part, by its last mention: options come after configurations."""
    chosen = None
    for config in configs:
        path = Path(config).expanduser()
        content = _loaded(path.read_text(encoding="utf-8") if path.is_file() else config)
        part = ((content.get(section) if isinstance(content, dict) else None) or {}).get(name)
        described = part.get("class_path") if isinstance(part, dict) else part
        chosen = described if isinstance(described, str) else chosen
    for option in (f"--{section}.{name}", f"--{section}.{name}.class_path"):
        value = take(options, option)[0]
        described = _loaded(value) if value else None
        described = described.get("class_path") if isinstance(described, dict) else described
        chosen = described if isinstance(described, str) else chosen
    return chosen


def _loaded(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except (ValueError, yaml.YAMLError):  # The parser will report it.
        return None
