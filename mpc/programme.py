"""A function with a Jacobian among its results, the Jacobian kept as a few row scalings and products."""

from typing import Any, NamedTuple

import casadi as ca
import numpy as np

from .fast_call import FastCall
from .jacobian import Product, Rows, Term, derivative


class Entry(NamedTuple):
    """rows of a matrix, from first on, get diag(weight) times a matrix.

    weight: number among the weights, None for ones; kind: "product", "numbers" or "given", matrix: which of them
    """

    first: int
    rows: int
    weight: int | None
    kind: str
    matrix: int


class Step(NamedTuple):
    """A product: left (m, size) times the sum of the entries, (size, n)."""

    left: np.ndarray
    size: int
    entries: list[Entry]


class Programme:
    """(arguments) -> results, and J = d expression / d [columns] at `place` among them; evaluated by columns.

    parts: the CasADi function (arguments) -> results, weights, given matrices; numbers: constant matrices, DM;
    steps: products in the order in which they are computed; then J, (size, n), is the sum of `entries`.
    """

    def __init__(
        self, name: str, arguments: list[Any], results: list[Any], expression: Any, columns: list[Any], place: int = 0
    ):
        self.name, self.place, self.n_results = name, place, len(results)
        self.n = sum(c.numel() for c in columns)
        self._weights: list[Any] = []
        self._given: list[Any] = []
        self.numbers: list[ca.DM] = []
        self.steps: list[Step] = []
        self._known: dict[int, int] = {}
        rows = derivative(expression, *columns)
        self.size, self.entries = rows.size, self._list(rows)
        outputs = [*(ca.densify(r) for r in results), *self._weights, *self._given]
        self.parts = ca.Function(f"parts_{name}", arguments, outputs, {"cse": True})
        self.n_weights, self._dense = len(self._weights), [M.full() for M in self.numbers]
        self._maps: dict[int, FastCall] = {}

    def _list(self, rows: Rows) -> list[Entry]:
        return [
            Entry(t.first, t.rows, self._weight(t.weight), *self._matrix(t.matrix))
            for t in rows.terms
            if _has_entries(t)
        ]

    def _weight(self, weight: Any) -> int | None:
        if weight is None:
            return None
        self._weights.append(ca.densify(weight))
        return len(self._weights) - 1

    def _matrix(self, matrix: Any) -> tuple[str, int]:
        if isinstance(matrix, Product):
            if id(matrix) not in self._known:
                entries = self._list(matrix.right)
                self.steps.append(Step(matrix.left.full(), matrix.right.size, entries))
                self._known[id(matrix)] = len(self.steps) - 1
            return "product", self._known[id(matrix)]
        if isinstance(matrix, ca.DM):
            self.numbers.append(matrix)
            return "numbers", len(self.numbers) - 1
        self._given.append(ca.densify(matrix))
        return "given", len(self._given) - 1

    def many(self, *arguments: np.ndarray) -> list[np.ndarray]:
        """The results (points, size) and J (points, m, n), in their places, for arguments (points, size) each."""
        points = len(arguments[0])
        if points not in self._maps:
            self._maps[points] = FastCall(self.parts.map(points))
        out = [o.reshape(points, -1) for o in self._maps[points](*(a.ravel() for a in arguments))]
        results = [o.copy() for o in out[: self.n_results]]
        out = out[self.n_results :]
        weights, given = out[: self.n_weights], out[self.n_weights :]
        matrices = {
            "numbers": self._dense,
            "given": [o.reshape(points, self.n, -1).transpose(0, 2, 1) for o in given],
            "product": [],
        }

        def total(size: int, entries: list[Entry]) -> np.ndarray:
            J = np.zeros((points, size, self.n))
            for e in entries:
                M = matrices[e.kind][e.matrix]
                J[:, e.first : e.first + e.rows] += M if e.weight is None else weights[e.weight][:, :, None] * M
            return J

        for left, size, entries in self.steps:
            matrices["product"].append(left @ total(size, entries))
        results.insert(self.place, total(self.size, self.entries))
        return results

    def lengths(self) -> list[int]:
        """Of every weight and given matrix, then of every product's two factors' place: right side, product."""
        outputs = [self.parts.numel_out(i) for i in range(self.n_results, self.parts.n_out())]
        return [*outputs, *(rows * self.n for s in self.steps for rows in (s.size, len(s.left)))]


def _has_entries(term: Term) -> bool:
    return not isinstance(term.matrix, ca.DM) or term.matrix.nnz() > 0
