"""Model predictive control of any System: estimation, targets, NMPC, closed-loop runs."""

from .certified import certified_terminal, minimum_horizon
from .closed_loop import Controller, Process, run
from .delay import with_delay
from .deploy import ExportedController, export_c
from .drawn import MonteCarlo, monte_carlo
from .ekf import EKF, DisturbanceObserver, is_disturbance_detectable
from .innovation import CertifiedObserver
from .integral import IntegralNMPC
from .mhe import MHE
from .nmpc import NMPC
from .observers import Estimate, Observer, OffsetFreeObserver, warm_up
from .pi import PI, Loop
from .plotting import compare
from .record import Record
from .report import closed_loop_report
from .saved import restore_state, save_state
from .stability import Margin, cost_decrease, needed_horizon, robust_margin, stability_report, tube
from .state_space import from_state_space
from .step_result import Prediction, StepResult
from .system import DiscreteSystem, System, linear_system, with_output_disturbance
from .system_process import SystemProcess
from .target import SteadyTarget, Target
from .tuning import StepFit, fit_step, tune_pi

__all__ = [
    "EKF",
    "MHE",
    "NMPC",
    "PI",
    "CertifiedObserver",
    "Controller",
    "DiscreteSystem",
    "DisturbanceObserver",
    "Estimate",
    "ExportedController",
    "IntegralNMPC",
    "Loop",
    "Margin",
    "MonteCarlo",
    "Observer",
    "OffsetFreeObserver",
    "Prediction",
    "Process",
    "Record",
    "SteadyTarget",
    "StepFit",
    "StepResult",
    "System",
    "SystemProcess",
    "Target",
    "certified_terminal",
    "closed_loop_report",
    "compare",
    "cost_decrease",
    "export_c",
    "fit_step",
    "from_state_space",
    "is_disturbance_detectable",
    "linear_system",
    "minimum_horizon",
    "monte_carlo",
    "needed_horizon",
    "restore_state",
    "robust_margin",
    "run",
    "save_state",
    "stability_report",
    "tube",
    "tune_pi",
    "warm_up",
    "with_delay",
    "with_output_disturbance",
]
