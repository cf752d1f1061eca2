"""Genes and tracks from DNA."""

__version__ = "0.1.0"
