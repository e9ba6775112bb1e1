"""The exception for invalid input."""


class UserError(Exception):
    """Invalid input: one line that names the problem, where it is, and how to fix it."""
