"""Proof of a deltaISS certificate in exact arithmetic, from the model file alone; needs Python and numpy, nothing else.

    python check.py model.safetensors certificate.json      exit 0: proved, 1: refused, 2: no proof of its kind here

A double is the fraction that it is; only sigmoid and tanh are rounded, upwards. For |u_i| <= u_max_i each family has
|dx+| <= T(|dx|, |du|) with T(e) the larger, row by row, of two non-negative matrices times e. Proved is that

    T(w, 0) <= rate w,   T(s_j, unit_j) <= s_j,   |C| s_j <= gain of input j

hence the rate, overshoot, time to forget, gains and boxes of a certificate in the norm max |dx_i| / w_i, for the stored
weights and equations in real arithmetic (docs/theory.md, Theorem 11). Vectors are columns.
"""

import hashlib
import json
import math
import sys
from collections import namedtuple
from decimal import Context, Decimal
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

__path__ = []  # or python -m would warn that the package has imported this file already
WIDER = 1 + Fraction(1, 10**13)  # an invariant box may be wider than the least; those of certificates are rounded
Raw = dict[str, tuple[tuple[int, ...], bytes]]  # shape and little-endian doubles of each tensor
# the two matrices T; an invariant box of the states, and whether T needs it; read-out y = C x + c
System = namedtuple("System", "T box is_boxed C c")
eye, ones = partial(np.eye, dtype=object), partial(np.ones, dtype=object)
entrywise: Any = partial(np.frompyfunc, nin=1, nout=1)
exact = entrywise(Fraction)
up = entrywise(lambda a: Fraction(math.ceil(a * 2**200), 2**200))


@entrywise
def sigmoid(a):
    """Upper bound, so 1 - sigmoid(-a) is a lower one. Decimal.exp rounds correctly to its 60 digits."""
    minus_a = Decimal(-math.ceil(max(a, -400) * 10**40)).scaleb(-40, Context(prec=60))
    return up(1 / (1 + Fraction(minus_a.exp(Context(prec=60))) * (1 - Fraction(1, 10**58)))) if a < 400 else Fraction(1)


def slope(b, r):  # upper bound for the sigmoid on b - r .. b + r
    near = np.maximum(abs(b) - r, 0)
    return sigmoid(near) * sigmoid(-near)


def gru(spec, p, u_max):  # Theorem 4
    V, n, nu = {k: abs(np.hstack([p["U" + k], p["W" + k]])) for k in "zfr"}, len(p["bz"]), len(u_max)
    one, keep, pulse = ones((n, 1)), eye(n, n + nu), eye(nu, n + nu, n)
    az, af = (V[k] @ np.vstack([one, u_max]) for k in "zf")
    f = sigmoid(p["bf"] + af)
    ar = V["r"] @ np.vstack([f, u_max])
    r = 4 * slope(2 * p["br"], 2 * ar) * (V["r"] @ np.vstack([f * keep + slope(p["bf"], af) * V["f"], pulse]))
    gate = slope(p["bz"], az) * 2 * sigmoid(2 * (abs(p["br"]) + ar)) * V["z"]
    ends = [z * keep + (1 - z) * r + gate for z in (1 - sigmoid(az - p["bz"]), sigmoid(az + p["bz"]))]
    return System(np.stack(ends), one, True, p["C"], p["b_y"])


def lstm(spec, p, u_max):  # Theorem 6
    V, n = {k: abs(np.hstack([p["U" + k], p["W" + k]])) for k in "fioc"}, len(p["bf"])
    one = ones((n, 1))
    f, i, o = (sigmoid(p["b" + k] + V[k] @ np.vstack([one, u_max])) for k in "fio")
    g = 2 * sigmoid(2 * (abs(p["bc"]) + V["c"] @ np.vstack([one, u_max]))) - 1
    c_max = up(WIDER * i * g / (1 - f))
    dc = np.hstack([f * eye(n, n), c_max / 4 * V["f"] + i * V["c"] + g / 4 * V["i"]])
    T = np.vstack([dc, o * dc + (2 * sigmoid(2 * c_max) - 1) / 4 * np.hstack([0 * eye(n, n), V["o"]])])
    return System(np.stack([T, T]), np.vstack([c_max, one]), True, np.hstack([0 * p["C"], p["C"]]), p["b_y"])


def esn(spec, p, u_max):  # Theorem 7 (c)
    a, n, nu = Fraction(spec["leak"]), len(p["b"]), len(u_max)
    low, pulse = (1 - a) * eye(n, n + 2 * nu), eye(nu, n + 2 * nu, n + nu)
    loop = np.hstack([p["Wx"], 0 * p["Wu"]]) + p["Wy"] @ p["C"]
    T = np.stack([np.vstack([abs(M), pulse]) for M in (low, low + a * np.hstack([loop, p["Wu"]]))])
    return System(T, np.vstack([ones((n, 1)), WIDER * u_max]), False, p["C"], p["b_y"])


def nnarx(spec, p, u_max):  # Theorem 8 (c)
    (ny, _), (_, nx), nu = p["U0"].shape, p["U1"].shape, len(u_max)
    shift, pulse = eye(nx - ny - nu, nx + nu, ny + nu), eye(nu, nx + nu, nx)
    T = np.vstack([shift, abs(p["U0"]) @ abs(np.hstack([p["U1"], p["W1"]])), pulse])
    last = np.vstack([abs(p["U0"]).sum(1, keepdims=True) + abs(p["b0"]), u_max])
    box, C = WIDER * np.tile(last, (spec["lags"], 1)), eye(ny, nx, nx - ny - nu)
    return System(np.stack([T, T]), box, False, C, 0 * p["b0"])


def lipschitz_rnn(spec, p, u_max):  # Theorem 9 (b); A and W are those of the equations, not as rounded to doubles
    n, h, beta = len(p["b"]), Fraction(spec["step"]), Fraction(spec["beta"])
    A, W = (p["M" + k] + (1 - 2 * beta) * p["M" + k].T - Fraction(spec["gamma_" + k]) * eye(n, n) for k in "AW")
    low, high = np.hstack([eye(n, n) + h * A, 0 * p["U"]]), h * np.hstack([W, p["U"]])
    room = 1 - abs(low).sum(1).max()
    box = np.full((n, 1), WIDER * abs(h) / room if room > 0 else math.inf)
    return System(abs(np.stack([low, low + high])), box, False, p["C"], p["b_y"])


def cascade(spec, p, u_max):  # Theorem 10 (c)
    layers, boxes = [], [u_max]
    for i, layer in enumerate(spec["layers"]):
        own = {k.removeprefix(f"layers.{i}."): v for k, v in p.items() if k.startswith(f"layers.{i}.")}
        layers.append(build(layer, own, boxes[-1]))
        boxes.append(up(abs(layers[-1].C) @ layers[-1].box + abs(layers[-1].c)))
    box, nu, at, T = np.vstack([one.box for one in layers]), len(u_max), 0, []
    du = eye(nu, len(box) + nu, len(box))
    for one in layers:
        dx = eye(len(one.box), len(box) + nu, at)
        T.append(one.T @ np.vstack([dx, du]))
        at, du, C = at + len(dx), abs(one.C) @ dx, one.C @ dx[:, : len(box)]
    return System(np.concatenate(T, 1), box, any(one.is_boxed for one in layers), C, layers[-1].c)


SYSTEMS = dict(gru=gru, lstm=lstm, esn=esn, nnarx=nnarx, lipschitz_rnn=lipschitz_rnn, cascade=cascade)


def build(spec, p, u_max) -> System:
    if spec["kind"] not in SYSTEMS:
        raise NotImplementedError(f"the equations of {spec['kind']!r} are not known here")
    return SYSTEMS[spec["kind"]](spec, p, u_max)


def require(is_true, otherwise: str):
    if not is_true:
        raise ValueError(otherwise)


def weights_hash(spec: dict[str, Any], raw: Raw) -> str:
    """sha256 of the architecture and of the stored parameters: names, shapes, every bit."""
    parts = (f"{name}{list(shape)}".encode() + data for name, (shape, data) in sorted(raw.items()))
    return hashlib.sha256(json.dumps(spec, sort_keys=True).encode() + b"".join(parts)).hexdigest()


def prove(header: dict[str, Any], raw: Raw, c: dict[str, Any]) -> None:
    """Nothing if the certificate is true; ValueError, NotImplementedError with the reason why it is not proved."""
    spec = header["spec"]
    known = {**header, "kind": spec["kind"], "weights_sha256": weights_hash(spec, raw)}
    for k in ("kind", "weights_sha256", "dt", "u_names", "y_names", "u_units", "y_units"):
        require(c[k] == known[k], f"{k} is {c[k]} in the certificate, {known[k]} in the model")
    require(c["holds"] is True, "the certificate itself says that nothing is proved")
    if c["property"] != "delta_iss" or any(order != "inf" and n > 1 for n, order in c["blocks"]):
        raise NotImplementedError("only deltaISS in infinity norms is proved here, as by certify(method='weighted')")
    p = {k: exact(np.frombuffer(data, "<f8").reshape(shape)) for k, (shape, data) in raw.items()}
    mid, half, std = (exact(np.array([header["scaler"][k]], object).T) for k in ("u_mid", "u_half", "y_std"))
    require(min(half) > 0 and min(std) > 0, "a width of the scaling is not positive")
    reach = abs(exact(np.array(c["input_box"], object)) - mid).max(1, keepdims=True) / half
    system = build(spec, p, up(reach))
    prove_decay(system, c)
    start = system.box if c["state_box"] is None else exact(np.array([c["state_box"]], object).T)
    require(c["state_box"] or not system.is_boxed, "the proof needs a box of initial states")
    require(start.shape == system.box.shape and (start <= system.box).all(), "the box of initial states is too large")
    S, gain = (exact(np.array(c[k], object)) for k in ("steady", "gain"))
    is_steady = (S >= 0).all() and (system.T @ np.vstack([S, eye(len(S.T))]) <= S).all()
    require(is_steady, "the steady levels behind the gains are not proved")
    require((abs(system.C) @ S * std <= gain * half.T).all(), "a gain is not proved")


def prove_decay(system: System, c: dict[str, Any]) -> None:
    """T(w, 0) <= rate w, and what follows from it."""
    w, rate, overshoot = exact(np.array([c["scale"]], object).T), Fraction(c["rate"]), Fraction(c["overshoot"])
    require(len(w) == len(system.box) and min(w) > 0, "the scale is not one positive number for each state")
    require(0 <= rate < 1 and (system.T[..., : len(w)] @ w <= rate * w).all(), "the decay rate is not proved")
    require(overshoot * min(w) >= max(w), "the overshoot is too small")
    k, ln = c["steps_to_forget"], Context(prec=60).ln
    forgotten = -k * ln(Decimal(c["rate"])) >= ln(100 * Decimal(c["overshoot"])) * (1 + Decimal(10) ** -20)
    require(k >= 1 and forgotten, "the time to forget is too short")
    require(c["seconds_to_forget"] == (c["dt"] and c["dt"] * k), "the time to forget is not its steps times dt")


def read(path: str) -> tuple[dict[str, Any], Raw]:
    """Header and tensors of a .safetensors file: 8 bytes with the length of the JSON that follows, then data."""
    data = Path(path).read_bytes()
    at = 8 + int.from_bytes(data[:8], "little")
    tensors, origin, raw = json.loads(data[8:at]), at, {}
    header = json.loads(tensors.pop("__metadata__")["rnn_control"])
    for name, t in sorted(tensors.items(), key=lambda item: item[1]["data_offsets"]):
        a, b = (origin + offset for offset in t["data_offsets"])
        require(t["dtype"] == "F64" and a == at and b - a == 8 * np.prod(t["shape"]), f"{name} is not whole float64")
        raw[name], at = (tuple(t["shape"]), data[a:b]), b
    require(at == len(data), "the model file is not whole")
    return header, raw


def main(files: list[str]) -> int:
    if len(files) != 2:
        print("usage: python check.py model.safetensors certificate.json")
        return 2
    try:
        prove(*read(files[0]), json.loads(Path(files[1]).read_text(encoding="utf-8")))
    except (NotImplementedError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, OSError) as error:
        is_known = not isinstance(error, NotImplementedError)
        print(f"{'REFUSED' if is_known else 'NOT CHECKED'}: {str(error) if type(error) is ValueError else repr(error)}")
        return 1 if is_known else 2
    print("PROVED: rate, overshoot, time to forget, gains and boxes of this certificate hold for the weights as stored")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
