"""Keep the front-end in float32 when the network is converted to half precision."""

from collections.abc import Callable

from torch import Tensor


def keeping_dtype(convert: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Restrict a conversion of tensors to its change of device.

    Args:
        convert: A conversion as `Module._apply` gets it, from a tensor to a tensor.

    Returns:
        A conversion that moves a tensor to the device of `convert`'s result and keeps its dtype and values.
    """

    def restricted(tensor: Tensor) -> Tensor:
        converted = convert(tensor)
        # Moved from the values of full precision: casting back would not restore what the cast has rounded.
        return converted if converted.dtype == tensor.dtype else tensor.to(converted.device)

    return restricted
