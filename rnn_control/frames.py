"""Records as pandas data frames; Experiment.from_frame reads them back. Needs pandas: pip install rnn-control[data]."""

import numpy as np
import pandas as pd

from .data import Experiment


def to_frame(experiment: Experiment) -> pd.DataFrame:
    """One row a sample, columns "name [unit]", inputs first; the index is time in s (and the record, if several)."""
    names = (*experiment.u_names, *experiment.y_names)
    units = (*experiment.u_units, *experiment.y_units)
    columns = [f"{name} [{unit}]" if unit else name for name, unit in zip(names, units, strict=True)]
    frames = [
        pd.DataFrame(np.hstack([u, y]), pd.Index(experiment.time(i), name="t [s]"), columns)
        for i, (u, y) in enumerate(zip(experiment.us, experiment.ys, strict=True))
    ]
    return frames[0] if len(frames) == 1 else pd.concat(frames, keys=experiment.names, names=["record"])
