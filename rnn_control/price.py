"""What a certificate costs in accuracy: the model beside its twin, trained in the same way without one."""

from typing import NamedTuple

import numpy as np

from .data import Experiment
from .fit_result import FitResult
from .identified import IdentifiedModel


class Price(NamedTuple):
    """FIT in % of one output on one record, with the certificate and without."""

    output: str
    certified: float
    free: float

    @property
    def points(self) -> float:
        """Percentage points of FIT that are paid; negative if the certified model fits better."""
        return self.free - self.certified

    def __str__(self) -> str:
        if np.isnan(self.points):
            return "undefined: the output stands still"
        paid = f"{self.points:.2f} points" if self.points > 0 else "nothing"
        return f"{paid}: {self.certified:.2f} % with the certificate, {self.free:.2f} % without"


def price(model: IdentifiedModel, free: IdentifiedModel, test: Experiment, washout: int = 50) -> tuple[Price, ...]:
    """One entry an output: free runs of both models on `test`, the first `washout` samples of a record not counted."""
    pairs = zip(model.score(test, washout).fit, free.score(test, washout).fit, strict=True)
    return tuple(Price(name, *pair) for name, pair in zip(model.y_names, pairs, strict=True))


def seen_price(result: FitResult) -> str:
    """What the search itself knows of it: the best validation FIT that it met without proof, beside the one it kept."""
    errors = result.history["valid"]
    kept, seen = (100 * (1 - float(e)) for e in (errors[result.best_iteration], np.nanmin(errors)))
    paid = f"at least {seen - kept:.2f} points" if seen > kept else "none met on the way"
    return f"{paid}: validation FIT {kept:.2f} % kept, {seen:.2f} % the best without proof"


def price_rows(model: IdentifiedModel, free: "IdentifiedModel | FitResult | None", test: Experiment, washout: int):
    """(name, text) rows for the card of a certificate, from whatever knows the price; none if nothing does."""
    if free is None or isinstance(free, FitResult):
        return [("price paid in FIT", seen_price(free))] if free and free.certificate else []
    return [(f"price paid in FIT of {p.output}", str(p)) for p in price(model, free, test, washout)]
