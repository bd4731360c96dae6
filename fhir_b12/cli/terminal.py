"""Tables and progress on a terminal. Loaded only for a terminal, because rich is slow to load."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

T = TypeVar("T")


def draw_table(heads: Sequence[str], rows: Iterable[Sequence[str]], title: str) -> None:
    """Print a table as wide as the terminal, without its empty columns."""
    table = Table(title=Text(title) if title else None, title_justify="left", box=SIMPLE_HEAD)
    cells = list(rows)
    columns = [i for i in range(len(heads)) if not cells or any(row[i] for row in cells)]
    for column in columns:
        table.add_column(heads[column], overflow="fold")
    for row in cells:
        table.add_row(*(Text(row[column]) for column in columns))
    Console(file=sys.stdout).print(table)


def with_progress(lines: Iterable[T]) -> Iterator[T]:
    """Yield the lines and show their number on standard error meanwhile."""
    columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} lines"), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, redirect_stdout=False) as progress:
        yield from progress.track(lines)
