"""First-principles processes: equations, steady states, experiments, excitation signals."""

from .coolant_flow_cstr import CoolantFlowCSTR
from .diagnose import Finding, diagnose
from .excitation import aprbs, limit_rate, prbs, random_steps, steps
from .exothermic_cstr import ExothermicCSTR
from .experiment import experiment
from .four_tanks import FourTanksAlvarado, FourTanksJohansson
from .instrumented import Instrumented, Jittered
from .instruments import DeadTime, Drift, Missing, Noise, Quantisation, RateLimit, Saturation
from .multisine import crest_factor, multisine
from .ph_neutralisation import PHNeutralisation
from .plant import Plant
from .process import Process
from .reactors_separator import ReactorsSeparator
from .reactors_separator_liu import ReactorsSeparatorLiu
from .reactors_separator_stewart import ReactorsSeparatorStewart
from .records import Constant, OperatingPoint, Run, Signal, constant
from .sampled import SampledSystem
from .van_de_vusse import VanDeVusse

PLANTS: dict[str, type[Plant]] = {
    "van_de_vusse": VanDeVusse,
    "ph_neutralisation": PHNeutralisation,
    "four_tanks": FourTanksAlvarado,
    "four_tanks_johansson": FourTanksJohansson,
    "exothermic_cstr": ExothermicCSTR,
    "coolant_flow_cstr": CoolantFlowCSTR,
    "reactors_separator": ReactorsSeparator,
    "reactors_separator_stewart": ReactorsSeparatorStewart,
    "reactors_separator_liu": ReactorsSeparatorLiu,
}

__all__ = [
    "PLANTS",
    "Constant",
    "CoolantFlowCSTR",
    "DeadTime",
    "Finding",
    "Drift",
    "ExothermicCSTR",
    "FourTanksAlvarado",
    "FourTanksJohansson",
    "Instrumented",
    "Jittered",
    "Missing",
    "Noise",
    "OperatingPoint",
    "PHNeutralisation",
    "Plant",
    "Process",
    "Quantisation",
    "RateLimit",
    "ReactorsSeparator",
    "ReactorsSeparatorLiu",
    "ReactorsSeparatorStewart",
    "Run",
    "SampledSystem",
    "Saturation",
    "Signal",
    "VanDeVusse",
    "aprbs",
    "constant",
    "crest_factor",
    "diagnose",
    "experiment",
    "limit_rate",
    "multisine",
    "prbs",
    "random_steps",
    "steps",
]
