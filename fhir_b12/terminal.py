"""Tables and progress for people at a terminal. rich is slow to load, so only they load this."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

T = TypeVar("T")


def draw(heads: Sequence[str], rows: Iterable[Sequence[str]], title: str) -> None:
    """A table, as wide as the terminal."""
    table = Table(title=Text(title) if title else None, title_justify="left")
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    Console(file=sys.stdout).print(table)


def watched(items: Iterable[T]) -> Iterator[T]:
    """The items, their number shown on standard error while it goes on."""
    shown = (SpinnerColumn(), TextColumn("{task.completed:,.0f} lines"), TimeElapsedColumn())
    with Progress(*shown, console=Console(stderr=True), transient=True) as progress:
        yield from progress.track(items)
