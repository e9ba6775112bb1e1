"""The command ``mlffm-segdiff``; nothing heavy is imported before a verb runs."""

from mlffm_segdiff.cli.app import main

__all__ = ["main"]
