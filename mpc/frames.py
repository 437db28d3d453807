"""Closed-loop records as pandas data frames; needs pandas, which nothing else here does."""

import numpy as np
import pandas as pd

from .names import labelled
from .record import Record


def to_frame(record: Record) -> pd.DataFrame:
    """One row an instant, the columns of Record.to_csv; the index is the time in s."""
    u, y = (
        [*map(labelled, names, units)]
        for names, units in ((record.u_names, record.u_units), (record.y_names, record.y_units))
    )
    columns = [*u, *y, *(f"true {name}" for name in y), *(f"reference {name}" for name in y), *record.disturbance_names]
    values = np.hstack([record.u, record.y, record.y_true, record.reference, record.disturbances])
    frame = pd.DataFrame(values, pd.Index(record.t, name="t [s]"), columns)
    return frame.assign(**{"solve time [s]": record.solve_time, "status": record.status})
