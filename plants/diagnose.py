"""What the equations of a plant tell, before any training, against a model that forgets its initial state."""

import math
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import qmc

from .plant import Plant
from .sampled import cvodes_integrator
from .steady import newton

INTEGRATES = 1e-7  # pole, as a share of the fastest: rounding leaves less
SAME = 1e-4  # distance of two equilibria, relative to the size of each state: one and the same
RADIUS = 0.99  # pole of the samples beyond which the rate of a certificate is as good as 1: 99 % forgotten in 460
AT_ONCE = 0.01  # pole of the samples below which nothing is left of a transient
FEW = 6  # guesses, where more have been tried at another input
ALONG = 9  # inputs along the range of a single one
CORNERS = 4  # inputs whose corners are all looked at
SETTLING = 30  # time constants waited for a limit cycle
LOOKS = 200  # samples in which it is looked at
SWING = 1e-3  # of the size of a state: a limit cycle and not the rest of a transient


class Finding(NamedTuple):
    """kind: "integrator", "several equilibria", "limit cycle", "unstable", "too fast" or "too slow".

    text: what was found, and what to do about it.
    """

    kind: str
    text: str

    def __str__(self) -> str:
        return self.text


class Rest(NamedTuple):
    """An equilibrium x (nx,), and its poles in 1/s."""

    x: np.ndarray
    poles: np.ndarray

    @property
    def is_stable(self) -> bool:
        return bool(np.all(np.real(self.poles) < 0))


def diagnose(
    plant: Plant,
    u_min: Any = None,
    u_max: Any = None,
    dt: float | None = None,
    starts: int = 32,
    seed: int = 0,
) -> list[Finding]:
    """Reasons why a deltaISS model cannot represent the plant on a box of inputs, or only badly; empty if none shows.

    u_min, u_max (nu,): the box, default `region`; equal for one input. dt: s, default the recommended sampling time.
    At the middle of the box equilibria are searched from `starts` states between nothing and three times the nominal
    one, temperatures within a quarter of it; at its corners (of the first four inputs), or along it if there is one
    input, from a few of them and what was found before. Nothing found is no proof; a stable cycle around a stable
    equilibrium is not seen.
    """
    low = np.asarray(plant.u_region_min if u_min is None else u_min, dtype=float)
    high = np.asarray(plant.u_region_max if u_max is None else u_max, dtype=float)
    low, high = plant.check_input(low), plant.check_input(high)
    A = np.asarray(plant.linearise(plant.nominal.x, plant.nominal.u).A)
    if _integrates(np.linalg.eigvals(A)):
        return [Finding("integrator", _integrator(plant))]
    guesses, found, stable = _guesses(plant, starts, seed), {}, []
    for u in _inputs(low, high):
        rests = equilibria(plant, u, guesses)
        guesses = np.vstack([*(r.x for r in rests), guesses[:FEW]])
        stable += [r for r in rests if r.is_stable]
        for finding in _at(plant, u, rests):
            found.setdefault(finding.kind, finding)  # the first input says it for all
    return [*found.values(), *_sampling(stable, dt or plant.sampling_time)]


def equilibria(plant: Plant, u: np.ndarray, guesses: np.ndarray) -> list[Rest]:
    """The different, physically possible equilibria at u (nu,) that Newton's method finds from guesses (n, nx)."""
    ode, d, found = plant.ode_function(), plant.disturbance_vector(), []
    size = np.abs(plant.nominal.x) + 1e-6
    for guess in guesses:
        x, is_steady = newton(ode, guess, u, d)
        if is_steady and not plant.impossible(x) and all(np.max(np.abs(x - r.x) / size) > SAME for r in found):
            found.append(Rest(x, plant.linearise(x, u).poles()))
    return found


def _guesses(plant: Plant, starts: int, seed: int) -> np.ndarray:
    """(starts + 1, nx): the nominal state, and a Latin hypercube around it."""
    nominal = np.array(plant.nominal.x)
    is_amount = np.array([s.low == 0.0 for s in plant.states])
    low = np.where(is_amount, 0.01 * nominal, nominal - 0.25 * np.abs(nominal))
    high = np.where(is_amount, 3 * nominal, nominal + 0.25 * np.abs(nominal))
    low, high = (np.clip(v, [s.low for s in plant.states], [s.high for s in plant.states]) for v in (low, high))
    cube = qmc.LatinHypercube(plant.nx, rng=np.random.default_rng(seed)).random(starts)
    return np.vstack([nominal, low + (high - low) * cube])


def _inputs(low: np.ndarray, high: np.ndarray) -> list[np.ndarray]:
    """The middle and the corners of the box, beyond four inputs the rest move with the first; or along a single one."""
    points = [(low + high) / 2]
    if len(low) == 1:
        points += list(np.linspace(low, high, ALONG))
    for bits in product((0, 1), repeat=min(len(low), CORNERS)):
        points.append(np.where(np.resize(bits, len(low)), high, low))
    return [u for i, u in enumerate(points) if not any(np.array_equal(u, v) for v in points[:i])]


def _integrates(poles: np.ndarray) -> bool:
    return bool(np.min(np.abs(poles)) <= INTEGRATES * np.max(np.abs(poles)))


def _at(plant: Plant, u: np.ndarray, rests: list[Rest]) -> list[Finding]:
    """What is wrong at one input (nu,)."""
    where = _values(plant.u_names, u, plant.u_units)
    if len(rests) > 1:
        listed = "; ".join(f"{_state(plant, r.x)}, {'stable' if r.is_stable else 'unstable'}" for r in rests)
        text = (
            f"at {where} {plant.name} has {len(rests)} equilibria ({listed}); a deltaISS model has one rest for each "
            f"input. Keep the inputs where there is one, or start every record, and stay, on one stable branch, or "
            f"identify the plant with a controller around it"
        )
        return [Finding("several equilibria", text)]
    if not rests or rests[0].is_stable:
        return []
    swing = _swing(plant, u, rests[0])
    if swing:
        text = (
            f"at {where} the only equilibrium of {plant.name} ({_state(plant, rests[0].x)}) is unstable and surrounded "
            f"by a limit cycle: {swing}; a deltaISS model comes to rest. Keep the inputs away, or identify the plant "
            f"with a controller around it"
        )
        return [Finding("limit cycle", text)]
    text = (
        f"at {where} the only equilibrium of {plant.name} ({_state(plant, rests[0].x)}) is unstable; two trajectories "
        f"of a deltaISS model meet. Identify the plant with a controller around it"
    )
    return [Finding("unstable", text)]


def _swing(plant: Plant, u: np.ndarray, rest: Rest) -> str:
    """The state that swings most after a small push from an unstable equilibrium, or '' if it leaves or rests."""
    slowest = 1 / np.min(np.abs(rest.poles))
    x = rest.x + 1e-3 * np.abs(rest.x)
    p = np.concatenate([u, plant.disturbance_vector()])
    try:
        x = np.asarray(cvodes_integrator(plant.ode_function(), SETTLING * slowest)(x0=x, p=p)["xf"]).ravel()
        step, trajectory = cvodes_integrator(plant.ode_function(), slowest / 20), []
        for _ in range(LOOKS):
            x = np.asarray(step(x0=x, p=p)["xf"]).ravel()
            trajectory.append(x)
    except RuntimeError:  # the integrator gave up: whatever it does, it does not swing
        return ""
    low, high = np.min(trajectory, axis=0), np.max(trajectory, axis=0)
    i = int(np.argmax((high - low) / (np.abs(rest.x) + 1e-6)))
    if plant.impossible(low) or plant.impossible(high) or high[i] - low[i] < SWING * abs(rest.x[i]):
        return ""
    return f"{plant.x_names[i]} swings between {low[i]:.4g} and {high[i]:.4g} {plant.x_units[i]}"


def _sampling(rests: list[Rest], dt: float) -> list[Finding]:
    """Whether dt suits the slowest and the fastest of the poles of stable equilibria."""
    slow = max((float(np.max(np.real(r.poles))) for r in rests), default=-math.inf)
    pole = math.exp(slow * dt)
    if pole > RADIUS:
        text = (
            f"sampled every {dt:g} s the slowest mode ({-1 / slow:.3g} s) has the pole {pole:.5f}, which forces the "
            f"rate of a deltaISS model to 1; sample every {-0.1 / slow:.2g} s or so"
        )
        return [Finding("too fast", text)]
    if rests and pole < AT_ONCE:
        text = (
            f"sampled every {dt:g} s even the slowest mode ({-1 / slow:.3g} s) is over after a sample; sample every "
            f"{-0.1 / slow:.2g} s or so"
        )
        return [Finding("too slow", text)]
    return []


def _integrator(plant: Plant) -> str:
    A = np.asarray(plant.linearise(plant.nominal.x, plant.nominal.u).A)
    mode = np.abs(np.linalg.svd(A)[2][-1])
    names = ", ".join(name for name, share in zip(plant.x_names, mode, strict=True) if share > 0.1 * mode.max())
    return (
        f"{plant.name} integrates ({names}): it keeps its initial state for ever, which a deltaISS model forgets. "
        f"Identify the change of the integrating output and add it up, or the plant with a controller around it"
    )


def _state(plant: Plant, x: np.ndarray) -> str:
    return _values(plant.x_names[:4], x[:4], plant.x_units[:4]) + (", ..." if plant.nx > 4 else "")


def _values(names: tuple[str, ...], values: np.ndarray, units: tuple[str, ...]) -> str:
    named = zip(names, values, units, strict=True)
    return ", ".join(f"{name} = {value:.5g} {'' if unit == '1' else unit}".rstrip() for name, value, unit in named)
