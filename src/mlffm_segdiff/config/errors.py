"""The one exception that stands for a mistake outside the program."""


class UserError(Exception):
    """Bad input: one line that says what is wrong, where, and how to mend it."""
