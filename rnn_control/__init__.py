"""Control-oriented system identification with recurrent networks that come with proofs."""

from .adversary import attack
from .against_linear import compare_with_linear
from .certificate import Certificate
from .certify import certify
from .construct import Contracting
from .contract import CertificateError
from .coverage import Coverage, coverage
from .data import Experiment
from .diagnose import Finding, diagnose
from .diagonal import diagonal_metric
from .export import CasadiModel
from .fit import fit
from .fit_result import FitResult
from .forgetting import plot_forgetting
from .identification_report import identification_report
from .identified import IdentifiedModel
from .linear import LinearModel, fit_linear
from .linear_start import start_linear
from .metrics import Score
from .model import Model
from .models import MODELS
from .models.esn import ESN
from .models.gru import GRU
from .models.gru_reset_after import GRUResetAfter
from .models.lipschitz_rnn import LipschitzRNN
from .models.lstm import LSTM
from .models.network import Cascade, Network
from .models.nnarx import NNARX
from .models.ren import REN, LipschitzREN
from .noise import StateNoise
from .observer import ObserverDesign, design_observer
from .pareto import plot_pareto
from .reach import Reached, attack_iss
from .readiness import Readiness, control_readiness
from .repair import Repaired, repair
from .report import Report
from .restarts import Restarts, fit_best
from .scaler import Scaler
from .tightness import Tightness
from .weighting import Huber, MultiplicativeWeights

__all__ = [
    "ESN", "GRU", "LSTM", "MODELS", "NNARX", "REN", "CasadiModel", "Cascade", "Certificate", "CertificateError",
    "Contracting", "Coverage", "Experiment", "Finding", "FitResult", "GRUResetAfter", "Huber", "IdentifiedModel",
    "LinearModel", "LipschitzREN", "LipschitzRNN", "Model", "MultiplicativeWeights", "Network", "ObserverDesign",
    "Reached", "Readiness", "Repaired", "Report", "Restarts", "Scaler", "Score", "StateNoise", "Tightness",
    "attack", "attack_iss", "certify", "compare_with_linear", "control_readiness", "coverage", "design_observer",
    "diagnose", "diagonal_metric", "fit", "fit_best", "fit_linear", "identification_report", "plot_forgetting",
    "plot_pareto", "repair", "start_linear",
]  # fmt: skip
