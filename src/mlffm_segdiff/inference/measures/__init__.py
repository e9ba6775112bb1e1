"""What is measured of a lesion: geometry, asymmetry, border and colour; docs/MEASURES.md has each source."""
