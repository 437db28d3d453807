"""Jacobians of matrix expressions as a few row scalings and products: a network's derivative as cheap as its product.

A derivative with respect to n columns is kept as rows = sum_i diag(w_i) M_i, each term on some of the rows: w_i is a
column of the expression's values, M_i a matrix of numbers, a product A (rows) with numbers A, or CasADi's own Jacobian.
A cell with nx states then costs a few columns w_i and a few dense products, and no further copies of its graph.
"""

from typing import Any, NamedTuple

import casadi as ca

MOST_TERMS = 32  # the networks here have up to 18; a plant's scalar equations, left alone, double them at every step


class UnknownOperation(Exception):
    """An operation outside the closed set below, or no few terms; CasADi's own derivative is taken instead."""


class Term(NamedTuple):
    """diag(weight) matrix on the rows from first on; weight (rows, 1) is an expression, None for ones.

    matrix: DM (rows, n), a Product, or an expression (rows, n)
    """

    first: int
    weight: Any
    matrix: Any

    @property
    def rows(self) -> int:
        return self.matrix.left.shape[0] if isinstance(self.matrix, Product) else self.matrix.shape[0]


class Rows(NamedTuple):
    """size rows: the sum of the terms."""

    size: int
    terms: tuple[Term, ...]


class Product(NamedTuple):
    """left (m, k) times right, k rows."""

    left: ca.DM
    right: Rows


def derivative(expression: Any, *columns: Any) -> Rows:
    """d expression / d [columns] for column vectors, as scalings and products."""
    n, first, seeds = sum(c.numel() for c in columns), 0, {}
    for c in columns:
        seeds[c.__hash__()] = _rows(c.numel(), Term(0, None, ca.DM.eye(n)[first : first + c.numel(), :]))
        first += c.numel()
    try:
        return _Forward(seeds, n).of(expression)
    except (UnknownOperation, RecursionError):
        z = ca.vertcat(*columns)
        whole = ca.jacobian(expression, z) if z.is_valid_input() else _by_parts(expression, columns)
        return _rows(expression.numel(), Term(0, None, ca.densify(whole)))


def jacobian(expression: Any, *columns: Any) -> Any:
    """d expression / d [columns], (m, n) for column vectors; equals ca.jacobian, entry by entry."""
    return _expression(derivative(expression, *columns), sum(c.numel() for c in columns), {})


def _by_parts(expression: Any, columns: Any) -> Any:
    return ca.horzcat(*(ca.densify(ca.jacobian(expression, c)) for c in columns))


def _expression(rows: Rows, n: int, known: dict[int, Any]) -> Any:
    """The rows as one expression (size, n); known: those of products, by identity."""
    total = ca.MX(ca.DM.zeros(rows.size, n))
    for term in rows.terms:
        m, matrix = term.rows, term.matrix
        if isinstance(matrix, Product):
            if id(matrix) not in known:
                known[id(matrix)] = matrix.left @ _expression(matrix.right, n, known)
            matrix = known[id(matrix)]
        part = matrix if term.weight is None else ca.repmat(term.weight, 1, n) * matrix
        whole = m == rows.size
        part = part if whole else ca.vertcat(ca.DM(term.first, n), part, ca.DM(rows.size - term.first - m, n))
        total = ca.densify(part) if whole and len(rows.terms) == 1 else total + part
    return ca.densify(total)


def _rows(size: int, *terms: Term) -> Rows:
    return Rows(size, terms)


class _Forward:
    """Derivative of each node of an expression."""

    def __init__(self, seeds: dict[int, Rows], n: int):
        self._known, self._n = seeds, n
        self._alive: list[Any] = []  # a node that is freed would give its address, its hash, to another

    def of(self, e: Any) -> Rows:
        key = e.__hash__()
        if key not in self._known:
            self._alive.append(e)
            self._known[key] = self._derive(e)
        return self._known[key]

    def _derive(self, e: Any) -> Rows:
        op = e.op()
        if e.is_constant() or op == ca.OP_PARAMETER:
            return Rows(e.numel(), ())
        if op == ca.OP_MTIMES:
            return self._product(e)
        if op == ca.OP_VERTCAT:
            parts, below = [e.dep(i) for i in range(e.n_dep())], 0
            terms = []
            for p in parts:
                terms += [t._replace(first=t.first + below) for t in self.of(p).terms]
                below += p.numel()
            return Rows(e.numel(), tuple(terms))
        if op == ca.OP_GETNONZEROS and e.is_column() and "slice" in e.info():
            return self._slice(e.dep(0), slice(*(e.info()["slice"][k] for k in ("start", "stop", "step"))))
        if e.is_output() and e.dep(0).op() == ca.OP_VERTSPLIT:
            first = e.dep(0).info()["offset"][e.which_output()]
            return self._slice(e.dep(0).dep(0), slice(first, first + e.numel(), 1))
        if op == ca.OP_ADDNONZEROS and e.is_column() and "slice" in e.info():
            return self._added_rows(e, e.info()["slice"])
        if e.is_unary() or e.is_binary():
            return self._elementwise(e)
        if op == ca.OP_TRANSPOSE and not self.of(e.dep(0)).terms:
            return Rows(e.numel(), ())
        raise UnknownOperation(str(op))

    def _slice(self, whole: Any, rows: slice) -> Rows:
        if not (whole.is_column() and whole.is_dense()):
            raise UnknownOperation("slice")
        # CasADi's stop may lie beyond the end of a slice with a step
        wanted = range(rows.start, min(rows.stop, whole.numel()), rows.step)
        return Rows(len(wanted), tuple(p for t in self.of(whole).terms if (p := _cut(t, wanted)) is not None))

    def _added_rows(self, e: Any, rows: dict[str, int]) -> Rows:
        if rows["step"] != 1 or not (e.dep(0).is_dense() and e.dep(1).is_dense()):
            raise UnknownOperation("slice")
        added = [t._replace(first=t.first + rows["start"]) for t in self.of(e.dep(1)).terms]
        return _sum(e.numel(), [*self.of(e.dep(0)).terms, *added])

    def _product(self, e: Any) -> Rows:
        added, A, b = (e.dep(i) for i in range(3))
        before, right = self.of(added), self.of(b)
        if self.of(A).terms or not b.is_column():
            raise UnknownOperation("product")
        if not right.terms:
            return before
        A = _constant(A)
        if all(t.weight is None and isinstance(t.matrix, ca.DM) for t in right.terms):
            after = [Term(0, None, A @ _numbers(right, self._n))]
        else:
            after = [Term(0, None, Product(ca.densify(A), right))]
        return _sum(e.numel(), [*before.terms, *after])

    def _elementwise(self, e: Any) -> Rows:
        a = [e.dep(i) for i in range(e.n_dep())]
        rows = [self.of(d) for d in a]
        if not any(r.terms for r in rows):
            return Rows(e.numel(), ())
        if not e.is_dense() or not e.is_column():
            raise UnknownOperation("shape")
        m, terms = e.numel(), []
        symbols = [ca.MX.sym("a", *d.shape) for d in a]
        value = ca.MX.unary(e.op(), *symbols) if len(a) == 1 else ca.MX.binary(e.op(), *symbols)
        for s, r in zip(symbols, rows, strict=True):
            if r.terms:
                slope = ca.jtimes(value, s, ca.MX.ones(*s.shape))
                (slope,) = ca.graph_substitute([slope], symbols, a)
                spread = r.terms if r.size == m else (Term(0, None, Product(ca.DM.ones(m, 1), r)),)
                slope = slope if slope.numel() == m else ca.repmat(slope, m, 1)
                terms += [_scaled(t, slope) for t in spread]
        return _sum(m, terms)


def _cut(term: Term, wanted: range) -> Term | None:
    """The term on the wanted rows of the whole, numbered anew."""
    rows = [r for r in wanted if term.first <= r < term.first + term.rows]
    if not rows:
        return None
    first, step = rows[0] - term.first, wanted.step
    inner = slice(first, rows[-1] - term.first + 1, step)
    m = term.matrix
    matrix = Product(m.left[inner, :], m.right) if isinstance(m, Product) else m[inner, :]
    weight = None if term.weight is None else term.weight[inner]
    return Term(wanted.index(rows[0]), weight, matrix)


def _constant(A: Any) -> ca.DM:
    """The numbers of A, or of the transpose of a constant."""
    if A.is_constant():
        return A.to_DM()
    if A.op() == ca.OP_TRANSPOSE and A.dep(0).is_constant():
        return A.dep(0).to_DM().T
    raise UnknownOperation("product")


def _numbers(rows: Rows, n: int) -> ca.DM:
    total = ca.DM(rows.size, n)
    for t in rows.terms:
        total += ca.vertcat(ca.DM(t.first, n), t.matrix, ca.DM(rows.size - t.first - t.rows, n))
    return total


def _scaled(term: Term, slope: Any) -> Term:
    """diag(slope) term, for slope over all rows of the whole."""
    w = slope[term.first : term.first + term.rows] if term.rows < slope.numel() else slope
    if w.is_constant() and isinstance(term.matrix, ca.DM) and term.weight is None:
        return term._replace(matrix=ca.diag(ca.densify(w.to_DM())) @ term.matrix)
    if w.is_constant() and (w.to_DM() == 1).is_one():
        return term
    return term._replace(weight=w if term.weight is None else term.weight * w)


def _sum(size: int, terms: list[Term]) -> Rows:
    """Terms of the same matrix on the same rows become one, and numbers are added up."""
    found: list[Term] = []
    for term in terms:
        for i, other in enumerate(found):
            if term.first == other.first and term.matrix is other.matrix:
                a, b = (ca.MX.ones(t.rows) if t.weight is None else t.weight for t in (other, term))
                found[i] = other._replace(weight=a + b)
                break
            both = (term, other)
            if (
                term.first == other.first
                and term.rows == other.rows
                and all(t.weight is None and isinstance(t.matrix, ca.DM) for t in both)
            ):
                found[i] = other._replace(matrix=other.matrix + term.matrix)
                break
        else:
            if len(found) == MOST_TERMS:
                raise UnknownOperation("many terms")
            found.append(term)
    return Rows(size, tuple(found))
