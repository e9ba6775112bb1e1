"""Measures of a lesion: geometry, asymmetry, border and colour; docs/MEASURES.md names the source of each."""
