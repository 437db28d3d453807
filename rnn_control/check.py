"""Proof of a certificate in exact arithmetic, from the model file alone; needs Python and numpy, nothing else.

    python check.py model.safetensors certificate.json      exit 0: proved, 1: refused, 2: no proof of its kind here

`step` runs the equations on columns of Values: bounds over the boxes, and the increment (deltaISS: the difference of
two trajectories, ISS: the value itself) as a form {(k, i): coefficient} in the increments of x, u, the constant 1 and
the channels q_i = theta_i p_i of the trace. Numbers are fractions; sigmoid and tanh are rounded outwards. All rules,
and why they are sound: docs/theory.md, section 12.
"""

import hashlib
import json
import math
import sys
from collections import Counter
from decimal import Context, Decimal
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

__path__ = []  # or python -m would warn that the package has imported this file already
Raw = dict[str, tuple[tuple[int, ...], bytes]]  # shape and little-endian doubles of each tensor
FINE, WIDER = 2**256, 1 + Fraction(1, 2**43)  # the boxes of certificates are rounded: ours may be wider
exact: Any = np.frompyfunc(Fraction, 1, 1)
eye = partial(np.eye, dtype=object)
parse = partial(json.loads, parse_constant=Fraction)  # ValueError for NaN and Infinity


class Value:
    def __init__(self, low, high, form, trace=None):
        self.low, self.high, self.form, self.trace = low, high, form, trace  # low and high are NaN if not known

    def __add__(self, b):
        b, form = b if isinstance(b, Value) else Value(b, b, {("1", 0): b}), dict(self.form)
        form |= {k: form.get(k, 0) + m for k, m in b.form.items()}
        return Value(self.low + b.low, self.high + b.high, form, self.trace)

    def __mul__(self, c):
        low, high = (c * self.low, c * self.high) if c > 0 else (c * self.high, c * self.low)
        return Value(low, high, {k: c * m for k, m in self.form.items() if c}, self.trace)

    __radd__, __rmul__ = __add__, __mul__


def up(a):
    return -Fraction(math.floor(-a * 2**200), 2**200)  # ValueError if NaN


def sigma(a):
    """Upper bound of the sigmoid, so 1 - sigma(-a) is a lower one. Decimal.exp rounds correctly to its 60 digits."""
    minus_a = Decimal(-max(a, -400) * 10**40 // 1).scaleb(-40, Context(prec=60))
    return up(1 / (1 + Fraction(minus_a.exp(Context(prec=60))) * (1 - Fraction(1, 10**58)))) if a < 400 else Fraction(1)


def sigmoid(v, s=1):
    """s sigmoid(s v) - s + 1, which is tanh v for s = 2. The channels have its slopes; for ISS 0 (tanh: secants)."""
    values, slopes, trace = [], [], v[0, 0].trace
    for i, a in enumerate(v[:, 0]):
        low, high = (s * a.low, s * a.high) if a.low == a.low else (-400, 400)  # from where on sigma is 0 or 1
        near, far = max(low, -high, 0), max(-low, high)
        slopes.append((s * s * (1 - sigma(far)) * (1 - sigma(-far)), s * s * sigma(near) * sigma(-near)))
        values.append(Value(1 - s * sigma(-low), s * sigma(high) - s + 1, {(len(trace), i): 1}, trace))
    trace.append(([a.form for a in v[:, 0]], slopes, [(0, s - 1)] * len(v)))
    return np.array(values)[:, None]


def mix(z, a, b=None):
    """z a + (1 - z) b = b + z (a - b) for a sigmoid z, with channels z o (da - db) and (a - b) o dz; or just z a."""
    c, values, trace = a if b is None else a + -1 * b, [], z[0, 0].trace
    for s, t in ((z, c), (c, z)):
        theta = [(-up(-v.low), up(v.high)) for v in s[:, 0]]
        trace.append(([v.form for v in t[:, 0]], theta, theta))
    for i, (s, t) in enumerate(zip(z[:, 0], c[:, 0], strict=True)):
        ends = [x * y for x in (s.low, s.high) for y in (t.low, t.high)]
        values.append(Value(min(ends), max(ends), {(len(trace) - 2, i): 1, (len(trace) - 1, i): 1}, trace))
    mixed = np.array(values)[:, None] + (0 if b is None else b)
    for v, s, t in () if b is None else zip(mixed[:, 0], a[:, 0], b[:, 0], strict=True):
        v.low, v.high = min(s.low, t.low), max(s.high, t.high)
    return mixed


def step(spec, tensors, x, u):
    """x+ and y, the equations as in the papers; x may be longer than the state."""
    p, kind, tanh = SimpleNamespace(**tensors), spec["kind"], partial(sigmoid, s=2)

    def sum_of(k, h):
        return tensors["W" + k] @ u + tensors["U" + k] @ h + tensors["b" + k]

    if kind == "gru":
        x = x[: len(p.bz)]
        z, f = sigmoid(sum_of("z", x)), sigmoid(sum_of("f", x))
        return mix(z, x, tanh(sum_of("r", mix(f, x)))), p.C @ x + p.b_y
    if kind == "gru_reset_after":
        x = x[: len(p.bz)]
        r, z = sigmoid(sum_of("r", x)), sigmoid(sum_of("z", x))
        return mix(z, x, tanh(p.Wn @ u + p.bn + mix(r, p.Un @ x + p.bhn))), p.C @ x + p.b_y
    if kind == "lstm":
        c, h = x[: len(p.bf)], x[len(p.bf) : 2 * len(p.bf)]
        f, i, o = (sigmoid(sum_of(k, h)) for k in "fio")
        c = mix(f, c) + mix(i, tanh(sum_of("c", h)))
        return np.concatenate([c, mix(o, tanh(c))]), p.C @ h + p.b_y
    if kind == "esn":
        n, a = len(p.b), Fraction(spec["leak"])
        y = p.C @ x[: n + len(u)] + p.b_y
        return np.concatenate([(1 - a) * x[:n] + a * tanh(p.Wx @ x[:n] + p.Wu @ u + p.Wy @ y + p.b), u]), y
    if kind == "nnarx":
        (m, _), (_, n), k = p.U0.shape, p.U1.shape, len(u)
        eta = p.U0 @ tanh(p.U1 @ x[:n] + p.W1 @ u + p.b1) + p.b0
        return np.concatenate([x[m + k : n], eta, u]), x[n - m - k : n - k]
    if kind == "lipschitz_rnn":
        x, h, beta = x[: len(p.b)], Fraction(spec["step"]), Fraction(spec["beta"])
        A, W = (M + (1 - 2 * beta) * M.T - Fraction(g) * np.eye(len(x), dtype=object)
                for M, g in ((p.MA, spec["gamma_A"]), (p.MW, spec["gamma_W"])))  # fmt: skip
        return x + h * (A @ x + tanh(W @ x + p.U @ u + p.b)), p.C @ x + p.b_y
    if kind != "cascade":
        raise NotImplementedError(f"the equations of {kind!r} are not known here")
    parts = []
    for i, layer in enumerate(spec["layers"]):
        own = {k.removeprefix(f"layers.{i}."): v for k, v in tensors.items() if k.startswith(f"layers.{i}.")}
        x_next, u = step(layer, own, x, u)
        parts, x = [*parts, x_next], x[len(x_next) :]
    return np.concatenate(parts), u


def is_positive(A):
    """A > 0 for symmetric A, by elimination in multiples of 1 / FINE; what is rounded off is taken off the diagonal."""
    A = A * FINE // 1 - len(A) * eye(len(A))
    while len(A) and A[0, 0] > 0:
        A = A[1:, 1:] - A[1:, :1] @ A[:1, 1:] // A[0, 0] - len(A) * eye(len(A) - 1)
    return not len(A)


def two_norm(forms, k):
    """Bound of the 2-norm of block k of forms: that of the multiples of 1 / FINE below its entries, and the rest."""
    keys = sorted({(k, 0)} | {key for form in forms for key in form if key[0] == k})
    M = np.array([[form.get(key, Fraction(0)) for key in keys] for form in forms], object)
    c = int(FINE * Fraction(np.linalg.norm(M.astype(float), 2) * (1 + 2**-45) + 2.0**-200))
    M = (M.T if len(M) < len(keys) else M) * FINE // 1
    require(is_positive(c * c * eye(M.shape[1]) - M.T @ M), "a 2-norm is not proved")
    return Fraction(c + M.size, FINE)


def column_bound(forms, v, trace):
    """Bounds of the 2-norm of a column of forms for increments of 2-norms v[k]; columns of v are cases."""
    blocks = [{k for k, _ in form if k != "1"} for form in forms]
    for k in {k for block in blocks for k in block if isinstance(k, int)}:
        if {k} in blocks and [b for b in blocks if k not in b] and all(b == {k} for b in blocks if k in b):
            rest = [form for form, b in zip(forms, blocks, strict=True) if k not in b]  # and |(a, K q)| <= |(a, c p)|
            c = two_norm(forms, k) * max(abs(end) for ends in trace[k][1] for end in ends)
            p = [{key: c * m for key, m in form.items()} for form in trace[k][0]]
            return column_bound(rest + p, v, trace) + two_norm(forms, "1") * v["1"]
    return sum(two_norm(forms, k) * v[k] for k in set().union(*blocks, "1"))


def row_bound(form, v, trace):
    """Bounds of |form| for increments |e_i| <= v[k][i]; a channel whose p shares terms with it is put at both ends."""
    ends = [form]
    for (k, i), c in form.items():
        if isinstance(k, int) and trace[k][0][i].keys() & form.keys() - {("1", 0)}:
            p, rest = trace[k][0][i], {key: m for key, m in form.items() if key != (k, i)}
            ends = [{key: rest.get(key, 0) + c * t * p.get(key, 0) for key in rest | p} for t in trace[k][1][i]]
    return np.max([sum((abs(m) * v[k][i] for (k, i), m in end.items()), 0 * v["1"][0]) for end in ends], 0)


def bounds(forms, v, trace, sizes):
    """Bounds of forms for those of states, inputs and constant: row by row, or of columns of these sizes."""
    for k, (p, theta) in enumerate(trace):
        most = np.array([[max(abs(a), abs(b))] for a, b in theta])
        v[k] = most.max() * column_bound(p, v, trace) if sizes else most * np.array([row_bound(q, v, trace) for q in p])
    if not sizes:
        return np.array([row_bound(form, v, trace) for form in forms])
    parts = np.split(np.array(forms), np.cumsum(sizes)[:-1])
    return np.vstack([column_bound(part, v, trace) for part in parts])


def prove_levels(c, trace, x_next, y, rate, gain, sizes):
    """T(1, 0, 0) <= rate, and levels T(s, u, 1) <= s behind gains and offset: T bounds x+ for bounds of x, u and 1."""
    is_iss, (ny, nu), n = c["property"] == "iss", gain.shape, len(sizes) or len(x_next)
    trace = [(p, iss if is_iss else theta) for p, theta, iss in trace]
    S = np.maximum(exact(np.array(c["steady"], object).reshape(n, nu + is_iss)), 0)

    def cases(x):
        units = eye(nu + 1, len(x.T), len(x.T) - nu - is_iss)
        u = units[:nu].sum(0, keepdims=True) if sizes else units[:nu]
        return {"x": x, **{f"x{b}": x[b : b + 1] for b in range(n)}, "u": u, "1": units[nu:]}

    T = bounds(x_next, cases(np.hstack([np.ones((n, 1), object), S])), trace, sizes)
    require((T[:, 0] <= rate).all(), "the decay rate is not proved")
    S = S + np.maximum(T[:, 1:] - S, 0).max(0) / (1 - rate)
    require((bounds(y, cases(S), [], sizes and [1] * ny)[:, :nu] <= gain).all(), "a gain is not proved")
    offset = S[:, nu:].max() * max(map(Fraction, c["scale"])) if is_iss else 0
    require(Fraction(c["offset"]) >= offset, "the offset is not proved")


def channels_of(trace, x_next):
    """{key: (p, low, high)} but for those that are zero; theta (theta' p) is one where nothing else uses theta' p."""
    channels, used = {}, Counter(key for form in x_next for key, m in form.items() if m)
    for k, (forms, ranges, _) in enumerate(trace):
        for i, form in enumerate(forms):
            p = {key: m for key, m in form.items() if m and (key in channels or key[0] in ("x", "u"))}
            used.update(list(p))
            channels |= {(k, i): (p, *ranges[i])} if p else {}
    for key, (p, low, high) in list(channels.items()):
        [inner, m], *others = p.items()
        if inner in channels and used[inner] == 1 and not others:
            p, *theta = channels.pop(inner)
            ends = [m * a * b for a in (low, high) for b in theta]
            channels[key] = p, min(ends), max(ends)
    return channels


def prove_metric(c, trace, x_next, y, rate, gain):
    """rate^2 V + g^2 du_i^2 >= V+ + 2 tau (q - low p)(high p - q), V = dx' P dx, g the largest that the gains allow."""
    P, channels, n, nu = exact(np.array(c["metric"], object)), channels_of(trace, x_next), len(x_next), gain.shape[1]
    order = [*(("x", i) for i in range(n)), *channels, *(("u", i) for i in range(nu))]
    row = {key: e for key, e in zip(order, eye(len(order)), strict=True)}
    F, C = (np.array([sum(m * row[k] for k, m in form.items() if k in row) for form in forms]) for forms in (x_next, y))
    wide = [key for key, (_, low, high) in channels.items() if high - low > 2**-60]  # else q is all but linear
    tau = dict(zip(wide, exact(np.array(c["multipliers"], object)), strict=True))
    require(P.shape == (n, n) and (P == P.T).all() and not C[:, n:].any(), "the metric is not one of the states")
    require(min(tau.values(), default=0) >= 0 and gain.min() >= 0, "a multiplier or a gain is negative")
    D = max(a.denominator for a in P.flat)  # whole numbers are faster
    A = F.T @ (P * D // 1) @ F * Fraction(-1, D)
    A[:n, :n] += rate**2 * P
    for key, (p, low, high) in channels.items():
        change = sum(m * row[k] for k, m in p.items())
        at = np.flatnonzero(abs(change) + row[key])
        S = tau.get(key, 2**80) * np.outer((row[key] - low * change)[at], (high * change - row[key])[at])
        A[np.ix_(at, at)] -= S + S.T
    near, floats, C = 1 + Fraction(1, 10**10), P.astype(float), C[:, :n]
    least = Fraction(np.linalg.eigvalsh(floats)[0]) / near
    require(least > 0 and is_positive(P - least * eye(n)), "the metric is not positive")
    require(is_positive(Fraction(c["overshoot"]) ** 2 * least * eye(n) - P), "the overshoot is too small")
    t = [near * Fraction(float(b @ np.linalg.solve(floats, b)) ** 0.5) + Fraction(1, 2**99) for b in C.astype(float)]
    seen = all(is_positive(np.block([[P, b[:, None]], [b[None], s * s]])) for b, s in zip(C, t, strict=True))
    for i, g in enumerate((gain / np.array([t]).T).min(0)):  # |C_j dx| <= t_j sqrt(V), so all outputs allow this g
        A[i - nu, i - nu] += g**2 * (1 - rate**2)
        keep = [*range(len(A) - nu), len(A) - nu + i]
        require(seen and is_positive(A[np.ix_(keep, keep)]), "the matrix inequality is not proved")


def linear_system(header, raw, c, states):
    """The trace, x+ and y over the input box and an invariant box around that of the initial states."""
    tensors = {k: exact(np.frombuffer(data, "<f8").reshape(shape)) for k, (shape, data) in raw.items()}
    mid, half = (exact(np.array([header["scaler"][k]], object).T) for k in ("u_mid", "u_half"))
    u_box = [(-up(-a), up(b)) for a, b in (exact(np.array(c["input_box"], object)) - mid) / half]
    box = [(-b * WIDER, b * WIDER) for b in map(Fraction, c["state_box"] or ())] or [(math.nan, math.nan)] * len(states)
    require(not any(a > b for a, b in u_box + box), "a box is empty")
    for _ in range(9):
        trace = []
        x, u = (np.array([[Value(*ends, form, trace)] for ends, form in zip(b, forms, strict=True)]) for b, forms in
                ((box, states), (u_box, [{("u", i): 1} for i in range(len(half))])))  # fmt: skip
        x_next, y = (v[:, 0] for v in step(header["spec"], tensors, x, u))
        ends = [(a.low, a.high, *b) for a, b in zip(x_next, box, strict=True)]
        if c["state_box"] is None or all(b <= low and high <= t for low, high, b, t in ends):
            return trace, [a.form for a in x_next], [a.form for a in y]
        box = [(min(b, low * WIDER), max(t, high * WIDER)) for low, high, b, t in ends]
    raise ValueError("the box of initial states is not within an invariant one")


def prove(header, raw, c):
    """Nothing if the certificate is true; ValueError, NotImplementedError with the reason why it is not proved."""
    known = {**header, "kind": header["spec"]["kind"], "weights_sha256": weights_hash(header["spec"], raw)}
    for k in ("kind", "weights_sha256", "dt", "u_names", "y_names", "u_units", "y_units"):
        require(c[k] == known[k], f"{k} is {c[k]} in the certificate, {known[k]} in the model")
    require(c["holds"] is True and c["property"] in ("iss", "delta_iss"), "it says itself that nothing is proved")
    half, std = (exact(np.array([header["scaler"][k]], object)) for k in ("u_half", "y_std"))
    scale, rate = [Fraction(s) for s in c["scale"]], Fraction(c["rate"])
    require(min(half.min(), std.min(), *scale) > 0 and 0 <= rate < 1, "a scale or the decay rate is out of range")
    sizes, orders = [n for n, _ in c["blocks"]], {order for n, order in c["blocks"] if n > 1} or {"inf"}
    require(sum(sizes) == len(scale) and min(sizes) > 0 and orders <= {"inf", "2.0"}, "blocks and scale do not agree")
    if len(orders) > 1 or (c["property"] == "iss" and "nnarx" in json.dumps(header["spec"])):
        raise NotImplementedError("blocks in different norms, or an ISS with NNARX models, are not proved here")
    sizes = sizes if orders == {"2.0"} and c["metric"] is None else []
    keys = [(f"x{b}", i) for b, n in enumerate(sizes) for i in range(n)] or [("x", i) for i in range(len(scale))]
    trace, x_next, y = linear_system(header, raw, c, [{k: s} for k, s in zip(keys, scale, strict=True)])
    gain = exact(np.array(c["gain"], object)) * half / std.T
    require(gain.shape == (len(y), half.size), "the gains are not one for each output and input")
    if c["metric"] is None:
        require(Fraction(c["overshoot"]) * min(scale) >= max(scale), "the overshoot is too small")
        x_next = [{k: m / s for k, m in form.items()} for form, s in zip(x_next, scale, strict=True)]
        prove_levels(c, trace, x_next, y, rate, gain, sizes)
    else:
        require(set(scale) == {1} and len(c["blocks"]) == 1 and c["property"] == "delta_iss", "a metric has no scale")
        prove_metric(c, trace, x_next, y, rate, gain)
    k, ln = c["steps_to_forget"], Context(prec=60).ln
    forgotten = -k * ln(Decimal(c["rate"])) >= ln(100 * Decimal(c["overshoot"])) * (1 + Decimal(10) ** -20)
    require(k >= 1 and forgotten, "the time to forget is too short")
    require(c["seconds_to_forget"] == (c["dt"] and c["dt"] * k), "the time to forget is not its steps times dt")


def weights_hash(spec, raw):
    """sha256 of the architecture and of the stored parameters: names, shapes, every bit."""
    parts = (f"{name}{list(shape)}".encode() + data for name, (shape, data) in sorted(raw.items()))
    return hashlib.sha256(json.dumps(spec, sort_keys=True).encode() + b"".join(parts)).hexdigest()


def require(is_true, otherwise: str):
    if not is_true:
        raise ValueError(otherwise)


def read(path: str) -> tuple[dict, Raw]:
    """Header and tensors of a .safetensors file: 8 bytes with the length of the JSON that follows, then data."""
    data = Path(path).read_bytes()
    at = 8 + int.from_bytes(data[:8], "little")
    tensors, origin, raw = parse(data[8:at]), at, {}
    header = parse(tensors.pop("__metadata__")["rnn_control"])
    for name, t in sorted(tensors.items(), key=lambda item: item[1]["data_offsets"]):
        a, b = (origin + offset for offset in t["data_offsets"])
        require(t["dtype"] == "F64" and a == at and b - a == 8 * math.prod(t["shape"]), f"{name} is not whole float64")
        raw[name], at = (tuple(t["shape"]), data[a:b]), b
    require(at == len(data), "the model file is not whole")
    return header, raw


def main(files: list[str]) -> int:
    if len(files) != 2:
        print("usage: python check.py model.safetensors certificate.json")
        return 2
    try:
        prove(*read(files[0]), parse(Path(files[1]).read_bytes()))
    except (NotImplementedError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, OSError) as error:
        is_known = not isinstance(error, NotImplementedError)
        print(f"{'REFUSED' if is_known else 'NOT CHECKED'}: {str(error) if type(error) is ValueError else repr(error)}")
        return 1 if is_known else 2
    print("PROVED: rate, overshoot, time to forget, gains and boxes of this certificate hold for the weights as stored")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
