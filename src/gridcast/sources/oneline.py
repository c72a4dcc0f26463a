"""A stranger's words in a message of ours."""

from __future__ import annotations

MOST_READ = 8192
"""Characters of a text that are looked at, however many blanks they are."""


def one_line(text: object, *, limit: int = 200) -> str:
    r"""The text on one line, printable, of at most ``limit`` characters; what was cut off ends in an ellipsis.

    No escape sequence is left in it, and no mark that turns the direction of writing.

    >>> one_line("No data\r\nfor this \x1b[31mlocation")
    'No data for this [31mlocation'
    >>> one_line("a long story", limit=7)
    'a long…'
    """
    whole = str(text)
    signs = whole[: max(MOST_READ, limit)]
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in signs).split())
    return line if len(line) <= limit and len(signs) == len(whole) else line[: limit - 1] + "…"
