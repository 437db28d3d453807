"""Method of Experiment that draws its records."""

import matplotlib.pyplot as plt
from matplotlib.figure import Figure


def plot(self) -> Figure:
    """Outputs, then inputs, over time in s; every record starts at 0 s."""
    channels = [
        (records, i, _axis(name, unit), style)
        for records, names, units, style in (
            (self.ys, self.y_names, self.y_units, "default"),
            (self.us, self.u_names, self.u_units, "steps-post"),
        )
        for i, (name, unit) in enumerate(zip(names, units, strict=True))
    ]
    size = (7, 1 + 1.5 * len(channels))
    figure, axes = plt.subplots(len(channels), sharex=True, squeeze=False, figsize=size, layout="constrained")
    for ax, (records, i, title, style) in zip(axes[:, 0], channels, strict=True):
        for r, record in enumerate(records):
            ax.plot(self.time(r), record[:, i], drawstyle=style, linewidth=1, label=self.names[r])
        ax.set_ylabel(title)
        ax.grid(alpha=0.3)
    axes[-1, 0].set_xlabel("time [s]")
    if 1 < len(self) <= 8:
        lines, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(lines, labels, loc="outside upper center", ncols=min(len(self), 4))
    return figure


def _axis(name, unit):
    return f"{name} [{unit}]" if unit else name
