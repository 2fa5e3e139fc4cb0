"""Read single options, configurations and the class of the model from a command line before it is parsed."""

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from lit_genre.cli.parsing.configs import find_config
from lit_genre.errors import LitGenreError
from lit_genre.trust.plain import text_values


def take(options: list[str], name: str) -> tuple[str | None, list[str]]:
    """Split an option from the options.

    Returns:
        The value, None if the option is not given; and the other options.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument(name, dest="value")
    found, rest = parser.parse_known_args(options)
    return found.value, rest


def take_configs(options: list[str]) -> tuple[list[str], list[str]]:
    """Split the configurations from the options.

    Returns:
        The configurations and the other options.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("-c", "--config", action="append", default=[])
    try:
        found, rest = parser.parse_known_args(options)
    except argparse.ArgumentError:  # The last --config has no value; jsonargparse reports it.
        return [], options
    return [find_config(name) for name in found.config], rest


def asks_for_help(options: list[str]) -> bool:
    """Return whether an option prints help or the configuration, and exits."""
    return any(option.startswith(("-h", "--help", "--print_config")) or ".help" in option for option in options)


def texts_in(configs: Iterable[str], options: Iterable[str]) -> frozenset[str]:
    """Return all texts in the user's configurations and options: names in them are the user's own."""
    texts: set[str] = set()
    for option in options:
        texts |= {option, option.partition("=")[2]}
        texts |= text_values(_loaded(option.partition("=")[2]))
    for config in configs:
        path = Path(config).expanduser()
        texts |= text_values(_loaded(path.read_text(encoding="utf-8")) if path.is_file() else _loaded(config))
    return frozenset(texts)


def data_class_in(config: str) -> str | None:
    """Return the class path of the data in a configuration; None if it has none."""
    try:
        content = yaml.safe_load(Path(config).expanduser().read_text(encoding="utf-8"))
        data = content["data"]
        return data if isinstance(data, str) else str(data["class_path"])
    except (KeyError, OSError, TypeError, ValueError, yaml.YAMLError):  # The parser will report it.
        return None


def check_names(config: str) -> None:
    """Refuse a configuration with a duplicate key: PyYAML would silently use the last value.

    Args:
        config: Path of a YAML file; the parser checks anything else.

    Raises:
        LitGenreError: A key is duplicate.
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
                        f"{path}, line {line}: the key {name.value} is already in line {first}, and only one of them "
                        "would be used. Merge them."
                    )
                waiting.append(value)


def _arguments_of(model: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a class that are in `init_args` and next to it."""
    arguments = {name: value for name, value in model.items() if name not in ("class_path", "init_args")}
    return {**(model.get("init_args") or {}), **arguments}


def take_model_class(configs: list[str], options: list[str]) -> tuple[str | None, list[str], list[str]]:
    """Split the class of the model, `model_class`, `model.class_path` or `--model`, from configurations and options.

    The arguments of the class stay, without `init_args`: `model.init_args.backbone` becomes `model.backbone`.

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
            config = json.dumps({**content, "model": _arguments_of(model)})
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
