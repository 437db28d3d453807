"""Time of a controller's step: ours, each solver, against do-mpc and plain CasADi with IPOPT, on one closed loop.

    python benchmarks/mpc_speed.py [--quick] [--json PATH]

A GRU with nu = ny = 2, N = 20, tracking and move weights, input box, set-point steps. All see the same states, move by
move, of the loop that our compiled solver closes, and start warm; the median over the steps, interleaved, one
thread. A row counts only if its worst cost is within 1e-6 of the best found (that of one iteration is printed).
One iteration a sample, all at once, or prepared: most of it is made when the input has been applied (preparation), and
only the rest when the next state is known (feedback), which is what a step then takes. Both phases are shown, as
shares of the solve of a converged step; the steps around them hold targets and checks, too, and are shown as shares of
a whole converged step. The rivals' work between two steps leaves nothing of ours in the processor's caches, of which a
short call suffers most; what one iteration takes, and loses in closed loop, where nothing else runs:
python benchmarks/mpc_real_time.py --only iteration
Rivals: multiple shooting written by hand for IPOPT; do-mpc 5; the hand-written one with the cell in torch, called by
l4casadi 2 for all stages at once, and Gauss-Newton's Hessian. Those that are not installed are named as absent; acados
is not compared, and named so. l4casadi is built from its source, beside torch, scikit-build, ninja and cmake < 4:
pip install --no-build-isolation --no-deps l4casadi
"""

import argparse
import importlib.util
import json
import os
import tempfile
import time
import warnings
from pathlib import Path

import casadi as ca
import numpy as np
import torch
from stopwatch import Stopwatch

import mpc.compiled
from mpc import NMPC
from rnn_control import GRU, IdentifiedModel, Scaler

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--quick", action="store_true", help="two sizes, few steps")
parser.add_argument("--json", type=Path, help="write the rows here")
args = parser.parse_args()

SIZES = (8, 32) if args.quick else (8, 16, 32, 64)
STEPS = 16 if args.quick else 60
N, HOLD, SKIP = 20, 8, 2  # horizon, samples between set-points, first steps left out (cold starts)
GOALS = {"compiled": {8: 40, 16: 60, 32: 120, 64: 250}, "no compiler": {8: 8, 16: 10, 32: 20, 64: 40}}
# what is timed beside whole steps, and shares of the first, by name and size, that are goals
PHASES = {
    "converged": ("compiled", "solve"),
    "one iteration, at once": ("at once", "solve"),
    "one iteration, prepared: feedback": ("prepared", "solve"),
    "one iteration, prepared: preparation": ("prepared", "prepare"),
}
WHOLE = {"one iteration, at once: whole step": "at once", "one iteration, prepared: whole step": "prepared"}
ITERATION = {("one iteration, prepared: feedback", 32): 0.25}
Q, S = 1.0, 0.1  # weights on outputs and moves, all quantities of order one


QUIET = {"ipopt.print_level": 0, "ipopt.sb": "yes", "print_time": False}


def cell(size):
    return GRU(2, 2, size, seed=1)


def model(size):
    scaler = Scaler(u_mid=[0, 0], u_half=[1, 1], y_mean=[0, 0], y_std=[1, 1])
    names = dict(u_names=("a", "b"), y_names=("y", "z"), u_units=("-", "-"), y_units=("-", "-"))
    return IdentifiedModel(cell(size), scaler, 1.0, **names).to_casadi()


class Ours:
    """A plan of one of our controllers; its solve and its preparation, which is for after the input is applied."""

    def __init__(self, system, **options):
        weights = {"y": Q, "u": 0.0, "du": S}
        self._controller = NMPC(system, N, weights=weights, terminal=None, y_range=1.0, **options)
        self.solve, self.prepare = Stopwatch(self._controller._solvers, "solve"), Stopwatch(self._controller, "prepare")

    def __call__(self, x, u, r):
        result = self._controller.step(x, None, r, u)
        return result.predicted.u, result.ok


def without_compiler(system):
    found, mpc.compiled.find_compiler = mpc.compiled.find_compiler, lambda: None
    try:
        return Ours(system)
    finally:
        mpc.compiled.find_compiler = found


def plain(system):
    """CasADi's own derivatives, the first and the second."""
    return shooting(system, lambda X, U: ca.horzcat(*(system.f(X[:, k], U[:, k]) for k in range(N))), {})


def shooting(system, stages, options):
    """Multiple shooting, started from its last solution one step later; stages: X (nx, N), U (nu, N) -> all x_next."""
    U, X, p = ca.MX.sym("U", 2, N), ca.MX.sym("X", system.nx, N), ca.MX.sym("p", system.nx + 4)
    x, last, r, cost = p[:-4], p[-4:-2], p[-2:], 0
    for k in range(N):
        cost += Q * ca.sumsqr(system.g(X[:, k]) - r) + S * ca.sumsqr(U[:, k] - last)
        last = U[:, k]
    defects = stages(ca.horzcat(x, X[:, :-1]), U) - X
    nlp = {"x": ca.veccat(U, X), "p": p, "f": cost, "g": ca.vec(defects)}
    options = {name: make(nlp) for name, make in options.items()}
    solver = ca.nlpsol("plain", "ipopt", nlp, {**QUIET, **options})
    free = np.full(N * system.nx, np.inf)
    low, high = (np.concatenate([np.tile(b, N), s * free]) for b, s in ((system.u_min, -1), (system.u_max, 1)))
    state = {"z": np.zeros(2 * N + N * system.nx)}

    def plan(x, u, r):
        found = solver(x0=state["z"], p=np.concatenate([x, u, r]), lbx=low, ubx=high, lbg=0, ubg=0)
        z = found["x"].full().ravel()
        U, X = z[: 2 * N].reshape(N, 2), z[2 * N :].reshape(N, -1)
        state["z"] = np.concatenate([U[1:].ravel(), U[-1], X[1:].ravel(), X[-1]])
        return U, solver.stats()["success"]

    return plan


class Rows(torch.nn.Module):
    """[x' u'] -> x_next', one sample a row, in single precision, which is l4casadi's."""

    def __init__(self, cell):
        super().__init__()
        self.cell = cell.float()

    def forward(self, z):
        x, u = z.T.split([self.cell.nx, self.cell.nu])
        return self.cell.f(self.cell.theta(), x, u).T


def l4casadi_rival(system):
    """One call of torch for all stages; of second derivatives CasADi 3.8 asks one that l4casadi 2.0 does not have."""
    import l4casadi

    rows = Rows(cell(system.nx))
    called = l4casadi.L4CasADi(rows, batched=True, name=f"gru{system.nx}", build_dir=tempfile.mkdtemp())
    return shooting(system, lambda X, U: called(ca.horzcat(X.T, U.T)).T, {"hess_lag": gauss_newton})


def gauss_newton(nlp):
    """Hessian of the cost alone."""
    lam_f, lam_g = ca.MX.sym("lam_f"), ca.MX.sym("lam_g", nlp["g"].numel())
    given = [nlp["x"], nlp["p"], lam_f, lam_g], [ca.triu(lam_f * ca.hessian(nlp["f"], nlp["x"])[0])]
    return ca.Function("hess_lag", *given, ["x", "p", "lam_f", "lam_g"], ["triu_hess_gamma_x_x"])


def do_mpc_rival(system):
    import do_mpc

    m = do_mpc.model.Model("discrete", "MX")
    x = m.set_variable("_x", "x", (system.nx, 1))
    u = m.set_variable("_u", "u", (2, 1))
    m.set_variable("_tvp", "r", (2, 1))
    m.set_rhs("x", system.f(x, u))
    m.setup()
    c = do_mpc.controller.MPC(m)
    c.settings.n_horizon, c.settings.t_step, c.settings.store_full_solution = N, 1.0, False
    c.settings.nlpsol_opts = QUIET
    error = Q * ca.sumsqr(system.g(m.x["x"]) - m.tvp["r"])
    c.set_objective(mterm=Q * ca.sumsqr(system.g(m.x["x"]) - m.tvp["r"]), lterm=error)
    c.set_rterm(u=S)
    c.bounds["lower", "_u", "u"], c.bounds["upper", "_u", "u"] = system.u_min, system.u_max
    template = c.get_tvp_template()
    c.set_tvp_fun(lambda _: template)
    c.setup()
    c.set_initial_guess()

    def plan(x, u, r):
        template["_tvp", :, "r"] = r
        c.u0 = u
        c.make_step(x)
        U = np.array([c.opt_x_num["_u", k, 0].full().ravel() for k in range(N)]) * c.opt_x_scaling["_u", 0, 0].full().T
        return U, c.solver_stats["success"]

    return plan


def cost_of(system, x, u, r, U):
    total = S * ((np.diff(np.vstack([u, U]), axis=0)) ** 2).sum()
    for u_k in np.clip(U, system.u_min, system.u_max):
        x = system.f(x, u_k).full().ravel()
        total += Q * ((system.g(x).full().ravel() - r) ** 2).sum()
    return float(total)


def run(system, plans):
    """Times in ms (steps, controllers), costs, whether each said it had solved, and times of the PHASES (steps, 4).

    The first closes the loop.
    """
    rng, order = np.random.default_rng(0), np.random.default_rng(1)
    x, u, times, costs, solved, phases = np.array(system.x0), np.zeros(2), [], [], [], []
    low, high = (np.quantile(outputs(system), q, axis=0) for q in (0.1, 0.9))
    for k in range(STEPS):
        if k % HOLD == 0:
            r = rng.uniform(low, high)
        row = []
        for name in order.permutation(list(plans)):
            start = time.perf_counter()
            U, ok = plans[name](x, u, r)
            row.append((name, 1e3 * (time.perf_counter() - start), cost_of(system, x, u, r, U), ok, U[0]))
        found = {name: rest for name, *rest in row}
        times.append([found[n][0] for n in plans])
        costs.append([found[n][1] for n in plans])
        solved.append([found[n][2] for n in plans])
        u = np.clip(found[next(iter(plans))][3], system.u_min, system.u_max)
        plans["prepared"].prepare()
        phases.append([1e3 * getattr(plans[name], phase).last for name, phase in PHASES.values()])
        x = system.f(x, u).full().ravel()
    return tuple(np.array(found)[SKIP:] for found in (times, costs, solved, phases))


def outputs(system):
    """Outputs met under inputs held at random levels: the range that set-points are drawn from."""
    rng, x, ys = np.random.default_rng(1), np.array(system.x0), []
    for u in np.repeat(rng.uniform(system.u_min, system.u_max, (30, 2)), 20, 0):
        x = system.f(x, u).full().ravel()
        ys.append(system.g(x).full().ravel())
    return np.array(ys)


os.environ["RNN_CONTROL_CACHE"] = tempfile.mkdtemp()
warnings.filterwarnings("ignore", message="The opcua feature is not available")
makers = {
    "compiled": Ours,
    "no compiler": without_compiler,
    "at once": lambda system: Ours(system, iterations=1),
    "prepared": lambda system: Ours(system, iterations=1),
    "fatrop": lambda system: Ours(system, solver="fatrop"),
    "our IPOPT": lambda system: Ours(system, solver="ipopt"),
    "plain IPOPT": plain,
}
rivals = {"do-mpc": ("do_mpc", do_mpc_rival), "l4casadi": ("l4casadi", l4casadi_rival)}
absent = [name for name, (module, _) in rivals.items() if importlib.util.find_spec(module) is None]
makers |= {name: make for name, (_, make) in rivals.items() if name not in absent}
has_do_mpc = "do-mpc" in makers
rival = "do-mpc" if has_do_mpc else "plain IPOPT"
print(f"ms a step, median (99 %), N = {N}, over {STEPS - SKIP} steps; ratio to {rival}; worst excess cost, relative")
rows = []
for size in SIZES:
    system, plans, built = model(size), {}, {}
    for name, make in makers.items():
        start = time.perf_counter()
        plans[name] = make(system)
        built[name] = time.perf_counter() - start
    times, costs, solved, phases = run(system, plans)
    excess = (costs - costs.min(1, keepdims=True)) / (1 + costs.min(1, keepdims=True))
    for i, name in enumerate(plans):
        median, p99 = np.median(times[:, i]), np.percentile(times[:, i], 99)
        ratio = np.median(times[:, list(plans).index(rival)]) / median
        worst, share = excess[:, i].max(), solved[:, i].mean()
        goal = GOALS.get(name, {}).get(size) if has_do_mpc else None
        met = None if goal is None else bool(ratio >= goal and worst < 1e-6 and share == 1)
        speed = f"{median:9.2f} ({p99:9.2f}) {ratio:7.1f} x   goal {goal or '-':>4}"
        quality = f"excess {worst:.1e}   solved {share:4.0%}   built in {built[name]:.2f} s"
        print(f"n = {size:<3d} {name:12s} {speed}   {quality}")
        row = dict(name=f"{name}, n = {size}", value=median, unit="ms", rival=rival, ratio=ratio, goal=goal, met=met)
        rows += [row, dict(row, name=f"{name}, n = {size}, build", value=built[name], unit="s", ratio=None, goal=None)]
        rows[-1]["met"] = None
    converged, *parts = np.median(phases, axis=0)
    shares = [(name, median, "solve", converged) for name, median in zip(list(PHASES)[1:], parts, strict=True)]
    whole = dict(zip(plans, np.median(times, axis=0), strict=True))
    shares += [(name, whole[plan], "step", whole["compiled"]) for name, plan in WHOLE.items()]
    for name, median, what, rest in shares:
        goal, ratio = ITERATION.get((name, size)), median / rest
        met = None if goal is None else bool(ratio <= goal)
        print(f"n = {size:<3d} {name:42s} {median:9.3f} ms   {ratio:.2f} of a converged {what}   goal {goal or '-'}")
        row = dict(name=f"{name}, n = {size}", value=median, unit="ms", rival=f"converged {what}", ratio=ratio)
        rows.append(row | dict(goal=goal, met=met))
acados = "absent" if importlib.util.find_spec("acados_template") is None else "installed, but no adapter is written"
words = dict.fromkeys(absent, "absent") | {"acados": acados}
for name, why in words.items():
    print(f"{name}: {why}, not compared" + ("; goals are ratios to it" if name == "do-mpc" else ""))
    rows.append(dict(name=name, value=None, unit="ms", rival="absent", ratio=None, goal=None, met=None))
if args.json:
    args.json.write_text(json.dumps(rows, indent=1))
