"""mnas."""
