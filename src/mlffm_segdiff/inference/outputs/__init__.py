"""What `predict` writes: one file per output, and their table in `writers`."""
