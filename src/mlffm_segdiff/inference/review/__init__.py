"""A page to look through the cases, those in doubt first; it opens without a server."""
