"""Text from elsewhere in Markdown."""

from __future__ import annotations

from typing import Any


def plain_markdown(value: Any) -> Any:
    """Text that cannot end a table's cell or begin a tag."""
    if not isinstance(value, str) or hasattr(value, "__html__"):  # what is marked as safe has that
        return value
    return value.replace("&", "&amp;").replace("<", "&lt;").replace("|", r"\|").replace("\n", " ")
