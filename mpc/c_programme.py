"""A Programme as C: loops over tables of numbers, around CasADi's code of its parts."""

from collections.abc import Iterator

import numpy as np

from .c_numbers import Tables, numbers
from .programme import Entry, Programme

# A matrix with fewer entries than this share is written entry by entry.
SPARSE = 0.2


class ProgrammeText:
    """static int NAME(arg, res, iw, w, mem), a function of CasADi's kind; w holds its weights and products, too."""

    def __init__(self, programme: Programme, tables: Tables):
        self._p, self.name, self._tables = programme, programme.name, tables
        parts = programme.parts
        ends = parts.sz_w() + np.cumsum([0, *programme.lengths()])
        self._starts = ends.astype(int).tolist()
        sizes = parts.sz_arg(), parts.sz_res(), parts.sz_iw(), self._starts[-1]
        self.sizes = dict(zip(("SZ_ARG", "SZ_RES", "SZ_IW", "SZ_W"), sizes, strict=True))
        # where each product is, by number
        first = parts.n_out() - programme.n_results
        self._products = self._starts[first + 1 :: 2]
        self._rights = self._starts[first:-1:2]

    def text(self) -> str:
        p, size = self._p, self.sizes
        lines = [f"static int {self.name}(const double **arg, double **res, long long *iw, double *w, int mem) {{"]
        lines.append(f"  const double *in[{size['SZ_ARG']}];\n  double *out[{size['SZ_RES']}];")
        lines += [f"  in[{i}] = arg[{i}];" for i in range(p.parts.n_in())]
        lines += [f"  out[{i}] = res[{i + (i >= p.place)}];" for i in range(p.n_results)]
        made = range(p.parts.n_out() - p.n_results)
        lines += [f"  out[{p.n_results + i}] = w + {self._starts[i]};" for i in made]
        lines.append(f"  {p.parts.name()}(in, out, iw, w, mem);")
        for i, (left, rows, entries) in enumerate(p.steps):
            right, product = self._rights[i], self._products[i]
            lines += self._fill(f"w + {right}", rows, entries)
            lines.append(f"  memset(w + {product}, 0, {len(left) * p.n} * sizeof *w);")
            sizes, right = f"{len(left)}, {rows}, {p.n}", f"w + {right}, {rows}"
            lines.append(f"  add_product({sizes}, {self._table(left)}, {right}, w + {product}, {len(left)});")
        return "\n".join([*lines, *self._fill(f"res[{p.place}]", p.size, p.entries), "  return 0;", "}", ""])

    def _table(self, matrix: np.ndarray) -> str:
        return self._tables.name("double", "", numbers(matrix.ravel("F")))

    def _is_sparse(self, number: int) -> bool:
        M = self._p.numbers[number]
        return M.nnz() <= SPARSE * M.numel()

    def _fill(self, to: str, size: int, entries: list[Entry]) -> Iterator[str]:
        """Lines that put the sum of the entries, (size, n), at `to`."""
        sparse = [e for e in entries if e.kind == "numbers" and self._is_sparse(e.matrix)]
        dense = [e for e in entries if e not in sparse]
        spans = sorted({(e.first, e.rows) for e in dense}, key=lambda span: -span[1])
        yield f"  {{\n    double *to = {to};"
        if (0, size) not in spans:
            yield f"    memset(to, 0, {size * self._p.n} * sizeof *to);"
        for span in spans:
            yield from self._add(span, size, [e for e in dense if (e.first, e.rows) == span])
        for e in sparse:
            M = self._p.numbers[e.matrix]
            places = ", ".join(f"{{{r}, {c}}}" for r, c in zip(*M.sparsity().get_triplet(), strict=True))
            at = f"{self._tables.name('int', '[2]', f'{{{places}}}')}[k]"
            value = f"{self._table(np.array(M.nonzeros()))}[k]"
            factor = "" if e.weight is None else f"w[{self._starts[e.weight]} + {at}[0]] * "
            count, to = M.nnz(), f"to[{at}[1] * {size} + {at}[0] + {e.first}]"
            yield f"    for (int k = 0; k < {count}; ++k) {to} += {factor}{value};"
        yield "  }"

    def _add(self, span: tuple[int, int], size: int, entries: list[Entry]) -> Iterator[str]:
        first, rows = span
        yield f"    for (int j = 0; j < {self._p.n}; ++j) {{\n      double *c = to + {size} * j + {first};"
        words = []
        for i, e in enumerate(entries):
            yield f"      const double *m{i} = {self._source(e)} + {rows} * j;"
            words.append(f"m{i}[i]" if e.weight is None else f"w[{self._starts[e.weight]} + i] * m{i}[i]")
        sign = "=" if span == (0, size) else "+="
        yield f"      for (int i = 0; i < {rows}; ++i) c[i] {sign} {' + '.join(words)};\n    }}"

    def _source(self, e: Entry) -> str:
        if e.kind == "numbers":
            return self._table(self._p.numbers[e.matrix].full())
        return f"w + {self._starts[self._p.n_weights + e.matrix] if e.kind == 'given' else self._products[e.matrix]}"
