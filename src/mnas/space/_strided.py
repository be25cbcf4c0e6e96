"""What a stride leaves."""


def strided(resolution: int, stride: int) -> int:
    """The pixels on a side that a stride leaves."""
    return -(-resolution // stride)  # both paddings give ceil(n / stride) for odd kernels
