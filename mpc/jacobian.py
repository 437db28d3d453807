"""Jacobians of matrix expressions in matrix operations: what makes a network's derivative as cheap as its product."""

from typing import Any

import casadi as ca


class UnknownOperation(Exception):
    """An operation outside the closed set below; CasADi's own derivative is taken instead."""


def jacobian(expression: Any, *columns: Any) -> Any:
    """d expression / d [columns], (m, n) for column vectors; equals ca.jacobian, entry by entry.

    Forward mode with one matrix of seeds: a product A v maps it to A V, an elementwise function to diag(phi') V, so a
    cell with n states costs a few matrix products. ca.jacobian pushes n vectors through the cell instead, as n copies
    of its graph. Operations of any other kind (a call that cannot be inlined, say) are left to CasADi.
    """
    z, n = ca.vertcat(*columns), sum(c.numel() for c in columns)
    seeds, first = {}, 0
    for c in columns:
        seeds[c.__hash__()] = ca.DM.eye(n)[first : first + c.numel(), :]
        first += c.numel()
    try:
        V = _Forward(seeds, n).of(expression)
    except UnknownOperation:
        return ca.densify(ca.jacobian(expression, z)) if z.is_valid_input() else _by_parts(expression, columns)
    return ca.densify(ca.MX(expression.numel(), n) if V is None else ca.MX(V))


def _by_parts(expression: Any, columns: Any) -> Any:
    return ca.horzcat(*(ca.densify(ca.jacobian(expression, c)) for c in columns))


class _Forward:
    """Derivative of each node of an expression; None is zero, DM constant, MX anything else."""

    def __init__(self, seeds: dict[int, Any], n: int):
        self._known, self._n = seeds, n
        self._alive: list[Any] = []  # a node that is freed would give its address, its hash, to another

    def of(self, e: Any) -> Any:
        key = e.__hash__()
        if key not in self._known:
            self._alive.append(e)
            self._known[key] = self._derive(e)
        return self._known[key]

    def _derive(self, e: Any) -> Any:
        op = e.op()
        if e.is_constant() or op == ca.OP_PARAMETER:
            return None
        if op == ca.OP_MTIMES:
            return self._product(e)
        if op == ca.OP_VERTCAT:
            parts = [e.dep(i) for i in range(e.n_dep())]
            return _stack(parts, [self.of(p) for p in parts], self._n)
        if op == ca.OP_GETNONZEROS and e.is_column() and "slice" in e.info():
            return self._rows(e.dep(0), slice(*(e.info()["slice"][k] for k in ("start", "stop", "step"))))
        if e.is_output() and e.dep(0).op() == ca.OP_VERTSPLIT:
            first = e.dep(0).info()["offset"][e.which_output()]
            return self._rows(e.dep(0).dep(0), slice(first, first + e.numel()))
        if op == ca.OP_ADDNONZEROS and e.is_column() and "slice" in e.info():
            return self._added_rows(e, e.info()["slice"])
        if e.is_unary() or e.is_binary():
            return self._elementwise(e)
        if op == ca.OP_TRANSPOSE and self.of(e.dep(0)) is None:
            return None
        raise UnknownOperation(str(op))

    def _rows(self, whole: Any, rows: slice) -> Any:
        V = self.of(whole) if whole.is_column() and whole.is_dense() else _refuse("slice")
        # CasADi's stop may lie beyond the end of a slice with a step
        return None if V is None else V[slice(rows.start, min(rows.stop, whole.numel()), rows.step), :]

    def _added_rows(self, e: Any, rows: dict[str, int]) -> Any:
        whole, V = self.of(e.dep(0)), self.of(e.dep(1))
        if rows["step"] != 1 or not (e.dep(0).is_dense() and e.dep(1).is_dense()):
            _refuse("slice")
        if V is None:
            return whole
        above, below = ca.DM(rows["start"], self._n), ca.DM(e.numel() - rows["stop"], self._n)
        return _sum(whole, ca.vertcat(above, V, below))

    def _product(self, e: Any) -> Any:
        added, A, b = (e.dep(i) for i in range(3))
        V_added, V = self.of(added), self.of(b)
        if self.of(A) is not None or not b.is_column():
            _refuse("product")
        if V is None:
            return V_added
        A = A.to_DM() if A.is_constant() and isinstance(V, ca.DM) else _constant(A)
        return _sum(V_added, A @ V)

    def _elementwise(self, e: Any) -> Any:
        a = [e.dep(i) for i in range(e.n_dep())]
        V = [self.of(d) for d in a]
        if all(v is None for v in V):
            return None
        if not e.is_dense() or not e.is_column():
            _refuse("shape")
        if e.op() == ca.OP_ADD and all(d.shape == e.shape for d in a):
            return _sum(*V)
        symbols = [ca.MX.sym("a", *d.shape) for d in a]
        value = ca.MX.unary(e.op(), *symbols) if len(a) == 1 else ca.MX.binary(e.op(), *symbols)
        total = None
        for s, v in zip(symbols, V, strict=True):
            if v is not None:
                slope = ca.jtimes(value, s, ca.MX.ones(*s.shape))
                (slope,) = ca.graph_substitute([slope], symbols, a)
                total = _sum(total, _scale_rows(slope, v, e.numel()))
        return total


def _refuse(what: str) -> Any:
    raise UnknownOperation(what)


def _constant(A: Any) -> Any:
    """A', A of a constant: a number again, so that no code transposes it at every call."""
    return ca.MX(A.dep(0).to_DM().T) if A.op() == ca.OP_TRANSPOSE and A.dep(0).is_constant() else A


def _sum(a: Any, b: Any) -> Any:
    return b if a is None else a if b is None else a + b


def _scale_rows(w: Any, V: Any, m: int) -> Any:
    """diag(w) V, for V (m, n) or (1, n)."""
    V = ca.repmat(V, m, 1) if V.shape[0] < m else V
    if w.is_constant() and isinstance(V, ca.DM):
        return ca.repmat(ca.densify(w.to_DM()), m // w.numel(), V.shape[1]) * V
    return ca.repmat(w, m // w.numel(), V.shape[1]) * V


def _stack(parts: list[Any], V: list[Any], n: int) -> Any:
    if all(v is None for v in V):
        return None
    return ca.vertcat(*(ca.DM(p.numel(), n) if v is None else v for p, v in zip(parts, V, strict=True)))
