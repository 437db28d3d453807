"""Exported models give the same values and Jacobians as the model itself, and come back the same."""

import ctypes
import re
import shutil
import subprocess
import warnings
from dataclasses import replace

import casadi as ca
import control
import numpy as np
import onnx
import onnxruntime
import pytest
import scipy.io
from numpy.testing import assert_allclose, assert_array_equal
from zoo import cascade_of_three, free_run, identified, randomised

from mpc import from_state_space, linear_system
from rnn_control import GRU, NNARX, IdentifiedModel
from rnn_control.interop import (
    from_onnx,
    linearise,
    step_function,
    to_c,
    to_control,
    to_do_mpc,
    to_mat,
    to_matlab,
    to_onnx,
)  # fmt: skip

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of an OPC UA client that is not needed
    import do_mpc

TOL = dict(rtol=1e-12, atol=1e-12)


def points(model: IdentifiedModel, n: int = 5) -> list[tuple[np.ndarray, np.ndarray]]:
    """States and physical inputs."""
    rng = np.random.default_rng(0)
    return [
        (rng.uniform(-0.9, 0.9, model.model.nx), model.scaler.u_out(rng.uniform(-1, 1, model.model.nu)))
        for _ in range(n)
    ]


def expected(model, x, u):
    system = model.to_casadi()
    return np.asarray(system.f(x, u)).ravel(), np.asarray(system.g(x)).ravel()


def jacobians(function: ca.Function, x, u):
    """Dense df/dx, df/du, dg/dx of a step function, signals as columns or rows."""
    X, U = ca.MX.sym("x", x.size), ca.MX.sym("u", u.size)
    out = function(ca.reshape(X, *function.size_in(0)), ca.reshape(U, *function.size_in(1)))
    blocks = [ca.jacobian(ca.vec(out[0]), X), ca.jacobian(ca.vec(out[0]), U), ca.jacobian(ca.vec(out[1]), X)]
    return [np.asarray(ca.densify(b)) for b in ca.Function("J", [X, U], blocks)(x, u)]


def near(model, a, b):
    """Outputs of hundreds of units agree to 1e-12 of their size."""
    assert_allclose(a, b, rtol=1e-12, atol=1e-12 * max(1, np.abs(b).max()))


@pytest.fixture(params=["gru", "three cells in series"])
def physical(request):
    model = GRU(2, 3, 5) if request.param == "gru" else cascade_of_three(2, 3, 4)
    return identified(randomised(model, 1))


COMPILERS = [c for c in ("cc", "gcc", "clang") if shutil.which(c)][:1]


@pytest.mark.parametrize("cc", COMPILERS)
def test_c_equals_the_model(model, cc, tmp_path):
    physical = identified(model)
    source, library = to_c(physical, tmp_path / "cell.c"), tmp_path / "cell.so"
    strict = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-O1"]
    subprocess.run([cc, *strict, "-shared", "-fPIC", source, "-o", library, "-lm"], check=True)
    code = ctypes.CDLL(str(library))
    for x, u in points(physical):
        x_next, y = np.empty(model.nx), np.empty(model.ny)
        for function, *arrays in (("cell_f", x, u, x_next), ("cell_g", x, y)):
            getattr(code, function)(*(a.ctypes.data_as(ctypes.c_void_p) for a in arrays))
        near(physical, x_next, expected(physical, x, u)[0])
        near(physical, y, expected(physical, x, u)[1])


def test_empty_parts_of_a_stack_are_left_out(tmp_path):
    code = to_c(identified(NNARX(1, 1, 3, lags=1)), tmp_path / "cell.c").read_text()
    assert "[0];" not in code and "cat" in code


@pytest.mark.parametrize("cc", COMPILERS)
def test_c_may_write_the_next_state_over_the_present_one(physical, cc, tmp_path):
    source, library = to_c(physical, tmp_path / "1 model.c"), tmp_path / "cell.so"
    subprocess.run([cc, "-shared", "-fPIC", source, "-o", library, "-lm"], check=True)
    [(x, u)], wanted = points(physical, 1), expected(physical, *points(physical, 1)[0])[0]
    ctypes.CDLL(str(library)).model_1_model_f(*(a.ctypes.data_as(ctypes.c_void_p) for a in (x, u, x)))
    near(physical, x, wanted)


def octave(path, x, u):
    """[x_next, y] by Octave itself."""
    shown = ["[" + " ".join(map(repr, a.tolist())) + "]'" for a in (x, u)]
    call = f"[a, b] = {path.stem}({', '.join(shown)}); printf('%.17g ', a, b)"
    done = subprocess.run(["octave-cli", "-q", "--eval", call], cwd=path.parent, capture_output=True, check=True)
    return np.array(done.stdout.split(), float)


def arithmetic(path, x, u):
    """[x_next, y] by a reader of the few forms of MATLAB that are written: matrices, slices, stacks, arithmetic."""
    names = {"x": x[:, None], "u": u[:, None], "tanh": np.tanh, "exp": np.exp, "max": np.maximum, "stack": np.vstack}
    names["matrix"] = lambda text: np.array([row.split() for row in text.split(";")], float)
    for line in path.read_text().splitlines():
        if line.startswith(("function", "%", "end")):
            continue
        name, value = line.removesuffix(";").split(" = ", 1)
        value = re.sub(r"^\[(\D[\w; ]*)\]$", lambda m: f"stack([{m[1].replace(';', ',')}])", value)
        value = re.sub(r"^\[(.*)\]$", r'matrix("\1")' if not value.startswith("stack") else r"[\1]", value)
        value = re.sub(r"(\w+)\((\d+):(\d+)\)", lambda m: f"{m[1]}[{int(m[2]) - 1}:{m[3]}]", value)
        value = re.sub(r"(?<!\.)\*(?!\*)", "@", value).replace(".*", "*").replace("./", "/").replace("0.5 @", "0.5 *")
        names[name] = eval(value, {}, names)
    return np.concatenate([names["x_next"], names["y"]]).ravel()


READERS = [arithmetic, *([octave] if shutil.which("octave-cli") else [])]


@pytest.mark.parametrize("reader", READERS, ids=lambda r: r.__name__)
def test_matlab_function_equals_the_model(physical, reader, tmp_path):
    path = to_matlab(physical, tmp_path / "2nd model.m")
    for x, u in points(physical, 1):
        near(physical, reader(path, x, u), np.concatenate(expected(physical, x, u)))


def test_every_cell_is_written_for_matlab(model, tmp_path):
    physical = identified(model)
    path = to_matlab(physical, tmp_path / "cell")
    for x, u in points(physical, 2):
        near(physical, arithmetic(path, x, u), np.concatenate(expected(physical, x, u)))


def test_mat_file_holds_every_matrix_and_the_scaling(physical, tmp_path):
    found = scipy.io.loadmat(str(to_mat(physical, tmp_path / "weights.mat")))
    theta = {k: v.detach().numpy() for k, v in physical.model.theta().items()}
    kept = {k.removeprefix("cell").replace("_", ".", 1) if k.startswith("cell") else k for k in found}
    assert set(theta) <= kept and found["dt"] == physical.dt
    assert_allclose(found["u_half"].ravel(), physical.scaler.u_half, rtol=0)
    assert found["u_names"].ravel()[1][0] == physical.u_names[1]


def test_onnxruntime_equals_the_model(model, tmp_path):
    physical = identified(model)
    path = to_onnx(physical.to_casadi(), tmp_path / "cell.onnx")
    onnx.checker.check_model(onnx.load(str(path)), full_check=True)
    session = onnxruntime.InferenceSession(str(path))
    for x, u in points(physical):
        found = session.run(["x_next", "y"], {"x": x[None], "u": u[None]})
        for a, b in zip(found, expected(physical, x, u), strict=True):
            near(physical, np.asarray(a)[0], b)


def test_onnx_comes_back_with_the_same_values_and_jacobians(model, tmp_path):
    system = replace(identified(model).to_casadi(), x0=np.full(model.nx, 0.1))
    back = from_onnx(to_onnx(system, tmp_path / "cell.onnx"), system)
    assert_array_equal(back.x0, system.x0)
    for x, u in points(identified(model), 2):
        pairs = zip(jacobians(step_function(back), x, u), jacobians(step_function(system), x, u), strict=True)
        for a, b in [*pairs, (back.f(x, u).full(), system.f(x, u).full()), (back.g(x).full(), system.g(x).full())]:
            near(model, a, b)


def test_python_control_simulates_the_same(physical):
    u = np.stack([u for _, u in points(physical, 12)])
    system = to_control(physical.to_casadi())
    time = physical.dt * np.arange(12)
    response = control.input_output_response(system, time, u.T, np.zeros(physical.model.nx))
    near(physical, response.outputs.T, free_run(physical, u)[1])


def test_linearisation_is_the_slope_and_starts_from_rest(physical):
    system, u = physical.to_casadi(), points(physical, 1)[0][1]
    model = linearise(system, u)
    x = free_run(physical, np.tile(u, (3000, 1)))[0][-1]
    h = 1e-6 * physical.scaler.u_half
    slopes = [(system.f(x, u + d) - system.f(x, u - d)).full().ravel() / (2 * d.sum()) for d in np.diag(h)]
    assert_allclose(model.B, np.transpose(slopes), atol=1e-6 * np.abs(slopes).max())
    steady = model.C @ np.linalg.solve(np.eye(len(x)) - model.A, model.B)
    assert_allclose(model.dcgain(), steady, rtol=1e-9)


def test_linear_model_of_python_control_is_a_system_and_comes_back():
    rng = np.random.default_rng(0)
    A, B, C = 0.3 * rng.normal(size=(3, 3)), rng.normal(size=(3, 2)), rng.normal(size=(2, 3))
    model = control.StateSpace(A, B, C, 0, 5.0, inputs=["F", "Q"], outputs=["T", "c"])
    system = from_state_space(model, [(10, 20), (0, 1)], u0=[15, 0.5], y0=[300, 1])
    mine, x, u = linear_system(A, B, C, 5.0), rng.normal(size=3), rng.normal(size=2)
    assert (system.u_names, system.y_names, system.dt) == (("F", "Q"), ("T", "c"), 5.0)
    near(model, system.f(x, u + [15, 0.5]).full(), mine.f(x, u).full())
    near(model, system.g(x).full().ravel(), [300, 1] + mine.g(x).full().ravel())
    back = linearise(system, [15, 0.5])
    for a, b in ((back.A, A), (back.B, B), (back.C, C)):
        assert_allclose(a, b, **TOL)


def test_continuous_linear_model_is_sampled_with_the_input_held():
    model = control.StateSpace([[-0.5]], [[1.0]], [[1.0]], 0)
    system = from_state_space(model, [(-1, 1)], dt=2.0)
    assert_allclose(system.f([1.0], [1.0]).full(), [[np.exp(-1) + 2 * (1 - np.exp(-1))]], rtol=1e-12)


@pytest.mark.parametrize(
    "change, reason", [(dict(D=1.0), "D ="), (dict(dt=0), "sampling time"), (dict(dt=1), "resamp")]
)
def test_linear_models_that_are_no_system_are_refused(change, reason):
    given = dict(D=0.0, dt=2.0) | change
    model = control.StateSpace(-1, 1, 1, given["D"], given["dt"])
    with pytest.raises(ValueError, match=reason):
        from_state_space(model, [(-1, 1)], dt=2.0 if change.get("dt") else None)


def test_do_mpc_simulates_the_same(physical):
    model = to_do_mpc(physical.to_casadi(), do_mpc.model.Model("discrete", "MX"))
    simulator = do_mpc.simulator.Simulator(model)
    simulator.set_param(t_step=physical.dt)
    simulator.setup()
    u = np.stack([u for _, u in points(physical, 6)])
    x, y = free_run(physical, u)
    simulator.x0 = np.zeros((physical.model.nx, 1))
    measured = np.array([simulator.make_step(row[:, None]).ravel() for row in u[:-1]])  # after the step
    near(physical, measured, y[1:])
    near(physical, np.asarray(simulator.x0.cat).ravel(), x[-2])


@pytest.mark.parametrize("damage", ["absent", "text", "foreign"])
def test_onnx_files_that_are_no_instant_are_refused(damage, tmp_path):
    system, path = identified(GRU(2, 1, 3)).to_casadi(), tmp_path / "x.onnx"
    if damage == "text":
        path.write_text("not a graph")
    if damage == "foreign":
        to_onnx(identified(GRU(1, 1, 3)).to_casadi(), path)
    with pytest.raises((ValueError, FileNotFoundError), match="no ONNX|needed are"):
        from_onnx(path, system)
