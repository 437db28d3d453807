"""The printed source of a cell is kept under all that it was made from, and never served for another cell."""

import pytest
import torch
from zoo import ZOO

from rnn_control import GRU, LipschitzRNN, codegen
from rnn_control.codegen import c_source
from rnn_control.trace import Untraceable


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RNN_CONTROL_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture
def traced(monkeypatch):
    """The cells that were traced."""
    cells, trace = [], codegen.trace
    monkeypatch.setattr(codegen, "trace", lambda model, wrt: cells.append(model) or trace(model, wrt))
    return cells


def source(model):
    return c_source(model, tuple(model.theta()))


@pytest.mark.parametrize("kind", ZOO)
def test_cell_is_traced_once(kind, traced):
    texts = {source(ZOO[kind](2, 1, 3, seed=seed)) for seed in range(2)}
    assert len(texts) == len(traced) == 1


class Leaky(GRU):
    def f(self, p, x, u):
        return 0.999 * super().f(p, x, u)


class OnlyTensors(GRU):
    def f(self, p, x, u):
        return super().f(p, x, u) * torch.full((self.nx, 1), 0.5, dtype=x.dtype)


OTHERS = {
    "equation": lambda: Leaky(1, 1, 3),
    "size": lambda: GRU(1, 1, 4),
    "inputs": lambda: GRU(2, 1, 3),
    "constant": lambda: LipschitzRNN(1, 1, 3, step=0.25),
}


@pytest.mark.parametrize("change", OTHERS)
def test_another_cell_is_another_text(change):
    near = LipschitzRNN(1, 1, 3) if change == "constant" else GRU(1, 1, 3)
    first = source(near)
    assert source(OTHERS[change]()) != first == source(near)


def test_other_parameters_to_train_are_another_text():
    model = GRU(1, 1, 3)
    assert c_source(model, ("C",)) != c_source(model, ("C", "b_y"))


def test_another_printer_prints_again(traced, monkeypatch):
    source(GRU(1, 1, 3))
    monkeypatch.setattr(codegen, "own", lambda name, own=codegen.own: own(name) + "/* newer */")
    source(GRU(1, 1, 3))
    assert len(traced) == 2


def test_cell_without_equations_in_words_is_traced_every_time(traced, empty_cache):
    model = OnlyTensors(1, 1, 3)
    assert codegen.ingredients(model, tuple(model.theta())) is None
    for _ in range(2):
        with pytest.raises(Untraceable):
            source(model)
    assert len(traced) == 2 and not list(empty_cache.iterdir())
