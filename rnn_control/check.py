"""Proof of a certificate in exact arithmetic, from the model file alone; needs Python and numpy, nothing else.

    python check.py model.safetensors certificate.json      exit 0: proved, 1: refused, 2: no proof of its kind here

The model file holds the equations as text. `run` reads them on columns of Values: bounds over the boxes, and the
increment (deltaISS: the difference of two trajectories, ISS: the value itself) as a form {k: M}, the sum of M e_k over
the states, the inputs "u", the constant "1" and channels 0, 1, ..: q_k = theta_k o p_k, p_k a form, theta_k in a known
range. Numbers are fractions; sigmoid and tanh are rounded outwards. Why this is sound: docs/theory.md, section 12.
"""

import ast
import hashlib
import json
import math
import operator
import sys
from decimal import Context, Decimal
from fractions import Fraction
from functools import partial, reduce
from pathlib import Path
from typing import Any

import numpy as np

__path__ = []  # or python -m would warn that the package has imported this file already
Raw = dict[str, tuple[tuple[int, ...], bytes]]  # shape and little-endian doubles of each tensor
FINE, WIDER = 2**256, 1 + Fraction(1, 2**43)  # the boxes of certificates are rounded: ours may be wider
OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.MatMult: operator.matmul}
eye = partial(np.eye, dtype=object)
entrywise: Any = partial(np.frompyfunc, nin=1, nout=1)


class NotChecked(Exception):
    """The file says something that this script cannot read: neither proved nor refused."""


def once(pairs):
    """A JSON object in which no name stands twice: readers differ in which one counts."""
    require(len({name for name, _ in pairs}) == len(pairs), "a name stands twice in a JSON object")
    return dict(pairs)


parse = partial(json.loads, parse_constant=Fraction, object_pairs_hook=once)  # ValueError for NaN and Infinity


def exact(numbers) -> Any:
    return entrywise(Fraction)(np.asarray(numbers, object))


@entrywise
def up(a):
    return -Fraction(math.floor(-a * 2**200), 2**200)  # ValueError if NaN: no range of a factor is known


def above(M):
    """In multiples of 1 / FINE."""
    return -(-M * FINE // 1)


@entrywise
def root(a):
    return Fraction(math.isqrt(math.floor(a * FINE**2)) + 1, FINE)


@entrywise
def sigma(a):
    """Upper bound of the sigmoid, so 1 - sigma(-a) is a lower one. Decimal.exp rounds correctly to its 60 digits."""
    if not a < 400:  # or NaN: not known
        return Fraction(1)
    minus_a = Decimal(-max(a, -400) * 10**40 // 1).scaleb(-40, Context(prec=60))
    return up(1 / (1 + Fraction(minus_a.exp(Context(prec=60))) * (1 - Fraction(1, 10**58))))


def spread(form, n):
    return {k: np.broadcast_to(M, (n, M.shape[1])) for k, M in form.items()}


def plus(a, b):
    return {k: a.get(k, 0) + b.get(k, 0) for k in a | b}


def hull(*ends):
    """Least and largest of arrays; NaN where one of them is."""
    return reduce(np.minimum, ends) + 0 * sum(ends), reduce(np.maximum, ends) + 0 * sum(ends)


class Value:
    """A column: low and high (NaN if not known), and its increment, theta o form with theta in `slope` unless None."""

    __array_ufunc__ = None

    def __init__(self, low, high, form, trace, slope=None):
        self.low, self.high, self._form, self.trace, self.slope = low, high, spread(form, len(low)), trace, slope

    @property
    def form(self):
        if self.slope is not None:
            self._form, self.slope = self.trace.channel(self._form, *self.slope), None
        return self._form

    def scaled(self, low, high):
        """theta o the increment, theta within low, high."""
        if self.slope is not None:
            low, high = hull(*(a * b for a in self.slope for b in (low, high)))
        return self.trace.channel(self._form, -up(-low), up(high))

    def __add__(self, b):
        b = self.trace.value(b)
        return Value(self.low + b.low, self.high + b.high, plus(self.form, b.form), self.trace)

    def __sub__(self, b):
        return self + -1 * b

    def __rsub__(self, b):
        return -1 * self + b

    def __mul__(self, b):
        if not isinstance(b, Value):
            c = self.trace.value(b).low
            form = {k: c[:, None] * M for k, M in self.form.items()}
            return Value(*hull(c * self.low, c * self.high), form, self.trace)
        form = b.scaled(self.low, self.high)
        form = form if self.trace.is_iss else plus(form, self.scaled(b.low, b.high))
        return Value(*hull(*(s * t for s in (self.low, self.high) for t in (b.low, b.high))), form, self.trace)

    def __rmatmul__(self, W):
        require(np.ndim(W) == 2, "a column is multiplied by what is no matrix")
        P, N = np.maximum(W, 0), np.minimum(W, 0)
        ends = P @ self.low + N @ self.high, P @ self.high + N @ self.low
        return Value(*ends, {k: product(M.T, W.T).T for k, M in self.form.items()}, self.trace)

    def __getitem__(self, rows):
        return Value(self.low[rows], self.high[rows], {k: M[rows] for k, M in self.form.items()}, self.trace)

    __radd__, __rmul__ = __add__, __mul__


class Trace(list):
    """The channels so far: (p, low, high) each."""

    def __init__(self, is_iss, has_balls):
        self.is_iss, self.has_balls = is_iss, has_balls

    def channel(self, p, low, high):
        n = max([len(low), *map(len, p.values())])
        self.append((spread(p, n), *(np.broadcast_to(exact(end), n) for end in (low, high))))
        return {len(self) - 1: eye(n)}

    def value(self, a):
        if isinstance(a, Value):
            return a
        require(np.ndim(a) == 0 or np.shape(a)[1:] == (1,), "what is added, multiplied or stacked is no column")
        c = np.ravel(np.asarray(a, object))
        return Value(c, c, {"1": c[:, None]}, self)


def rising(v, phi, slope):
    """phi(v) by bounds phi(a) and slopes over those of v; for ISS phi(c) + theta (v - c), c in them, near its "1"."""
    low, high, trace = phi(v.low)[0], phi(v.high)[1], v.trace
    if not trace.is_iss:
        return Value(low, high, v.form, trace, slope)
    constant = v.form.get("1", np.zeros((len(low), 1), object))[:, 0]
    c = np.where(v.low > constant, v.low, np.where(v.high < constant, v.high, constant))
    one, (a, b) = np.full((len(low), 1), Fraction(1)), phi(c)
    rest = trace.channel({**v.form, "1": (constant - c)[:, None]}, *slope)
    return Value(low, high, plus(plus(rest, {"1": a[:, None]}), trace.channel({"1": one}, 0 * a, b - a)), trace)


def sigmoid(v, *, s=1):
    """s sigmoid(s v) - s + 1, which is tanh v for s = 2; its slope is even and falls with |v|."""
    near = np.frompyfunc(lambda a, b: s * max(0, a, -b), 2, 1)(v.low, v.high)
    far = s * hull(-v.low, v.high)[1]
    slope = s * s * (1 - sigma(far)) * (1 - sigma(-far)), s * s * sigma(near) * sigma(-near)
    return rising(v, lambda a: (1 - s * sigma(-s * a), s * sigma(s * a) - s + 1), slope)


def relu(v):
    slope = hull(exact(v.low >= 0), exact(~(v.high <= 0)))  # both where v is 0
    return rising(v, lambda a: (np.where(a > 0, a, 0), hull(a, 0 * a)[1]), slope)


def mix(z, a, b):
    """z a + (1 - z) b = b + z (a - b), 0 <= z <= 1."""
    a, b = (v if isinstance(v, Value) else 0 * z + v for v in (a, b))
    require((z.low >= 0).all() and (z.high <= 1).all(), "mix takes a share between 0 and 1")
    Z, A, B = ((v.low, v.high) for v in (z, a, b))
    return Value(*hull(*(t * v + (1 - t) * w for t in Z for v in A for w in B)), (b + z * (a - b)).form, z.trace)


def vcat(*parts):
    trace = next(v.trace for v in parts if isinstance(v, Value))
    parts = [trace.value(v) for v in parts]
    width = {k: M.shape[1] for v in parts for k, M in v.form.items()}
    form = {k: np.vstack([v.form.get(k, np.zeros((len(v.low), n), object)) for v in parts]) for k, n in width.items()}
    low, high = (np.concatenate([getattr(v, end) for v in parts]) for end in ("low", "high"))
    return Value(low, high, form, trace)


def signal(v):
    one = np.full(len(v.low), Fraction(1))
    return Value(v.low, v.high, v.trace.channel(v.form, one, one), v.trace) if v.trace.has_balls else v


FUNCTIONS = dict(sigmoid=sigmoid, tanh=partial(sigmoid, s=2), relu=relu, mix=mix, vcat=vcat, signal=signal)


def run(text, names, functions, number: Any = Fraction):
    """Values of all names after the statements of text: names, numbers, functions, + - * @ **, slices, nothing else."""

    def value(node):
        match node:
            case ast.Constant(value=int() | float() as a):
                return number(a) if isinstance(a, float) else a
            case ast.Name(id=name):
                return names[name]
            case ast.UnaryOp(op=ast.USub(), operand=a):
                return -value(a)
            case ast.BinOp(left=a, op=ast.Pow(), right=ast.Constant(value=int() as n)) if n > 0:
                return reduce(operator.mul, [value(a)] * n)
            case ast.BinOp(left=a, op=sign, right=b) if type(sign) in OPERATORS:
                return OPERATORS[type(sign)](value(a), value(b))
            case ast.Subscript(value=a, slice=ast.Slice(lower=i, upper=j, step=None)):
                return value(a)[slice(*(end and ast.literal_eval(end) for end in (i, j)))]
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in functions:
                return functions[name](*map(value, args))
        raise NotChecked(f"{ast.unparse(node)!r} in the equations is not known here")

    for line in ast.parse(text).body:
        match line:
            case ast.Assign(targets=[ast.Name(id=name)], value=node):
                names = {**names, name: value(node)}
            case _:
                raise NotChecked(f"{ast.unparse(line)!r} is no equation")
    return names


def is_positive(A):
    """A > 0 for symmetric A, by elimination in multiples of 1 / FINE; what is rounded off is taken off the diagonal."""
    s = entrywise(lambda a: Fraction(2) ** ((a.denominator.bit_length() - a.numerator.bit_length()) // 2))(A.diagonal())
    A = A * np.outer(s, s) * FINE // 1 - len(A) * eye(len(A))
    while len(A) and A[0, 0] > 0:
        A = A[1:, 1:] - A[1:, :1] @ A[:1, 1:] // A[0, 0] - len(A) * eye(len(A) - 1)
    return not len(A)


def two_norm(M):
    """Upper bound of the 2-norm: that of the multiples of 1 / FINE below the entries, and the rest."""
    c = int(FINE * Fraction(np.linalg.norm(M.astype(float), 2) * (1 + 2**-45) + 2.0**-200))
    M = (M.T if len(M) < len(M.T) else M) * FINE // 1
    require(is_positive(c * c * eye(M.shape[1]) - M.T @ M), "a 2-norm is not proved")
    return Fraction(c + M.size, FINE)


def product(M, N):
    """M N, fast where every row of M has one entry."""
    if ((M != 0).sum(1) <= 1).all():
        i = (M != 0).argmax(1)
        return M[np.arange(len(M)), i][:, None] * N[i]
    return M @ N


def centred(trace, form):
    """The same with q = mid p + delta for each channel, |delta| <= radius |p|: a form in x, u, 1 and the deltas."""
    result = form
    for k in (k for k in form if isinstance(k, int)):
        p, low, high = trace[k]
        result = plus(result, {j: product(form[k] * ((low + high) / 2), N) for j, N in p.items()})
    return result


class Bounds:
    """Bounds e[k] of |e_k| entry by entry, and c[k] of its 2-norm, for cases side by side; the states `balls` by c.

    For a channel e bounds delta = q - mid p, p rounded to multiples of 1 / FINE, and `rest` what that leaves of it.
    """

    def __init__(self, trace, e, balls):
        self.e, self.balls, self.trace, self.rest = e, balls, [], {}
        self.c = {k: v[0] if k in balls else root((v * v).sum(0)) for k, v in e.items()}
        for k, (form, low, high) in enumerate(trace):
            p, radius, most = centred(self.trace, form), (high - low) / 2, np.maximum(abs(low), abs(high))
            lost: Any = sum(self.e[j].sum(0) for j in p) * Fraction(1, FINE)
            p = {j: above(M) * Fraction(1, FINE) for j, M in p.items()}
            rows = self.rows(p)
            if trace.has_balls:
                self.c[k] = self.norm(form, rows + lost)
                rows, self.c[k] = np.minimum(rows, self.c[k]), most.max() * self.c[k]
            self.trace.append((p, low, high))
            self.rest[k] = most[:, None] * lost
            self.e[k] = radius[:, None] * rows + self.rest[k]

    def rows(self, form) -> Any:
        """Of |form| row by row."""
        return sum(root((M * M).sum(1))[:, None] * self.c[k] if k in self.balls
                   else above(abs(M)) @ above(self.e[k]) * Fraction(1, FINE**2) for k, M in form.items())  # fmt: skip

    def norm(self, form, rows):
        """Of the 2-norm of a form whose rows are bounded."""
        apart = sum(two_norm(M) * self.c[k] for k, M in form.items())
        joint = two_norm(np.hstack([*form.values()])) * root(sum(self.c[k] ** 2 for k in form))
        return np.minimum.reduce([apart, joint, root((rows * rows).sum(0))])

    def best(self, form):
        """Of |form| row by row; a channel of which every row has but one entry is also put at its two ends."""
        form = centred(self.trace, form)
        best = self.rows(form)
        for k, M in form.items():
            if isinstance(k, int) and ((M != 0).sum(1) <= 1).all():
                p, low, high = self.trace[k]
                rest, radius = {j: N for j, N in form.items() if j != k}, (high - low) / 2
                swings = ({j: product(M * t, N) for j, N in p.items()} for t in (radius, -radius))
                ends = [self.rows(plus(rest, swing)) for swing in swings]
                best = np.minimum(best, np.maximum(*ends) + abs(M) @ self.rest[k])
        return best


def prove_levels(c, trace, x_next, y, rate, gain, memory, groups, balls):
    """|e| <= w gives |e+| <= rate w, and levels s of each input, or of the constant, are kept: |F s + input| <= s.

    Returns what each input, and the constant, has in the end of states and of outputs.
    """
    nu, n, is_iss = gain.shape[1], len(x_next.low), trace.is_iss
    w, S = exact(c["scale"])[:, None], exact(c["steady"]).reshape(n, nu + is_iss)
    e = {k: w[rows] * np.hstack([np.ones((n, 1), object), np.maximum(S, 0)])[rows] for k, rows in groups.items()}
    e |= {"u": eye(nu, 1 + nu + is_iss, 1), "1": eye(1, 1 + nu + is_iss, 1 + nu)}
    require(all((e[k] == e[k][0]).all() for k in balls), "a block in 2-norm has one scale and one level")
    bounds = Bounds(trace, e, balls)
    T = bounds.best(x_next.form)
    for k in balls:
        form = {j: M[groups[k]] for j, M in x_next.form.items() if M[groups[k]].any()}
        T[groups[k]] = bounds.norm(form, T[groups[k]])
    T = T / w
    require((T[:, 0] <= rate).all(), "the decay rate is not proved")
    excess = np.maximum(T[:, 1:] - S, 0).max(0) / (1 - rate)
    for k, rows in groups.items():
        bounds.e[k] = bounds.e[k] + w[rows] * np.hstack([[0], excess])
        bounds.c[k] = bounds.e[k][0]
    seen = bounds.rows({k: M for k, M in y.form.items() if k != "1"})
    require((seen[:, 1 : 1 + nu] <= gain).all(), "a gain is not proved")
    require((seen[:, 0] <= memory * w.min()).all(), "the memory of an output is not proved")
    offset = (np.maximum(S, 0) + excess)[:, nu:].max() * w.max() if is_iss else 0
    require(Fraction(c["offset"]) >= offset, "the offset is not proved")
    return w * (np.maximum(S, 0) + excess), seen[:, 1:]


def prove_metric(c, trace, x_next, y, rate, gain, memory):
    """r^2 V + g^2 du_i^2 > V+ + s 2 tau (q - low p)(high p - q) on (dx, q, du_i), for V = dx' P dx.

    r = rate, s = 1 and du = 0; then with r, s of column i of `steady`, g the largest that the gains (the offset) allow.
    Returns what `prove_levels` does.
    """
    P, tau = exact(c["metric"]), iter(exact(c["multipliers"]))
    n, nu = len(x_next.low), gain.shape[1]
    sizes = {"x0": n, **{k: len(low) for k, (_, low, _) in enumerate(trace)}, "u": nu, "1": 1}

    def dense(form):
        blocks = [form.get(k, np.zeros((1, size), object)) for k, size in sizes.items()]
        return np.hstack([np.broadcast_to(M, (max(map(len, blocks)), M.shape[1])) for M in blocks])

    F, C = dense(x_next.form), dense(y.form)[:, :n]
    p = np.vstack([F[:0], *(dense(form) for form, *_ in trace)])
    low, high = (np.concatenate([F[:0, 0], *(ends[i] for ends in trace)])[:, None] for i in (1, 2))
    t = [2**80 if form.keys() == {"1"} else next(tau, -1) for form, ends, _ in trace for _ in ends]  # f of 0 is known
    t = np.where(high - low > 2**-60, np.array(t, object)[:, None], 2**80)  # else q is all but linear
    require(next(tau, None) is None and (t >= 0).all(), "the multipliers are not one for each channel, or negative")
    require(P.shape == (n, n) and (P == P.T).all() and y.form.keys() <= {"x0", "1"}, "the metric is not one of states")
    Q = eye(len(p), F.shape[1], n)
    V_next, S = F.T @ (P @ F), (Q - low * p).T @ (t * (high * p - Q))
    near, floats = 1 + Fraction(1, 10**10), P.astype(float)
    least, most = exact(np.linalg.eigvalsh(floats)[[0, -1]]) * [1 / near, near]
    require(least > 0 and is_positive(P - least * eye(n)), "the metric is not positive")
    is_enough = Fraction(c["overshoot"]) ** 2 * least >= most
    require(is_enough and is_positive(most * eye(n) - P), "the overshoot is too small")

    def seen_through(rows):
        """Bounds of |b e| for V(e) <= 1, for each row b."""
        sizes = [float(b @ np.linalg.solve(floats, b)) ** 0.5 for b in rows.astype(float)]
        ends = near * exact(sizes)[:, None] + Fraction(1, 2**99)
        for b, end in zip(rows, ends, strict=True):
            require(is_positive(np.block([[P, b[:, None]], [b[None], end**2]])), "a row is not bounded by the metric")
        return ends

    seen = seen_through(C)
    require((seen[:, 0] ** 2 * most <= memory * abs(memory)).all(), "the memory of an output is not proved")
    steady = exact(c["steady"]).reshape(2, nu + trace.is_iss)
    allowed = (gain / seen).min(0)  # sqrt(V): |C_j dx| <= seen_j sqrt(V) for all outputs
    levels = [*allowed**2] + [Fraction(c["offset"]) ** 2 * least] * trace.is_iss
    require(gain.min() >= 0 and Fraction(c["offset"]) >= 0, "a gain or the offset is negative")
    states = [*range(n + len(p))]
    inputs = ([*states, len(states) + i] for i in range(len(levels)))
    for keep, level, r, s in [(states, 0, rate, 1), *zip(inputs, levels, *steady, strict=True)]:
        A = -V_next - s * (S + S.T)
        A[:n, :n] += r**2 * P
        A[keep[-1], keep[-1]] += level * (1 - r**2)
        require(0 <= r < 1 and s >= 0 and is_positive(A[np.ix_(keep, keep)]), "the matrix inequality is not proved")
    V = np.array([*allowed, *root(np.array(levels[nu:], object))], object)
    return seen_through(eye(n if trace.is_iss else 0)) * V, seen * V


def prove_ends(ends, images, box, states, outputs, y_rest):
    """Outputs end up within y_rest +- outputs, and in images of images of where states do, |x| <= states at first."""
    low, high = np.where(box[0] > -states, box[0], -states), np.where(box[1] < states, box[1], states)
    for _ in range(300):
        x_next, y = images(low, high, {})
        low_y, high_y = np.maximum(y.low, y_rest - outputs), np.minimum(y.high, y_rest + outputs)
        if (ends[0] <= low_y).all() and (high_y <= ends[1]).all():
            return
        inner = np.maximum(low, -up(-x_next.low)), np.minimum(high, up(x_next.high))
        if ((inner[0] - low) + (high - inner[1]) <= (high - low) * (WIDER - 1)).all():
            break
        low, high = inner
    raise ValueError("where outputs end up is not proved")


def linear_system(header, raw, c, groups, trace):
    """x+ and y as a function of a box of states; the trace, x+ and y over an invariant box around the initial states'.

    Also that box, and the most of each input.
    """
    tensors = {k: exact(np.frombuffer(data, "<f8").reshape(shape)) for k, (shape, data) in raw.items()}
    names = {k: tensors[name] for k, name in header["equations"]["names"].items()}
    require(not names.keys() & {"x", "u"}, "a parameter bears the name of the states or the inputs")
    mid, half, u_box = map(exact, (header["scaler"]["u_mid"], header["scaler"]["u_half"], c["input_box"]))
    is_whole = u_box.shape == (len(half), 2) == (*half.shape, 2) == (*mid.shape, 2)
    require(is_whole, "the input box, or that of the scaling, is not one range for each input")
    u_box = (u_box.T - mid) / half
    u = Value(-up(-u_box[0]), up(u_box[1]), {"u": eye(len(half))}, trace)
    n = len(c["scale"])
    form = {k: eye(n)[:, rows] for k, rows in groups.items()}
    ends = c["state_box"] or ["Infinity"] * n
    box = np.array([math.nan if b == "Infinity" else Fraction(b) * WIDER for b in ends], object)
    require(len(box) == n and not (u.low > u.high).any() and not (box < 0).any(), "a box is empty")
    low, high, is_known = -box, box, np.array([b == b for b in box])

    def images(low, high, form):
        trace.clear()
        values = run(header["equations"]["text"], {**names, "x": Value(low, high, form, trace), "u": u}, FUNCTIONS)
        return values["x_next"], values["y"]

    for _ in range(9):
        x_next, y = images(low, high, form)
        require(len(x_next.low) == n, "the equations give states of another number")
        if ((low <= x_next.low) & (x_next.high <= high))[is_known].all():
            # with the channels of their last functions in the trace
            return images, x_next[:], y[:], (low, high), np.maximum(-u.low, u.high)
        low = np.where(is_known, np.minimum(low, x_next.low * WIDER), low)
        high = np.where(is_known, np.maximum(high, x_next.high * WIDER), high)
    raise ValueError("the box of initial states is not within an invariant one")


def groups_of(blocks):
    """Slices of the state: blocks in 2-norm, and what lies between them; the names of the former."""
    groups, balls, last, stop = {}, set(), "", 0
    for size, order in blocks:
        require(size > 0 and order in ("inf", "2.0"), "a block of states is of an unknown kind")
        is_ball = order == "2.0" and size > 1
        if is_ball or last in balls or not groups:
            last = f"x{len(groups)}"
            groups[last], balls = slice(stop, stop), balls | ({last} if is_ball else set())
        stop += size
        groups[last] = slice(groups[last].start, stop)
    return groups, balls


@np.errstate(invalid="ignore")  # comparisons with what is not known are false
def prove(header, raw, c):
    """Nothing if the certificate is true; ValueError or NotChecked with the reason why it is not proved."""
    if not header.get("equations"):
        raise NotChecked("written before equations were stored; save the model again")
    spec = header["spec"]
    known = {**header, "kind": spec["kind"], "weights_sha256": weights_hash(spec, header["equations"], raw)}
    for k in ("kind", "weights_sha256", "dt", "u_names", "y_names", "u_units", "y_units"):
        require(c[k] == known[k], f"{k} is {c[k]} in the certificate, {known[k]} in the model")
    require(c["holds"] is True and c["property"] in ("iss", "delta_iss"), "it says itself that nothing is proved")
    half, std = (exact([header["scaler"][k]]) for k in ("u_half", "y_std"))
    scale, rate = [Fraction(s) for s in c["scale"]], Fraction(c["rate"])
    require(min(half.min(), std.min(), *scale) > 0 and 0 <= rate < 1, "a scale or the decay rate is out of range")
    k, ln = c["steps_to_forget"], Context(prec=60).ln
    forgotten = -k * ln(Decimal(c["rate"])) >= ln(100 * Decimal(c["overshoot"])) * (1 + Decimal(10) ** -20)
    require(k >= 1 and forgotten, "the time to forget is too short")
    require(c["seconds_to_forget"] == (c["dt"] and c["dt"] * k), "the time to forget is not its steps times dt")
    groups, balls = groups_of(c["blocks"] if c["metric"] is None else [[len(scale), "inf"]])
    require(groups and [*groups.values()][-1].stop == len(scale), "blocks and scale do not agree")
    trace = Trace(c["property"] == "iss", bool(balls))
    images, x_next, y, box, u_most = linear_system(header, raw, c, groups, trace)
    size, gain, memory, ends = (len(y.low), half.size), *(exact(c.get(k, [])) for k in ("gain", "memory", "ultimate"))
    require(np.shape(gain) == np.shape(std.T @ half) == size, "the gains are not one for each output and input")
    memory = exact([10**999] * len(y.low)) if np.shape(memory) == (0,) else memory  # nothing is claimed
    require(np.shape(memory) == size[:1], "the memory is not one number for each output")
    gain, memory = gain * half / std.T, memory / std[0]
    require(not any(isinstance(k, int) for k in y.form), "the read-out is not linear")
    if c["metric"] is None:
        require(Fraction(c["overshoot"]) * min(scale) >= max(scale), "the overshoot is too small")
        found = prove_levels(c, trace, x_next, y, rate, gain, memory, groups, balls)
    else:
        require(set(scale) == {1} and c["blocks"] == [[len(scale), "2.0"]], "a metric has one block and no scale")
        found = prove_metric(c, trace, x_next, y, rate, gain, memory)
    if np.shape(ends) != (0,):
        mean, y_rest = exact(header["scaler"]["y_mean"]), y.form.get("1", np.zeros((len(y.low), 1), object))[:, 0]
        require(trace.is_iss, "outputs end up somewhere by ISS only")
        require((np.shape(ends), np.shape(mean)) == ((len(y.low), 2), size[:1]), "the ends are not two for each output")
        states, outputs = (levels @ np.append(u_most, 1) for levels in found)
        prove_ends((ends.T - mean) / std, images, box, states, outputs, y_rest)


def weights_hash(spec, equations, raw):
    """sha256 of the architecture, the equations and the stored parameters: names, shapes, every bit."""
    parts = (f"{name}{list(shape)}".encode() + data for name, (shape, data) in sorted(raw.items()))
    return hashlib.sha256(json.dumps([spec, equations], sort_keys=True).encode() + b"".join(parts)).hexdigest()


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
    except NotChecked as error:
        print(f"NOT CHECKED: {error}")
        return 2
    except Exception as error:  # whatever it is, nothing is proved
        print(f"REFUSED: {str(error) if type(error) is ValueError else repr(error)}")
        return 1
    print(
        "PROVED: rate, overshoot, time to forget, gains, offset, boxes and, where stated, memory and ends of this "
        "certificate hold for the equations and weights as stored; not checked: residual, method, proof, others"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
