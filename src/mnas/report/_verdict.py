"""What the final comparison allows to be said."""

from __future__ import annotations

from collections.abc import Sequence

from mnas.result import Final


def verdict(finals: Sequence[Final]) -> list[str]:
    """One sentence per reference: better, worse, or not told apart by this many test images."""
    winner = next((final for final in finals if final.is_winner), None)
    if winner is None:
        return []
    return [_sentence(winner, final) for final in finals if final.is_reference]


def _sentence(winner: Final, other: Final) -> str:
    faster = other.latency.latency_ms / winner.latency.latency_ms
    figures = (
        f"{100 * winner.accuracy:.2f} % against {100 * other.accuracy:.2f} % for {other.label}, "
        f"whose latency is {faster:.2f} times the winner's"
    )
    if winner.low > other.high:
        return f"The winner is more accurate: {figures}."
    if winner.high < other.low:
        return f"The winner is less accurate: {figures}."
    return f"No winner is claimed: {figures}, and the 95 % intervals for {winner.test_images} test images overlap."
