"""Text that is safe to print: data never controls a terminal."""


def printable(text: str) -> str:
    r"""Return a text with line breaks, control and direction characters escaped.

    Args:
        text: any text, e.g. a file name or a message that quotes a key of the data.

    Returns:
        The text itself where it is printable, else with `\x1b`, `\n`, `\u202e` spelled out.

    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
