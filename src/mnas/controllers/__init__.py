"""Strategies that propose architectures and learn from trials, behind one two-method contract."""

from mnas.controllers._contract import Controller

__all__ = ["Controller"]
