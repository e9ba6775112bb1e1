"""Files that appear whole or not at all, folders with one writer, names and CSV text as data."""
