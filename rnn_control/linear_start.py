"""A linear model as the start of a network: the cell is made to equal it for small signals, exactly where it can."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.linalg import lstsq
from scipy.linalg import solve_discrete_lyapunov

from .linear import LinearModel
from .model import Model, Params
from .models.gru import GRU
from .models.gru_reset_after import GRUResetAfter
from .models.lipschitz_rnn import LipschitzRNN
from .models.lstm import LSTM
from .models.nnarx import NNARX
from .models.ren import REN
from .realisation import LEAST, no_slower, triangular
from .subspace import StateSpace

AMPLITUDE = 0.1
"""Size of the signals inside a tanh of the start: tanh(0.1) is 0.3 % off, which an oscillation may amplify."""


@torch.no_grad()
def start_linear(model: Model, linear: LinearModel, amplitude: float = AMPLITUDE) -> Model:
    """Set the parameters so that the free run is that of the linear model, and return the model, for `fit`.

    States beyond the order of the linear model keep what they were drawn, unread and uncoupled. An order beyond the
    states of the cell is reduced by balanced truncation first. `fit` must use the same training records and input box.
    A certificate asked for afterwards may shrink the start; a REN has its own by construction. amplitude: size of the
    signals inside the tanh: the smaller, the nearer to the linear model, and the farther from anything nonlinear.
    Raises ValueError for cells that have no such start.
    """
    if (model.nu, model.ny) != (len(linear.u_names), len(linear.y_names)):
        raise ValueError(
            f"the model has nu = {model.nu}, ny = {model.ny}, the linear one {len(linear.u_names)} inputs and "
            f"{len(linear.y_names)} outputs"
        )
    imitate(model, triangular(linear.system, linear_states(model)), amplitude)
    return model


@torch.no_grad()
def imitate(model: Model, system: StateSpace, amplitude: float) -> None:
    """`start_linear` in the coordinates of the system, of order `linear_states` at most; they are scaled only."""
    start = next((STARTS[kind] for kind in type(model).__mro__ if kind in STARTS), None)
    if start is None:
        names = ", ".join(kind.__name__ for kind in STARTS)
        raise ValueError(f"no linear start is known for {model.kind}; there is one for {names}")
    start(model, system, amplitude)


def linear_states(model: Model) -> int:
    """Order of the linear models that the cell can imitate."""
    return model.nx // 2 if isinstance(model, LSTM) else model.nx


def _scaled(s: StateSpace, size: Callable, amplitude: float) -> StateSpace:
    """Every state scaled so that `size` of it, an array (n,), is the amplitude."""
    return s.transformed(np.diag(amplitude / np.maximum(size(s), 1e-9)))


def _reached(s: StateSpace) -> np.ndarray:
    """Root of the state covariance, (n,), under white inputs of variance one third, and under constant ones of one."""
    white = np.sqrt(np.maximum(solve_discrete_lyapunov(s.A, s.B @ s.B.T).diagonal(), 0) / 3)
    held = abs(np.linalg.solve(np.eye(len(s.A)) - s.A, s.B)).sum(1)
    return np.maximum(white, held)


def _set(target: torch.Tensor, value: np.ndarray, rows: int, columns: int | None = None):
    """The block of the linear states; what couples them with the others is zero."""
    block = torch.from_numpy(np.array(value, dtype=float))
    if columns is None:
        target[:rows] = block
        return
    target[:rows], target[:, :columns] = 0, 0
    target[:rows, :columns] = block


def _read(model, s: StateSpace, weight: float = 1.0):
    n = len(s.A)
    model.C.zero_()
    model.C[:, :n] = torch.from_numpy(s.C / weight)
    model.b_y[:, 0] = torch.from_numpy(s.b)


def _keep(s: StateSpace) -> np.ndarray:
    """Gates that keep as much of each state as A does: the tanh then carries the input alone."""
    return np.clip(s.A.diagonal(), LEAST, 0.9995)


def _gated(model, s: StateSpace, keep, write, read, input_weights, state_weights, state_gate: float, amplitude: float):
    """x+ = keep x + write (Wc u + state_gate Uc x) equals A x + B u; gates that are not named stay constant."""
    n = len(s.A)
    argument = (abs(s.B).sum(1) + amplitude * abs(s.A - np.diag(keep)).sum(1)) / write
    s = s.transformed(min(1.0, amplitude / argument.max()) * np.eye(n))
    _set(input_weights, s.B / write[:, None], n)
    _set(state_weights, (s.A - np.diag(keep)) / (write[:, None] * state_gate), n, n)
    _read(model, s, read)


def _constant(gates, n: int):
    """Gates (W, U, b, value): the sigmoid equals value (n,) whatever comes in."""
    for W, U, b, value in gates:
        W[:n], U[:n], U[:, :n] = 0, 0, 0
        b[:n, 0] = torch.from_numpy(np.log(value / (1 - value)))


def _gru(model, system: StateSpace, amplitude, W, U, biases, reset):
    s = _scaled(system, _reached, amplitude)
    n, keep = len(s.A), _keep(s)
    _constant([(model.Wz, model.Uz, model.bz, keep), (*reset, np.full(n, 0.5))], n)
    for b in biases:
        b[:n] = 0
    _gated(model, s, keep, 1 - keep, 1.0, W, U, 0.5, amplitude)


def _start_gru(model: GRU, system: StateSpace, amplitude: float):
    _gru(model, system, amplitude, model.Wr, model.Ur, [model.br], (model.Wf, model.Uf, model.bf))


def _start_gru_reset_after(model: GRUResetAfter, system: StateSpace, amplitude: float):
    _gru(model, system, amplitude, model.Wn, model.Un, [model.bn, model.bhn], (model.Wr, model.Ur, model.br))


def _start_lstm(model: LSTM, system: StateSpace, amplitude: float):
    s = _scaled(system, _reached, amplitude)
    n, keep = len(s.A), _keep(s)
    half = np.full(n, 0.5)
    gates = [(model.Wf, model.Uf, model.bf, keep), (model.Wi, model.Ui, model.bi, half)]
    _constant([*gates, (model.Wo, model.Uo, model.bo, half)], n)
    model.bc[:n] = 0
    _gated(model, s, keep, half, 0.5, model.Wc, model.Uc, 0.5, amplitude)


def _start_lipschitz_rnn(model: LipschitzRNN, system: StateSpace, amplitude: float):
    """I + step A is the linear A: only the input goes through the tanh."""
    if not 0 < model.beta < 1:
        raise ValueError(f"beta is {model.beta}: A is then symmetric or skew, not any matrix; take 0 < beta < 1")
    size = max(abs(system.B).sum(1).max(), 1e-9)
    s = system.transformed(amplitude * model.step / size * np.eye(len(system.A)))
    n = len(s.A)
    target = (s.A - np.eye(n)) / model.step + model.gamma_A * np.eye(n)
    symmetric, skew = (target + target.T) / 2, (target - target.T) / 2
    _set(model.MA, symmetric / (2 * (1 - model.beta)) + skew / (2 * model.beta), n, n)
    _set(model.MW, np.eye(n) * model.gamma_W / (2 * (1 - model.beta)), n, n)
    _set(model.U, s.B / model.step, n)
    model.b[:n] = 0
    _read(model, s)


def _start_ren(model: REN, system: StateSpace, _: float):
    """Exact: B1 = 0 takes the tanh out; P from the Lyapunov inequality, lam small enough for the C1 that was drawn."""
    s = no_slower(system, 0.999 * model.rate)
    n, p = len(s.A), Params({k: v.detach().clone() for k, v in model.theta().items()})
    A, C, B2 = np.zeros((model.nx, model.nx)), np.zeros((model.ny, model.nx)), p.B2.numpy().copy()
    A[:n, :n], C[:, :n], B2[:n] = s.A, s.C, s.B
    P = solve_discrete_lyapunov(A.T / model.rate, np.eye(model.nx))
    C1 = p.C1.numpy()
    lam = float(min(1.0, model.rate**2 / max(np.linalg.norm(C1, 2) ** 2, 1e-9)))
    given = dict(A=A, B1=np.zeros_like(p.B1), B2=B2, C=C, b_x=np.zeros((model.nx, 1)), b_y=s.b[:, None], P=P)
    zero = {k: torch.zeros_like(v) for k, v in p.items() if k.startswith("D11")}
    made = {k: torch.from_numpy(np.asarray(v, float)) for k, v in given.items()}
    model.start_from(Params({**p, **zero, **made, "lam": torch.full_like(p.lam, lam)}))


def _start_nnarx(model: NNARX, system: StateSpace, amplitude: float, samples: int = 2000):
    """y(k+1) by least squares on the regressors (lags of y, of u, and u) of the linear model's own free run.

    All hidden units carry the same signal, a fifth as large: a slow plant multiplies what the tanh bends by its memory.
    """
    rng = np.random.default_rng(0)
    u = np.repeat(rng.uniform(-1, 1, (samples // 8, model.nu)), 8, 0)
    u += rng.uniform(-0.2, 0.2, u.shape)
    y = system.simulate(np.zeros(len(system.A)), u)
    k = np.arange(model.lags, len(u) - 1)
    blocks = [np.hstack([y[k - model.lags + i], u[k - model.lags + i - 1]]) for i in range(1, model.lags + 1)]
    Phi = np.hstack([*blocks, u[k], np.ones((len(k), 1))])
    weights = lstsq(Phi, y[k + 1], 1e-8)[0].T
    unit = np.arange(len(model.U1)) % model.ny  # which output a hidden unit carries
    carried = weights[unit, :-1] * amplitude / 5
    model.U1.copy_(torch.from_numpy(carried[:, : model.nx]))
    model.W1.copy_(torch.from_numpy(carried[:, model.nx :]))
    model.b1.zero_()
    shares = (unit == np.arange(model.ny)[:, None]) / np.bincount(unit, minlength=model.ny)[:, None] * 5 / amplitude
    model.U0.copy_(torch.from_numpy(shares))
    model.b0[:, 0] = torch.from_numpy(weights[:, -1])


STARTS: dict[type[Model], Callable] = {
    GRU: _start_gru,
    GRUResetAfter: _start_gru_reset_after,
    LSTM: _start_lstm,
    LipschitzRNN: _start_lipschitz_rnn,
    REN: _start_ren,
    NNARX: _start_nnarx,
}
