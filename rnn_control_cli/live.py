"""The view of a search while it goes on: a few lines on the terminal, renewed in place, gone when it ends."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from rnn_control.watch import Step

BLOCKS = "▁▂▃▄▅▆▇█"
WIDTH = 60
LOWEST = 0.0  # FIT in %: what is worse than the mean of the outputs lies on the floor of the curve


@contextmanager
def live_view(name: str) -> Iterator[Callable[[Step], object] | None]:
    """Gives what to pass as `log`; None where no terminal would show it. It writes to stderr: stdout may be a pipe."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    steps: list[Step] = []
    with Live(console=console, transient=True, get_renderable=lambda: view(name, steps), refresh_per_second=5):
        yield steps.append


def view(name: str, steps: list[Step]) -> Group:
    """Progress, the four numbers to watch, and validation FIT over the iterations."""
    if not steps:
        return Group(Text(f"{name}: preparing"))
    now = steps[-1]
    bar = Table.grid(padding=(0, 1))
    clock = f"{now.iteration + 1} of {now.total}, {duration(now.seconds_left)} left at most"
    bar.add_row(Text(name, style="bold"), ProgressBar(now.total, now.iteration + 1, width=WIDTH // 2), clock)
    numbers = Table(box=None, pad_edge=False)
    for title in ("loss", "validation FIT", "kept so far", "certificate margin"):
        numbers.add_column(title, justify="right", min_width=12)
    shown = (f"{now.loss:.3g}", percent(now.fit), percent(now.best_fit), f"{now.margin:+.4f}")
    numbers.add_row(*(text if "nan" not in text and "inf" not in text else "-" for text in shown))
    return Group(bar, numbers, Text(curve([step.fit for step in steps])))


def percent(value: float) -> str:
    return f"{value:.2f} %"


def duration(seconds: float) -> str:
    """Minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def curve(values: list[float]) -> str:
    """Block characters from LOWEST to the largest value, one for each of WIDTH equal parts, its last value."""
    parts = min(WIDTH, len(values))
    ends = [max(values[(k + 1) * len(values) // parts - 1], LOWEST) for k in range(parts)]
    span = max(max(ends) - LOWEST, 1e-9)
    return "".join(BLOCKS[min(int((v - LOWEST) / span * len(BLOCKS)), len(BLOCKS) - 1)] for v in ends)
