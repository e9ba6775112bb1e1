"""Readers of the public data sets, and of folders in common layouts."""
