"""Coordinates in which a comparison system proves a linear model at no price, and cells that keep it there."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from rnn_control import GRU, LSTM, Contracting, Experiment, fit
from rnn_control.linear import LinearModel
from rnn_control.realisation import decoupled, no_slower, polygon, read_again
from rnn_control.scaler import Scaler
from rnn_control.subspace import StateSpace

RNG = np.random.default_rng(0)


def drawn(n, radius):
    A = RNG.normal(size=(n, n))
    A *= radius / abs(np.linalg.eigvals(A)).max()
    return StateSpace(A, RNG.normal(size=(n, 2)), RNG.normal(size=(2, n)), RNG.normal(size=2))


def free_run(system):
    return system.simulate(np.zeros(len(system.A)), np.random.default_rng(1).normal(size=(40, 2)))


@pytest.mark.parametrize("m", [2, 3, 4, 7])
@pytest.mark.parametrize("angle", [0.01, 1.0, 2.5, -0.7])
def test_polygon_is_the_pair_in_more_states(m, angle):
    """Theorem 1 (b)."""
    a, b = 0.9 * np.cos(angle), 0.9 * np.sin(angle)
    M, H = polygon(a, b, m)
    assert_allclose(M @ H, H @ [[a, b], [-b, a]], atol=1e-12)
    assert_allclose(abs(M).sum(1), abs(M[0]).sum())


@pytest.mark.parametrize("m", [2, 3, 4])
@pytest.mark.parametrize("more, is_proved", [(1.02, True), (0.98, False)])
def test_polygon_proves_what_is_damped_more_than_its_number_of_states_asks_for(m, more, is_proved):
    zeta = more * np.sin(np.pi / (2 * m))
    pole = np.exp(0.001 * (-zeta + 1j * np.sqrt(1 - zeta**2)))
    assert (abs(polygon(pole.real, pole.imag, m)[0]).sum(1).max() < 1) == is_proved


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_decoupled_system_is_the_same_one(n):
    system = drawn(n, 0.9)
    same = decoupled(system, n + 3, 10.0)
    assert_allclose(free_run(same), free_run(system), atol=1e-8)


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_decoupled_system_has_the_row_sums_that_were_asked_for(n):
    A = decoupled(drawn(n, 0.999), n + 3, 0.95).A
    assert len(A) <= n + 3 and abs(A).sum(1).max() <= 0.95 + 1e-12


def test_modes_that_are_fast_enough_stay_as_they_are():
    values = np.linalg.eigvals(no_slower(drawn(1, 0.5)._replace(A=np.diag([0.99, -0.7, 0.3])), 0.9).A)
    assert_allclose(sorted(values), [-0.7, 0.3, 0.9])


def test_outputs_are_read_again_as_they_were():
    system, u = drawn(3, 0.8), RNG.normal(size=(200, 2))
    y = system.simulate(np.zeros(3), u)
    again = read_again(system._replace(C=np.zeros((2, 3)), b=np.zeros(2)), [u], [y], [np.ones_like(y)], rounds=30)
    assert_allclose(again.C, system.C, atol=0.01)


CELLS = [lambda: GRU(1, 1, 5), lambda: LSTM(1, 1, 5), lambda: Contracting(LSTM(1, 1, 5), rate=0.99)]


@pytest.mark.parametrize("make", CELLS, ids=["gru", "lstm", "by construction"])
def test_certified_cell_keeps_a_slow_mode_and_a_pair_that_swings(make):
    pole = np.exp(0.1 * (-0.55 + 1j * np.sqrt(1 - 0.55**2)))
    A = np.array([[pole.real, pole.imag, 0.3], [-pole.imag, pole.real, 0.1], [0, 0, 0.985]])
    system = StateSpace(A, 0.1 * np.ones((3, 1)), np.ones((1, 3)), np.zeros(1))
    u = np.repeat(np.random.default_rng(0).uniform(-1, 1, (80, 1)), 5, 0)
    train = Experiment(u, system.simulate(np.zeros(3), u), 2.0)
    scaler = Scaler.fit(train)
    inside = StateSpace(A, system.B * scaler.u_half, system.C / scaler.y_std, (system.C @ np.linalg.solve(
        np.eye(3) - A, system.B @ scaler.u_mid) - scaler.y_mean) / scaler.y_std)  # fmt: skip
    labels = (train.u_names, train.y_names, train.u_units, train.y_units)
    linear = LinearModel(inside, scaler, 2.0, *labels)
    result = fit(make(), train, train, linear=linear, epochs=0, polish=0, progress=False)
    assert result.linear_error < 0.01 and result.history["valid"][0] > 0.05
    proof = result.certificate
    assert result.history["valid"][result.best_iteration] < 0.01 and proof is not None and proof.rate < 0.9901


def test_a_delay_whose_modes_cannot_be_told_apart_loses_no_training():
    """A shift register has no modal form: fit then keeps what it found, and the linear score beside it."""
    u = np.repeat(np.random.default_rng(0).uniform(-1, 1, (75, 1)), 4, axis=0)
    record = Experiment(u, np.roll(u, 3, axis=0), 1.0)
    scaler = Scaler.fit(record, u_min=np.array([-1.0]), u_max=np.array([1.0]))
    C, b = np.eye(3)[:1] / scaler.y_std, -scaler.y_mean / scaler.y_std
    shift = StateSpace(np.diag([1.0, 1.0], 1), np.eye(3)[:, 2:], C, b)
    with pytest.raises(np.linalg.LinAlgError):
        decoupled(shift, 3, 0.99)
    linear = LinearModel(shift, scaler, 1.0, record.u_names, record.y_names, record.u_units, record.y_units)
    box = dict(u_min=np.array([-1.0]), u_max=np.array([1.0]))
    result = fit(GRU(1, 1, 3, seed=1), record, linear=linear, epochs=2, polish=3, progress=False, **box)
    assert result.certificate.holds and result.linear_error < 1e-6
