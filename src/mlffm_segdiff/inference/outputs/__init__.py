"""Outputs of `predict`: one file per output, and their table in `writers`."""
