"""What a search says of itself while it goes on: one Step for every iterate that was judged, to whoever listens."""

from math import isfinite
from typing import NamedTuple

from tqdm import tqdm


class Step(NamedTuple):
    """An iterate, the `iteration`-th from 0 of at most `total`.

    loss: training objective; error: RMSE / std of the validation part; best: the smallest error of an iterate with a
    proof so far, inf if there is none; margin: by how much the stability condition holds, negative where it does not,
    NaN where none is asked for; seconds since the search began.
    """

    iteration: int
    total: int
    loss: float
    error: float
    best: float
    margin: float
    seconds: float

    @property
    def fit(self) -> float:
        """Validation FIT in %."""
        return 100 * (1 - self.error)

    @property
    def best_fit(self) -> float:
        """Validation FIT in % of the model that would be kept now; -inf if none would."""
        return 100 * (1 - self.best)

    @property
    def seconds_left(self) -> float:
        """At the pace so far, if the whole budget is used."""
        done = self.iteration + 1
        return self.seconds * max(self.total - done, 0) / done

    def __str__(self) -> str:
        kept = f"{self.best_fit:.2f} %" if isfinite(self.best) else "none yet"
        text = f"loss {self.loss:.3g}, valid FIT {self.fit:.2f} %, kept {kept}"
        return f"{text}, margin {self.margin:+.3f}" if isfinite(self.margin) else text


class Bar:
    """One line on a terminal, silent elsewhere: iterations, time left, and the last step."""

    def __init__(self, name: str, is_shown: bool):
        self._bar = tqdm(desc=name, disable=None if is_shown else True, leave=False)

    def __call__(self, step: Step) -> None:
        self._bar.total = max(step.total, step.iteration + 1)
        self._bar.set_postfix_str(str(step), refresh=False)
        self._bar.update()

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *_) -> None:
        self._bar.refresh()  # a search that is over within the bar's tenth of a second shows its last step all the same
        self._bar.close()
