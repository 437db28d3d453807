"""Initial states of the records while training: at rest, free, or read by an encoder from their first samples."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import lsqr

from .identified import IdentifiedModel
from .literal import Batch

SAMPLES = 20
"""That an encoder reads at most."""
SHORTEST = 10
"""Samples of a window that is worth to be cut."""
SPARE = 2
"""Records to each number an encoder reads: with fewer it would learn every record's state by heart."""


@dataclass(frozen=True)
class Starts:
    """x0 = slopes v of all records at once, (S nx,) from the (size,) numbers v that are trained; slopes are sparse.

    is_own: each record has its own, in the unit box, which may remember what no other record shows.
    """

    slopes: Any
    nx: int
    is_own: bool = False

    @property
    def size(self) -> int:
        return self.slopes.shape[-1]

    @property
    def limit(self) -> float:
        """Of |v|."""
        return 1.0 if self.is_own else np.inf

    def states(self, v: np.ndarray) -> np.ndarray:
        """(S, nx)."""
        return (self.slopes @ v).reshape(-1, self.nx)

    def back(self, gradient: np.ndarray) -> np.ndarray:
        """Gradient (size,) from that in the states (S, nx)."""
        return self.slopes.T @ gradient.ravel()

    def nearest(self, x0: np.ndarray) -> np.ndarray:
        """The smallest v whose states are nearest to x0 (S, nx)."""
        return np.clip(lsqr(self.slopes, x0.ravel())[0], -self.limit, self.limit) if self.size else np.zeros(0)


def at_rest(data: Batch, nx: int) -> Starts:
    """x0 = 0."""
    return Starts(sparse.csr_array((len(data.u) * nx, 0)), nx)


def estimated(data: Batch, nx: int) -> Starts:
    """Every record's state is trained along, in the unit box."""
    return Starts(sparse.csr_array(sparse.eye_array(len(data.u) * nx)), nx, is_own=True)


def encoded(data: Batch, nx: int) -> Starts:
    """x0 = E (1, u(0) .. u(s-1), y(0) .. y(s-1)) with one E for all records, which is trained along.

    s: as many samples as the number of records allows, up to SAMPLES. Raises ValueError if there are too few records.
    Reference: G. Beintema, R. Toth, M. Schoukens (2021), "Nonlinear state-space identification using deep encoder
    networks", L4DC; here affine, and of the first samples, so that what it errs decays before a window is scored.
    """
    each, count = data.u[0].shape[1] + data.y[0].shape[1], len(data.u)
    samples = min(SAMPLES, (count // SPARE - 1) // each, *map(len, data.u))
    if samples < 1:
        needed = SPARE * (each + 1)
        length = sum(map(len, data.u)) // needed
        way = f"cut the records, e.g. by window={length}, or" if length >= SHORTEST else "the records are too short:"
        raise ValueError(
            f'initial="encoder" needs {needed} windows or more to learn from, there are {count}: {way} take '
            'initial="estimated"'
        )
    read = np.stack([features(u[:samples], y[:samples]) for u, y in zip(data.u, data.y, strict=True)])
    return Starts(sparse.csr_array(sparse.kron(read, sparse.eye_array(nx))), nx)


STARTS = {"estimated": estimated, "washout": at_rest, "encoder": encoded}
"""Where the initial states of the training records come from."""


def features(u: np.ndarray, y: np.ndarray) -> np.ndarray:
    """What an encoder reads of a window u (s, nu), y (s, ny), normalised."""
    return np.concatenate([[1.0], u.ravel(), y.ravel()])


@dataclass(frozen=True, eq=False)
class Encoder:
    """The state of a model from a past window, by one product instead of the search of `IdentifiedModel.warm_up`.

    matrix (nx, 1 + samples (nu + ny)): of normalised inputs and outputs, as `encoded` trained it.
    """

    model: IdentifiedModel
    matrix: np.ndarray

    @classmethod
    def trained(cls, model: IdentifiedModel, v: np.ndarray) -> "Encoder":
        """From the trained numbers of `encoded`."""
        return cls(model, v.reshape(-1, model.model.nx).T)

    @property
    def samples(self) -> int:
        """That it reads."""
        return (self.matrix.shape[1] - 1) // (self.model.model.nu + self.model.model.ny)

    def initial_state(self, u: np.ndarray, y: np.ndarray) -> np.ndarray:
        """x(0), (nx,), for a window u (T, nu), y (T, ny) in physical units.

        Raises ValueError for a window of other channels, that is too short, or with missing samples.
        """
        u, y, s = np.asarray(u, float), np.asarray(y, float), self.samples
        nu, ny = self.model.model.nu, self.model.model.ny
        if u.shape != (len(u), nu) or y.shape != (len(u), ny) or len(u) < s:
            raise ValueError(f"u is {u.shape}, y {y.shape}; they must be (T, {nu}) and (T, {ny}) with T from {s} on")
        if not (np.isfinite(u[:s]).all() and np.isfinite(y[:s]).all()):
            raise ValueError(
                f"of the first {s} samples some are missing; use the model's warm_up, which leaves them out"
            )
        scaler = self.model.scaler
        return self.matrix @ features(scaler.u_in(u[:s]), scaler.y_in(y[:s]))

    def warm_up(self, u_past: np.ndarray, y_past: np.ndarray) -> np.ndarray:
        """The present state: x at the sample that follows the last of u_past (T, nu), y_past (T, ny)."""
        return self.model.states(u_past, self.initial_state(u_past, y_past))[0][-1]
