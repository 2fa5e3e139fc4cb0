"""The command `probe`: train a head on the embeddings of a frozen backbone."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import cast, get_args

from lit_genre.commands.arguments import add_device, add_run_folder, new_parser
from lit_genre.errors import LitGenreError, check_at_least
from lit_genre.probe import AskedLayers, Kind


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = new_parser(
        "probe",
        "Train a head on the embeddings of a frozen backbone, test it, and write a run with its checkpoint; a knn head "
        "has no checkpoint. Options of fit name data and backbone; those of training and of the trainer are ignored. "
        "--ckpt_path loads the backbone of a trained run, for the data of that run or for other data. With "
        "--data.task=multilabel a track may have several genres. --data.fold tests one fold of a cross-validation; all "
        "folds, splits and heads use the same cached embeddings. --model.class_weights=true gives all genres the same "
        "total weight.",
        (
            "probe --config encoders/musicnn --data FolderDataModule --data.path Music/genres",
            "probe --config encoders/musicnn --layers all --pool mean+std",
            "probe --config encoders/musicnn --join encoders/discogs_effnet",
            "probe --ckpt_path best --head mlp",
            "probe --ckpt_path best --head knn --data.folds 5 --data.fold 0",
        ),
        usage="%(prog)s [OPTIONS] [OPTIONS OF lit-genre fit ...]",
    )
    parser.add_argument(
        "--head",
        choices=get_args(Kind),
        default="logistic",
        help="logistic: logistic regression, in the multilabel task one for each genre. knn: the genres of the nearest "
        "training tracks, by cosine distance; without a checkpoint, so that the run has a test, but classify cannot "
        "use it. mlp: a perceptron with one hidden layer (default: %(default)s)",
    )
    parser.add_argument(
        "--head_dim", type=int, default=128, help="size of the hidden layer of mlp (default: %(default)s)"
    )
    parser.add_argument(
        "--join",
        nargs="+",
        action="extend",
        default=[],
        metavar="CONFIG",
        help="configurations of further encoders, such as encoders/discogs_effnet: their embeddings of a clip are "
        "joined (concatenated) to that of the encoder of --config, which sets the length of a clip. Options such as "
        "--model.backbone.weights are for the encoder of --config",
    )
    parser.add_argument(
        "--layers",
        type=_layers,
        help="embed by layers of the backbone instead of its own embedding. 7: by this layer; 0 is the input of the "
        "first. 5,7,9 or all: by the one of these whose head has the best score of the val split. weighted: by the "
        "average of all with weights that are trained with a logistic head. Embeddings of all layers are kept, so that "
        "another choice takes seconds (default: the backbone's embedding, or model.layers of the configuration)",
    )
    parser.add_argument(
        "--pool",
        # Those of lit_genre.model.layer_pooling, which imports torch.
        choices=("mean", "mean+std", "attention"),
        default="mean",
        help="how a layer is pooled over time. mean+std takes mean and standard deviation; attention weights segments "
        "of the clip, with weights that are trained with a logistic head. Both take the last layer unless --layers "
        "names others (default: %(default)s)",
    )
    parser.add_argument(
        "--shots",
        type=_numbers,
        help="also train logistic heads on so few training tracks of each genre, such as 1,2,4,8,16,32, on ten random "
        "choices of them; their test accuracies are in shots.csv and shots.png",
    )
    parser.add_argument("--name", help="name of the run in reports (default: those of the backbone and the head)")
    add_run_folder(parser)
    parser.add_argument(
        "--embeddings", type=Path, help="folder of the embeddings (default: embeddings/ next to the decoded audio)"
    )
    add_device(parser)
    return parser


def _layers(text: str) -> AskedLayers:
    return cast(AskedLayers, text) if text in ("all", "weighted") else _numbers(text)


def _numbers(text: str) -> list[int]:
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of numbers such as 1,2,4") from None


def run(args: Sequence[str]) -> None:
    """Run the command.

    Args:
        args: The options of the command line, without the name of the command.

    Raises:
        LitGenreError: The data cannot be read or has only one genre, the checkpoint does not fit the options, the
            folder has a run, or an option is invalid.
    """
    options, run_args = parser().parse_known_args(args)
    check_at_least(head_dim=(options.head_dim, 1))
    if options.layers == "weighted" and options.head != "logistic":
        raise LitGenreError(
            f"--layers weighted is for --head logistic, not {options.head}. Use --layers all, which chooses a layer."
        )
    if options.pool == "attention" and (options.head != "logistic" or options.layers == "weighted" or options.shots):
        raise LitGenreError(
            "--pool attention is trained together with one logistic head on one layer. Leave out --head, --shots and "
            "--layers weighted, or use --pool mean."
        )
    if options.join and (options.layers or options.pool != "mean"):
        raise LitGenreError(
            "Joined encoders have no layers to choose from. Leave out --layers and --pool, or leave out --join."
        )
    from lit_genre.probe.command import train_probe

    train_probe(options, run_args)
