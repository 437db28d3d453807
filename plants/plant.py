"""Plant: a first-principles process in continuous time, and what one can do with it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import casadi as ca
import control
import numpy as np

from .experiment import experiment
from .ports import Ports, vector
from .process import Process
from .records import Constant, OperatingPoint, Run
from .sampled import SampledSystem, check_dt, cvodes_integrator, rk4_step
from .steady import steady_state


@dataclass(frozen=True)
class Plant(Ports, ABC):
    """dx/dt = ode(x, u, d), y = output(x), t in s; every signal in the unit it is declared with.

    Subclasses are frozen dataclasses: each field is a physical constant (see `constants`), so
    that VanDeVusse(Kw=3500.0) is another reactor. The first operating point is the nominal one.
    """

    operating_points: ClassVar[Mapping[str, OperatingPoint]]
    step: ClassVar[Callable[[ca.Function, float, float], ca.Function]] = staticmethod(
        rk4_step
    )  # stiff: rosenbrock_step
    substep: ClassVar[float]  # s, largest such step that keeps f within 1e-6 of CVODES
    sampling_time: ClassVar[float]  # s, recommended: a tenth of the slow modes, or what its source uses

    @abstractmethod
    def ode(self, x: ca.SX, u: ca.SX, d: ca.SX) -> ca.SX:
        """dx/dt (nx,) in state units per second, from x (nx,), u (nu,), d (nd,)."""

    @abstractmethod
    def output(self, x: ca.SX) -> ca.SX:
        """y (ny,) from x (nx,), noise-free."""

    @property
    def nominal(self) -> OperatingPoint:
        """The first operating point."""
        return next(iter(self.operating_points.values()))

    @property
    def constants(self) -> tuple[Constant, ...]:
        """The physical constants of this plant, with unit, meaning and source."""
        return tuple(Constant(f.name, getattr(self, f.name), **f.metadata) for f in fields(self))

    def ode_function(self) -> ca.Function:
        """(x, u, d) -> dx/dt, per second, as a CasADi function."""
        x, u, d = ca.SX.sym("x", self.nx), ca.SX.sym("u", self.nu), ca.SX.sym("d", self.nd)
        return ca.Function("ode", [x, u, d], [self.ode(x, u, d)], ["x", "u", "d"], ["dxdt"])

    def output_function(self) -> ca.Function:
        """x -> y as a CasADi function."""
        x = ca.SX.sym("x", self.nx)
        return ca.Function("g", [x], [self.output(x)], ["x"], ["y"])

    def simulator(self, dt: float) -> ca.Function:
        """CasADi integrator over dt (s) by CVODES: call it as simulator(x0=x, p=[u; d])["xf"]."""
        return cvodes_integrator(self.ode_function(), check_dt(dt))

    def discretise(
        self, dt: float, d: Mapping[str, float] | None = None, substep: float | None = None
    ) -> SampledSystem:
        """The plant as a System with sampling time dt (s), at disturbances d (else nominal).

        substep: s, of the integrator inside f; default: the plant's own, for f within 1e-6 of `simulator`. A controller
        or an observer can do with a longer one, and is as much faster: the error falls with its fourth power.

        Raises: ValueError for a dt or substep that is not positive and finite, or an unknown disturbance.
        """
        substep = self.substep if substep is None else check_dt(substep, "substep")
        step = self.step(self.ode_function(), check_dt(dt), substep)
        kind: Any = ca.SX if step.is_a("SXFunction") else ca.MX
        x, u = kind.sym("x", self.nx), kind.sym("u", self.nu)
        x_next = step(x, u, self.disturbance_vector(d))
        return SampledSystem(
            f=ca.Function("f", [x, u], [x_next], ["x", "u"], ["x_next"]),
            g=self.output_function(),
            dt=float(dt),
            x0=self.equilibrium(self.nominal.u, d),
            x_names=self.x_names,
            u_names=self.u_names,
            y_names=self.y_names,
            x_units=self.x_units,
            u_units=self.u_units,
            y_units=self.y_units,
            u_min=self.u_min,
            u_max=self.u_max,
        )

    def equilibrium(
        self,
        u: Sequence[float] | np.ndarray,
        d: Mapping[str, float] | None = None,
        guess: Sequence[float] | np.ndarray | None = None,
    ) -> np.ndarray:
        """x (nx,) with ode(x, u, d) = 0, physically possible, searched from `guess`.

        Without a guess the search starts at the nominal operating point. Raises ValueError where
        no equilibrium is found.
        """
        u = vector(u, self.u_names, "u")
        start = self.check_state(self.nominal.x if guess is None else guess)
        x, fault = steady_state(self.ode_function(), start, u, self.disturbance_vector(d))
        fault = fault or self.impossible(x)
        if fault:
            raise ValueError(
                f"no equilibrium of {self.name} found at u = {u.tolist()}: {fault}; "
                f"try another u, or a guess nearer to the equilibrium"
            )
        return x

    def linearise(
        self,
        x: Sequence[float] | np.ndarray,
        u: Sequence[float] | np.ndarray,
        d: Mapping[str, float] | None = None,
    ) -> control.StateSpace:
        """Deviations about (x, u), t in s: A = d ode/dx, B = d ode/du, C = d output/dx, D = 0."""
        x, u = self.check_state(x), vector(u, self.u_names, "u")
        A, B, _ = self.ode_function().jacobian()(x, u, self.disturbance_vector(d), 0)
        C = self.output_function().jacobian()(x, 0)
        A, B, C = (np.asarray(ca.densify(M)) for M in (A, B, C))
        return control.StateSpace(
            *(A, B, C, np.zeros((self.ny, self.nu))),
            states=list(self.x_names),
            inputs=list(self.u_names),
            outputs=list(self.y_names),
            name=self.name,
        )

    def process(
        self,
        dt: float,
        x0: Sequence[float] | np.ndarray | None = None,
        noise: bool = True,
        d: Mapping[str, float] | None = None,
        seed: int = 0,
    ) -> Process:
        """The plant running in steps of dt (s), for a controller to be tried on.

        x0: initial state (nx,), else the nominal steady state. d: disturbances from k = 0 on;
        with the default x0, a value that is not nominal acts as a step.
        """
        x0 = self.equilibrium(self.nominal.u, self.nominal.d) if x0 is None else x0
        start = self.check_state(x0)
        return Process(self, check_dt(dt), start, self.disturbance_vector(d), noise, seed)

    def experiment(
        self,
        u: np.ndarray | Sequence[np.ndarray],
        dt: float,
        x0: Sequence[float] | np.ndarray | None = None,
        noise: bool = True,
        seed: int = 0,
        disturbances: Mapping[str, float | np.ndarray] | None = None,
    ) -> Run:
        """Apply u (T, nu), or each of a list of such, from x0, and record what is measured.

        disturbances: by name, one value or one a sample (T,). Record i has the noise of seed + i.
        """
        return experiment(self.process(dt, x0, noise), u, seed, disturbances)
