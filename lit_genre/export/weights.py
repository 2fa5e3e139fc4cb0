"""Store the weights of an ONNX model in fewer bits: as float16, or as 8-bit integers."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import onnx

_FRONTEND: Final = "frontend."
"""Start of the names of the front-end's constants."""

_FEW: Final = 1024
"""Constants with fewer elements, such as biases, stay in float32: they take no space."""


def store_half(model: "onnx.ModelProto") -> None:
    """Store the large float32 constants of a model as float16.

    A cast to float32 follows each of them, which onnxruntime computes when it loads the file. The model computes in
    float32, because onnxruntime has few kernels in float16 for a CPU.

    Args:
        model: The model, which is changed.
    """
    import onnx
    from onnx import numpy_helper

    casts = []
    for constant in model.graph.initializer:
        if constant.data_type != onnx.TensorProto.FLOAT or np.prod(constant.dims) < _FEW:
            continue
        name = constant.name
        # A number that is too large becomes infinite; the comparison of probabilities then refuses the model.
        with np.errstate(over="ignore"):
            values = numpy_helper.to_array(constant).astype(np.float16)
        constant.CopyFrom(numpy_helper.from_array(values, f"{name}.float16"))
        casts.append(onnx.helper.make_node("Cast", [constant.name], [name], f"{name}.cast", to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def write_int8(model: "onnx.ModelProto", path: Path) -> None:
    """Write a model with 8-bit weights of its convolutions, LSTMs and matrix products (dynamic quantization).

    onnxruntime quantizes their inputs, too, by the range of each batch. The front-end, whose values span 80 dB, and
    other operators compute in float32; their constants are stored as float16.

    Args:
        model: The model.
        path: File to write.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    frontend = [node.name for node in model.graph.node if any(name.startswith(_FRONTEND) for name in node.input)]
    # Unsigned, because products of signed weights overflow 16 bits on CPUs without AVX-512 VNNI.
    quantize_dynamic(model, path, weight_type=QuantType.QUInt8, nodes_to_exclude=frontend)
    quantized = onnx.load(path)
    store_half(quantized)
    onnx.save(quantized, path)
