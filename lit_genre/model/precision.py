"""True half precision for a network whose front-end stays in float32."""

from collections.abc import Callable

from torch import Tensor


def keeping_dtype(convert: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Restrict a conversion of tensors, such as `Module._apply` takes, to what it does beside the dtype."""

    def restricted(tensor: Tensor) -> Tensor:
        converted = convert(tensor)
        # From the values of full precision: what a cast has rounded does not come back.
        return converted if converted.dtype == tensor.dtype else tensor.to(converted.device)

    return restricted
