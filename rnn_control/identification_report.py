"""The page of an identification: data, fit, residuals, certificate, responses, and whether it is ready for control."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from .adversary import attack
from .certificate import Certificate
from .certify import certify
from .data import Experiment
from .fit_result import FitResult
from .forgetting import plot_forgetting
from .identified import IdentifiedModel
from .linear import LinearModel, linear_reference
from .price import price_rows
from .reach import attack_iss
from .readiness import Readiness, control_readiness
from .report import Report
from .residuals import residuals
from .steady_map import plot_steps

SHADES = {"train": "#dbe9f6", "valid": "#fdebd0", "test": "#dff2df"}
SUMMARY = {
    "good": "Nothing speaks against control with this model.",
    "care": "Fit for control, if what is marked below is taken into account.",
    "bad": "Not fit for control as it is.",
}
SEARCH = dict(restarts=6, ascents=6, longest=1500)  # of the adversary: seconds


def identification_report(
    result: FitResult, train: Experiment, valid: Experiment | None, test: Experiment, path, washout: int = 50,
    free: IdentifiedModel | None = None,
) -> Path:  # fmt: skip
    """Write the page of a fit to `path`, one file that needs nothing else; returns the path.

    washout: samples at the start of a record that give its initial state; they are not scored. free: the twin that was
    trained without certificate, for the price that is paid in FIT; without it the page says what the search has seen.
    """
    parts = {"train": train, "valid": valid, "test": test}
    given = {k: v for k, v in parts.items() if v is not None}
    linear = result.linear or linear_reference(train, valid)
    page = model_page(result.model, given, result.certificate, washout, free=free or result, linear=linear)
    page.heading("Training").figure(result.plot(), f"Trained in {result.seconds:.0f} s")
    return page.save(path)


def model_page(
    model: IdentifiedModel,
    parts: Mapping[str, Experiment],
    certificate: Certificate | None = None,
    washout: int = 50,
    title: str = "Identified model",
    free: IdentifiedModel | FitResult | None = None,
    linear: LinearModel | None = None,
) -> Report:
    """The page without the training: parts are "train", "valid", "test", or some; the last one judges.

    certificate: by default the best for deltaISS that can be had. free: what knows the price of it, the twin without
    certificate or the fit itself. linear: the linear model of the same records, for its FIT beside that of the model.
    """
    test, learned = list(parts.values())[-1], next(iter(parts.values()))
    certificate = certify(model) if certificate is None else certificate
    washout = min(washout, *(len(u) // 4 for part in parts.values() for u in part.us))
    readiness = control_readiness(model, learned, test, certificate)
    page = Report(title)
    _summary(page, model, test, washout, certificate, readiness)
    page.heading("Data").figure(_plot_parts(parts), "Records in sequence")
    _fit(page, model, parts, washout, linear)
    _residuals(page, model, test, washout)
    _certificate(page, model, certificate, test, price_rows(model, free, test, washout) if certificate.holds else [])
    page.heading("Step responses").figure(plot_steps(model), "From rest in the middle of the input box")
    page.heading("Steady-state map").figure(
        readiness.steady.plot(), "Each input over its box, the others in its middle"
    )
    page.table(["input -> output", "static gain in the middle", "over the box", "unit"], readiness.gains())
    return page


def _summary(page: Report, model, test, washout, certificate: Certificate, readiness: Readiness):
    score = model.score(test, washout)
    numbers: list[tuple] = [(f"FIT {y}", f, "%") for y, f in zip(score.y_names, score.fit, strict=True)]
    numbers += [("cell", model.model.kind), ("states", model.model.nx), ("sampling time", model.dt, "s")]
    if certificate.holds:
        numbers += [("rate per step", certificate.rate), ("99 % forgotten after", certificate.seconds_to_forget, "s")]
    page.key_numbers(numbers)
    page.heading("Control-readiness").text(SUMMARY[readiness.verdict]).checks(readiness.checks)


def _fit(page: Report, model: IdentifiedModel, parts: Mapping[str, Experiment], washout: int, linear):
    scores = {name: model.score(part, washout) for name, part in parts.items()}
    name, test = list(parts.items())[-1]
    beside = {} if linear is None else {f"linear, {linear.order} states": linear.score(test, washout)}
    header = ["output", *(f"FIT {k} [%]" for k in scores), "RMSE", "unit", *(f"FIT {name}, {k} [%]" for k in beside)]
    rmse = scores[name].rmse
    rows = [
        [y, *(s.fit[j] for s in scores.values()), rmse[j], unit or "-", *(s.fit[j] for s in beside.values())]
        for j, (y, unit) in enumerate(zip(model.y_names, model.y_units, strict=True))
    ]
    page.heading("Free run").table(header, rows, f"FIT = 100 (1 - RMSE / std); RMSE on {name}")
    page.figure(model.plot(test, washout), f"First record of {name}; grey: samples that give the initial state")


def _residuals(page: Report, model: IdentifiedModel, test: Experiment, washout: int):
    lags = min(25, (min(map(len, test.us)) - washout) // 4)
    found = residuals(test.us, test.ys, model.predict(test, washout), model.u_names, model.y_names,
                      lags=lags, washout=washout)  # fmt: skip
    page.heading("Residuals").text(
        "What the free run leaves, correlated with its own past and with the past of the inputs. Noise alone is "
        "outside the grey 99 % bands at one lag in a hundred. Correlation with an input means that the model missed "
        "part of its effect. Correlation with its own past means coloured noise or disturbances too, which no model "
        "of the inputs explains."
    )
    header = ["residual of", "lags outside", "largest correlation", "p"]
    page.table(header, found.rows(), "p: probability that white noise is as coloured (Ljung and Box)")
    page.figure(found.plot(), "Correlations of the residuals and their 99 % bands")


def _certificate(page: Report, model: IdentifiedModel, certificate: Certificate, test: Experiment, more):
    rows = [*certificate.rows(), *more]
    page.heading("Certificate").table(["", "proved" if certificate.holds else "found"], rows)
    is_iss = certificate.property == "iss"
    found = attack_iss(model, certificate) if is_iss else attack(model, certificate, **SEARCH)
    page.table(["", "certified", "seen", "ratio"], found.rows(),
               "What is proved for all trajectories, beside the worst that a search has found")  # fmt: skip
    if certificate.holds and certificate.property == "delta_iss":
        figure = plot_forgetting(model, certificate, max(test.us, key=len)[:300])
        page.figure(figure, "Two extreme initial states under the inputs of the record, and the certified envelope")


def _plot_parts(parts: Mapping[str, Experiment]) -> Figure:
    """Inputs and outputs of all records one after another, the parts shaded."""
    first = next(iter(parts.values()))
    channels = [("ys", j, n, unit) for j, (n, unit) in enumerate(zip(first.y_names, first.y_units, strict=True))]
    channels += [("us", i, n, unit) for i, (n, unit) in enumerate(zip(first.u_names, first.u_units, strict=True))]
    size = (8, 1 + 1.4 * len(channels))
    figure, axes = plt.subplots(len(channels), sharex=True, squeeze=False, figsize=size, layout="constrained")
    for ax, (records, c, name, unit) in zip(axes[:, 0], channels, strict=True):
        start = 0
        for part_name, part in parts.items():
            begin = start
            for record in getattr(part, records):
                time = part.dt * np.arange(start, start + len(record))
                ax.plot(
                    time, record[:, c], color="C0", lw=0.9, drawstyle="default" if records == "ys" else "steps-post"
                )
                start += len(record)
            shade = SHADES.get(part_name, "0.93")
            ax.axvspan(part.dt * begin, part.dt * start, color=shade, lw=0, zorder=0, label=part_name)
        ax.set_ylabel(f"{name} [{unit}]" if unit else name)
        ax.margins(x=0)
    axes[-1, 0].set_xlabel("time [s]")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)
    return figure
