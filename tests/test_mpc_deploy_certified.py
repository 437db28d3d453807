"""The controller in C99 has the certified observers of gated networks."""

from functools import partial
from typing import Any

import pytest
from controllers import no_compiler
from deployed import SANITISE, Blind, recorded, replayed, tight
from zoo import identified

from mpc import NMPC, CertifiedObserver, export_c
from mpc.deploy import STRICT
from rnn_control import GRU, LSTM, design_observer


@pytest.fixture(autouse=True)
def numpy_solver(monkeypatch):
    """What is replayed was computed by NumPy, which needs no compiling."""
    no_compiler(monkeypatch)


NOTHING: Any = None


def gated(factory, u0=None, **options):
    """Controller, certified observer and record of a model with gains in its gates; every third sample is missing."""
    design = design_observer(identified(factory(2, 2, 3, seed=3)))
    c = tight(design.system, measured=design.innovations, **options)
    return c, *recorded(c, partial(Blind, measured=design.innovations), observe=CertifiedObserver, u0=u0)


@pytest.mark.parametrize("start", [None, 0.3])
@pytest.mark.parametrize("factory", [GRU, LSTM])
def test_gated_observers_replay_without_measurements_too(factory, start, tmp_path):
    system = identified(factory(2, 2, 3, seed=3)).to_casadi()
    u0 = None if start is None else system.u_min + start * (system.u_max - system.u_min)
    c, observer, record = gated(factory, u0)
    assert observer.x_max.any() and any("missing" in s or "prediction" in s for s in record.status)
    replayed(tmp_path, c, observer, record, flags=SANITISE if start else STRICT, u0=u0)
    assert "mpc_measure" not in (tmp_path / "README").read_text()


def test_a_gated_observer_whose_innovation_the_controller_does_not_know_is_refused(tmp_path):
    design = design_observer(identified(GRU(2, 2, 3, seed=3)))
    with pytest.raises(ValueError, match="measured=design.innovations"):
        export_c(tmp_path, NMPC(design.system, 3), CertifiedObserver(design.system), NOTHING)
