"""Numbers that judge a closed-loop record."""

from typing import Any

import numpy as np

# Share of each constant stretch that counts as its end, for steady-state offsets.
TAIL = 0.2


def ise(record: Any) -> dict[str, float]:
    """Integral of the squared error of the true output, by output, in unit^2 s.

    sum_k (y(k) - r(k))^2 dt, samples without a reference left out
    """
    squared = np.nansum((record.y_true - record.reference) ** 2, axis=0) * record.dt
    return dict(zip(record.y_names, squared.tolist(), strict=True))


def offset(record: Any, tail: float = TAIL) -> dict[str, list[float]]:
    """Mean of true output - reference over the end of each stretch, by output, in its unit.

    A stretch lasts as long as all references and disturbances are constant.
    """
    error = record.y_true - record.reference
    means = []
    for first, last in stretches(record):
        means.append(error[last - max(1, round(tail * (last - first))) : last].mean(0))
    table = np.array(means).reshape(-1, len(record.y_names))
    return dict(zip(record.y_names, table.T.tolist(), strict=True))


def stretches(record: Any) -> list[tuple[int, int]]:
    """Index ranges [first, last) over which references and disturbances do not change."""
    signal = np.nan_to_num(np.hstack([record.reference, record.disturbances]), nan=0.0)
    if len(signal) == 0:
        return []
    changes = np.flatnonzero((np.diff(signal, axis=0) != 0).any(1)) + 1
    edges = [0, *changes.tolist(), len(signal)]
    return list(zip(edges[:-1], edges[1:], strict=True))


def input_violations(record: Any) -> int:
    """How many inputs, over all instants, lie outside their box (by more than rounding)."""
    b = record.bounds
    slack = 1e-12 * (b.u_max - b.u_min)
    return int(((record.u < b.u_min - slack) | (record.u > b.u_max + slack)).sum())


def rate_violations(record: Any) -> int:
    """How many changes of inputs, from one instant to the next, exceed their rate (by more than rounding)."""
    b = record.bounds
    slack = 1e-12 * (b.u_max - b.u_min)
    change = np.diff(record.u, axis=0)
    return int(((change < b.du_min - slack) | (change > b.du_max + slack)).sum())


def output_excess(record: Any) -> dict[str, float]:
    """By how much the true outputs are outside their soft bounds at most, by output, in its unit."""
    b = record.bounds
    excess = np.maximum(np.maximum(record.y_true - b.y_max, b.y_min - record.y_true), 0.0)
    return dict(zip(record.y_names, excess.max(axis=0, initial=0.0).tolist(), strict=True))


def output_violations(record: Any) -> dict[str, int]:
    """Samples at which the true output is outside its soft bounds, by output."""
    b = record.bounds
    outside = ((record.y_true < b.y_min) | (record.y_true > b.y_max)).sum(0)
    return dict(zip(record.y_names, outside.tolist(), strict=True))


def summary(record: Any) -> dict[str, Any]:
    """All of the above with solve times in s and the number of steps that were not ok."""
    times = record.solve_time if len(record.t) else np.zeros(1)
    return {
        "ise": ise(record),
        "offset": offset(record),
        "input_violations": input_violations(record),
        "output_violations": output_violations(record),
        "failed_steps": int((~record.ok).sum()),
        "unreachable_steps": int((~record.reachable).sum()),
        "solve_time_median": float(np.median(times)),
        "solve_time_p95": float(np.percentile(times, 95)),
        "solve_time_max": float(times.max()),
    }


def table(record: Any) -> str:
    """The summary as aligned text."""
    s = summary(record)
    lines = [f"{'output':<12}{'unit':<10}{'ISE [unit^2 s]':>16}{'offset':>12}{'out of bounds':>15}"]
    for name, unit in zip(record.y_names, record.y_units, strict=True):
        last = s["offset"][name][-1] if s["offset"][name] else np.nan
        lines.append(f"{name:<12}{unit:<10}{s['ise'][name]:>16.5g}{last:>12.3g}{s['output_violations'][name]:>15}")
    ms = [1e3 * s[f"solve_time_{k}"] for k in ("median", "p95", "max")]
    lines.append(f"offset: mean error over the last {TAIL:.0%} of the last constant stretch")
    lines.append(f"inputs outside their bounds: {s['input_violations']}")
    lines.append(f"steps not ok: {s['failed_steps']} of {len(record)}, out of reach: {s['unreachable_steps']}")
    lines.append(f"step time: median {ms[0]:.1f} ms, 95 % {ms[1]:.1f} ms, max {ms[2]:.1f} ms")
    if record.interrupted:
        lines.append(f"stopped early: {record.stopped}")
    return "\n".join(lines)
