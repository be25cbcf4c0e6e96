"""What the final comparison allows to be said."""

from __future__ import annotations

from collections.abc import Sequence

from mnas.result import Comparison, Final


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


def dominance(comparisons: Sequence[Comparison]) -> list[str]:
    """One sentence per reference: what dominates it, by how much, and whether that is beyond the intervals."""
    return [_dominance(comparison) for comparison in comparisons]


def _dominance(comparison: Comparison) -> str:
    name, faster, better = comparison.reference.label, comparison.faster, comparison.better
    if faster is None:
        return f"{name}: by both models, no network of this search is at least as accurate."
    claims = []
    if comparison.is_faster:
        claims.append(f"{comparison.speedup:.2f} times faster at no less accuracy ({faster.label})")
    if better is not None and comparison.is_better:
        claims.append(f"{comparison.points:.2f} points more accurate at no more latency ({better.label})")
    return f"{name}: {'; '.join(claims) or 'nothing is claimed, the measured intervals overlap'}."
