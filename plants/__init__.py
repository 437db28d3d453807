"""First-principles processes: equations, steady states, experiments, excitation signals."""

from .excitation import aprbs, limit_rate, multisine, prbs, random_steps, steps
from .plant import Plant
from .process import Process
from .records import Constant, OperatingPoint, Run, Signal, constant
from .sampled import SampledSystem
from .van_de_vusse import VanDeVusse

PLANTS: dict[str, type[Plant]] = {
    "van_de_vusse": VanDeVusse,
}

__all__ = [
    "PLANTS",
    "Constant",
    "OperatingPoint",
    "Plant",
    "Process",
    "Run",
    "SampledSystem",
    "Signal",
    "VanDeVusse",
    "aprbs",
    "constant",
    "limit_rate",
    "multisine",
    "prbs",
    "random_steps",
    "steps",
]
