"""Measure the time of a training step of each network, and of the same network in Keras for three of them.

    python benchmarks/backbones.py [--rounds 7] [--batch 32] [NAME ...]

A step is forward, backward and the update of Adam, on 32 spectrograms of shape (128, 646) in memory. If TensorFlow is
installed (pip install tensorflow-cpu), CRNN, CRNNStacked and CNN2DDeep are also built in Keras, layer for layer. Both
run alternately, each in a process of its own, because the threads of two frameworks in one process slow each other
down. The target is at most 1.0 of Keras's time.
"""

import argparse
import inspect
import math
import multiprocessing
import os
from collections.abc import Callable
from importlib.util import find_spec
from multiprocessing.connection import Connection

import torch
import torch.nn.functional as F
from timing import medians
from torch import nn

from lit_genre.backbones.registry import backbones
from lit_genre.cli.allocator import retain_freed_memory
from lit_genre.model.backbone import Backbone

MELS, FRAMES, CLASSES = 128, 646, 8
IN_KERAS = ("CRNN", "CRNNStacked", "CNN2DDeep")


def backbone_class(name: str) -> type[Backbone]:
    """Find an installed backbone."""
    found = backbones()[name].loaded
    assert found is not None
    return found


def torch_step(name: str, batch: int) -> Callable[[], object]:
    """Build a backbone with a head, and return a function that runs a training step."""
    device = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    mel = torch.rand(batch, MELS, FRAMES, device=device) * 2 - 1
    label = torch.arange(batch, device=device) % CLASSES
    backbone = backbone_class(name)((MELS, FRAMES))
    model = nn.Sequential(backbone, nn.Linear(backbone.embedding_dim, CLASSES)).to(device)
    optimizer = torch.optim.Adam(model.parameters(), weight_decay=2e-3)

    def step() -> None:
        loss = F.cross_entropy(model(mel), label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if device.type != "cpu":
            torch.accelerator.synchronize()

    return step


def keras_step(name: str, batch: int) -> Callable[[], object]:
    """Build the same network in Keras's layout, and return a function that runs a training step."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import keras
    import numpy as np
    import tensorflow as tf
    from keras import layers

    network = backbone_class(name)
    sizes = {key: parameter.default for key, parameter in inspect.signature(network).parameters.items()}
    decay = keras.regularizers.L2(1e-3)
    is_2d = "2D" in name
    convolve, max_pool = (layers.Conv2D, layers.MaxPooling2D) if is_2d else (layers.Conv1D, layers.MaxPooling1D)
    shape = (MELS, FRAMES, 1) if is_2d else (FRAMES, MELS)
    model = keras.Sequential([keras.Input(shape)])
    for filters in sizes["filters"]:
        model.add(convolve(filters, sizes["kernel_size"], padding="same", use_bias=False, kernel_regularizer=decay))
        model.add(layers.BatchNormalization())
        model.add(layers.ReLU())
        model.add(max_pool(sizes.get("pool", 2), padding="same"))
        model.add(layers.Dropout(sizes["dropout"]))
    if is_2d:
        model.add(layers.Lambda(lambda maps: keras.ops.mean(maps, axis=2)))
        model.add(layers.Flatten())
    else:
        if name == "CRNNStacked":
            model.add(layers.LSTM(sizes["lstm_dim"], return_sequences=True))
            model.add(layers.Dropout(sizes["dropout"]))
        model.add(layers.LSTM(sizes["lstm_dim"]))
        model.add(layers.Dropout(sizes["dropout"]))
    model.add(layers.Dense(sizes["embedding_dim"], activation="relu", kernel_regularizer=decay))
    model.add(layers.Dense(CLASSES, activation="softmax", kernel_regularizer=decay))
    model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy")

    ours = sum(parameter.numel() for parameter in network((MELS, FRAMES)).parameters())
    theirs = sum(math.prod(weight.shape) for weight in model.trainable_weights[:-2])
    # torch's LSTM has two biases where one suffices.
    spare = 4 * sizes["lstm_dim"] * (2 if name == "CRNNStacked" else 1) if "lstm_dim" in sizes else 0
    assert ours - spare == theirs, f"{name} is another network in Keras: {theirs} parameters instead of {ours - spare}"

    mel = tf.constant(np.random.default_rng(0).uniform(-1, 1, (batch, *shape)), tf.float32)
    label = tf.constant(np.arange(batch) % CLASSES)
    return lambda: model.train_on_batch(mel, label)


def serve(build: Callable[[str, int], Callable[[], object]], name: str, batch: int, line: Connection) -> None:
    """Run a step for each request of the parent process."""
    if build is torch_step:
        # As the command line does.
        retain_freed_memory()
    step = build(name, batch)
    while line.recv():
        step()
        line.send(True)


def seconds_of_a_step(name: str, batch: int, rounds: int, with_keras: bool) -> dict[str, float]:
    """Run the steps of both alternately."""
    builds = {"torch": torch_step} | ({"keras": keras_step} if with_keras else {})
    lines, calls = [], {}
    context = multiprocessing.get_context("spawn")
    for framework, build in builds.items():
        line, far_end = context.Pipe()
        context.Process(target=serve, args=(build, name, batch, far_end), daemon=True).start()
        calls[framework] = lambda line=line: (line.send(True), line.recv())
        # With this end closed a worker that dies is an error here and not a wait without end.
        far_end.close()
        lines.append(line)
    seconds = medians(rounds, **calls)
    for line in lines:
        line.send(False)
    return seconds


def main() -> None:
    """Print milliseconds per clip and clips per second of each network, and the ratio to Keras."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch", type=int, default=32)
    options = parser.parse_args()
    names = options.names or [name for name, plugin in backbones().items() if plugin.package == "lit-genre"]
    keras_is_there = not torch.accelerator.is_available() and find_spec("tensorflow") is not None
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, batches of {options.batch}")
    for name in names:
        seconds = seconds_of_a_step(name, options.batch, options.rounds, keras_is_there and name in IN_KERAS)
        line = f"{name}: {1000 * seconds['torch'] / options.batch:.2f} ms a clip"
        line += f", {options.batch / seconds['torch']:.0f} clips a second"
        if "keras" in seconds:
            line += f"; Keras {1000 * seconds['keras'] / options.batch:.2f} ms, ratio"
            line += f" {seconds['torch'] / seconds['keras']:.2f} (asked: 1.0)"
        print(line, flush=True)


if __name__ == "__main__":
    main()
