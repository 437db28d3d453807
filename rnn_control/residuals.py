"""What a model left unexplained: is it noise, and is it free of the inputs?"""

from dataclasses import dataclass

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from scipy.stats import chi2, norm

from .checks import as_records

LEVEL = 0.99
"""Of the confidence bands: of a hundred lags of pure noise one is outside."""


@dataclass(frozen=True, eq=False)
class Residuals:
    """Correlations of the residuals e = y - y_hat, per output j and input i, at the lags 0 .. L.

    auto (ny, L+1)      r_e(k) = sum_t e(t) e(t-k) / sum_t e(t)^2
    cross (ny, nu, L+1) r_eu(k) = sum_t e(t) u(t-k) / sqrt(sum e^2 sum u^2)
    auto_band (ny,), cross_band (ny, nu): half widths of the 99 % bands around 0.
    p_white (ny,): Ljung-Box probability that white noise is as coloured as this.
    """

    auto: np.ndarray
    cross: np.ndarray
    auto_band: np.ndarray
    cross_band: np.ndarray
    p_white: np.ndarray
    u_names: tuple[str, ...]
    y_names: tuple[str, ...]

    def outside(self) -> tuple[np.ndarray, np.ndarray]:
        """Lags outside the bands: (ny,) of 1 .. L, (ny, nu) of 0 .. L."""
        auto = (abs(self.auto[:, 1:]) > self.auto_band[:, None]).sum(-1)
        return auto, (abs(self.cross) > self.cross_band[..., None]).sum(-1)

    def rows(self) -> list[tuple[str, str, str, str]]:
        """(test, lags outside the band, largest correlation, p_white) as text."""
        auto, cross = self.outside()
        lags = self.auto.shape[1] - 1
        rows = [
            (
                f"{y} with its own past",
                f"{auto[j]} of {lags}",
                f"{abs(self.auto[j, 1:]).max():.2f}",
                f"{self.p_white[j]:.2g}",
            )
            for j, y in enumerate(self.y_names)
        ]
        return rows + [
            (f"{y} with {u}", f"{cross[j, i]} of {lags + 1}", f"{abs(self.cross[j, i]).max():.2f}", "")
            for j, y in enumerate(self.y_names)
            for i, u in enumerate(self.u_names)
        ]

    def plot(self) -> Figure:
        """A row for each output: its own correlation, and that with every input; the bands are grey."""
        ny, nu = self.cross.shape[:2]
        size = (2.6 * (nu + 1), 0.6 + 1.7 * ny)
        figure, axes = plt.subplots(
            ny, nu + 1, squeeze=False, sharex=True, sharey="col", figsize=size, layout="constrained"
        )
        lags = np.arange(self.auto.shape[1])
        for j, row in enumerate(axes):
            found = [(self.auto[j], self.auto_band[j], "itself")]
            found += [(self.cross[j, i], self.cross_band[j, i], u) for i, u in enumerate(self.u_names)]
            for ax, (values, band, name) in zip(row, found, strict=True):
                ax.axhspan(-band, band, color="0.88", lw=0)
                ax.vlines(lags, 0, values, lw=1.2)
                ax.axhline(0, color="0.3", lw=0.6)
                if j == 0:
                    ax.set_title(f"with {name}", fontsize="medium")
            row[0].set_ylabel(f"residual of {self.y_names[j]}")
        for ax in axes[-1]:
            ax.set_xlabel("lag [samples]")
        return figure


def residuals(u, y, y_hat, u_names=None, y_names=None, *, lags: int = 25, washout: int = 0) -> Residuals:
    """Whiteness of y - y_hat and its independence of the past inputs, over all records.

    u, y, y_hat: (T, nu), (T, ny), (T, ny), or lists of them. The band of r_eu(k) takes the colour of both signals into
    account: its variance is (1 + 2 sum_k r_e(k) r_u(k)) / N if they are independent, not 1 / N.
    Missing outputs (NaN) have no residual. Raises ValueError if a record has no more than lags + washout samples.

    Reference: Ljung (1999), System Identification, section 16.6; Ljung and Box (1978).
    """
    us, es = [], []
    for inputs, measured, simulated in zip(as_records(u, "u"), as_records(y, "y"), as_records(y_hat, "y"), strict=True):
        if len(measured) <= lags + washout:
            raise ValueError(f"a record has {len(measured)} samples; {lags} lags after {washout} need more")
        us.append(inputs[washout:])
        es.append((measured - simulated)[washout:])
    us, es = _centred(us), _centred(es)
    auto, inputs = _correlations(es, es, lags, True), _correlations(us, us, lags, True)
    cross = _correlations(es, us, lags)
    n, z = sum(map(len, es)), norm.ppf((1 + LEVEL) / 2)
    colour = 1 + 2 * np.einsum("jk,ik->ji", auto[:, 1:], inputs[:, 1:])
    q = n * (n + 2) * (auto[:, 1:] ** 2 / (n - np.arange(1, lags + 1))).sum(1)
    nu, ny = us[0].shape[1], es[0].shape[1]
    return Residuals(
        auto, cross, np.full(ny, z / np.sqrt(n)), z * np.sqrt(np.clip(colour, 0.05, None) / n), chi2.sf(q, lags),
        tuple(u_names or (f"u{i}" for i in range(nu))), tuple(y_names or (f"y{j}" for j in range(ny))),
    )  # fmt: skip


def _centred(records: list[np.ndarray]) -> list[np.ndarray]:
    mean = np.nanmean(np.concatenate(records), axis=0)
    return [np.nan_to_num(r - mean, nan=0.0) for r in records]


def _correlations(a: list[np.ndarray], b: list[np.ndarray], lags: int, is_same: bool = False) -> np.ndarray:
    """sum_t a_j(t) b_i(t-k), normalised, (na, nb, lags+1); its diagonal (na, lags+1) if both are the same."""
    form = "tj,tj->j" if is_same else "tj,ti->ji"
    sums = [sum(np.einsum(form, x[k:], z[: len(z) - k]) for x, z in zip(a, b, strict=True)) for k in range(lags + 1)]
    power_a, power_b = (sum((x**2).sum(0) for x in records) for records in (a, b))
    power = power_a if is_same else np.sqrt(np.outer(power_a, power_b))
    return np.stack(sums, -1) / np.maximum(power, np.finfo(float).tiny)[..., None]
