"""Tables and progress for people at a terminal. rich is slow to load, so only they load this."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

T = TypeVar("T")


def draw(heads: Sequence[str], rows: Iterable[Sequence[str]], title: str) -> None:
    """A table, as wide as the terminal; a column in which nothing stands is left out."""
    table = Table(title=Text(title) if title else None, title_justify="left", box=SIMPLE_HEAD)
    held = list(rows)
    kept = [i for i in range(len(heads)) if not held or any(row[i] for row in held)]
    for i in kept:
        table.add_column(heads[i], overflow="fold")
    for row in held:
        table.add_row(*(Text(row[i]) for i in kept))
    Console(file=sys.stdout).print(table)


def watched(items: Iterable[T]) -> Iterator[T]:
    """The items, their number shown on standard error while it goes on."""
    shown = (SpinnerColumn(), TextColumn("{task.completed:,.0f} lines"), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*shown, console=console, transient=True, redirect_stdout=False) as progress:
        yield from progress.track(items)
