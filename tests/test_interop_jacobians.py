"""Every tool that a model is handed to has the Jacobians of the model: differences of what the tool computes."""

import ctypes
import shutil
import subprocess
from types import SimpleNamespace

import casadi as ca
import numpy as np
import onnxruntime
import pytest
from numpy.testing import assert_allclose
from test_interop import COMPILERS, arithmetic, do_mpc, jacobians, octave, points
from test_interop_weights import LABELS, SCALER, keras_gru, keras_gru_reset_after, keras_lstm
from zoo import identified, randomised

from mpc import from_state_space
from rnn_control import GRU, LSTM
from rnn_control.interop import (
    from_keras,
    linearise,
    step_function,
    to_acados,
    to_c,
    to_control,
    to_do_mpc,
    to_matlab,
    to_onnx,
)  # fmt: skip


def in_c(model, folder):
    source, library = to_c(model, folder / "cell.c"), folder / "cell.so"
    subprocess.run([COMPILERS[0], "-O1", "-shared", "-fPIC", source, "-o", library, "-lm"], check=True)
    code = ctypes.CDLL(str(library))

    def step(x, u):
        x_next, y = np.empty(model.model.nx), np.empty(model.model.ny)
        for function, *arrays in (("cell_f", x, u, x_next), ("cell_g", x, y)):
            getattr(code, function)(*(np.ascontiguousarray(a).ctypes.data_as(ctypes.c_void_p) for a in arrays))
        return np.concatenate([x_next, y])

    return step


def in_onnxruntime(model, folder):
    session = onnxruntime.InferenceSession(str(to_onnx(model.to_casadi(), folder / "cell.onnx")))
    return lambda x, u: np.concatenate(session.run(None, {"x": x[None], "u": u[None]}), axis=1)[0]


def in_matlab(model, folder):
    path = to_matlab(model, folder / "cell.m")
    return lambda x, u: arithmetic(path, x, u)


def in_octave(model, folder):
    path = to_matlab(model, folder / "cell.m")
    return lambda x, u: octave(path, x, u)


def in_control(model, folder):
    system = to_control(model.to_casadi())
    return lambda x, u: np.concatenate([system.dynamics(0, x, u), system.output(0, x, u)])


def in_do_mpc(model, folder):
    filled = to_do_mpc(model.to_casadi(), do_mpc.model.Model("discrete", "MX"))
    y = [filled._y_expression[f"{name.replace(' ', '_')}_measured"] for name in model.y_names]
    step = ca.Function("step", [filled.x.cat, filled.u.cat], [ca.vertcat(filled._rhs["x"], *y)])
    return lambda x, u: step(x, u).full().ravel()


def in_acados(model, folder):
    filled = to_acados(model.to_casadi(), SimpleNamespace())
    outputs = [filled.disc_dyn_expr, filled.cost_y_expr[: model.model.ny]]
    step = ca.Function("step", [filled.x, filled.u], [ca.vertcat(*outputs)])
    return lambda x, u: step(x, u).full().ravel()


TOOLS = [in_onnxruntime, in_matlab, in_control, in_do_mpc, in_acados]
TOOLS += [in_c] if COMPILERS else []
TOOLS += [in_octave] if shutil.which("octave-cli") else []


@pytest.fixture(params=[GRU, LSTM], ids=["gru", "lstm"])
def physical(request):
    return identified(randomised(request.param(2, 1, 2), 1))


def differences(step, x, u, scale):
    """d step / d (x, scaled u), central."""
    h, n = 1e-5, len(x)
    moves = np.eye(n + len(u)) * h
    ends = [[step(x + s * d[:n], u + s * d[n:] * scale) for s in (1, -1)] for d in moves]
    return np.transpose([(a - b) / (2 * h) for a, b in ends])


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.__name__)
def test_tool_has_the_jacobians_of_the_model(physical, tool, tmp_path):
    [(x, u)], half = points(physical, 1), physical.scaler.u_half
    A, B, C = jacobians(step_function(physical.to_casadi()), x, u)
    found = differences(tool(physical, tmp_path), x, u, half)
    wanted = np.block([[A, B * half], [C, np.zeros((len(C), len(u)))]])
    assert_allclose(found, wanted, rtol=1e-7, atol=1e-8 * max(1, np.abs(wanted).max()))


def test_acados_finds_outputs_and_inputs_for_its_costs(physical):
    filled, [(x, u)] = to_acados(physical.to_casadi(), SimpleNamespace(), "2nd model"), points(physical, 1)
    cost = ca.Function("y", [filled.x, filled.u], [filled.cost_y_expr, filled.cost_y_expr_0])
    y = physical.to_casadi().g(x).full().ravel()
    for found in cost(x, u):
        assert_allclose(found.full().ravel(), [*y, *u], rtol=1e-14)
    assert_allclose(ca.Function("e", [filled.x], [filled.cost_y_expr_e])(x).full().ravel(), y, rtol=1e-14)
    assert filled.name == "model_2nd_model" and filled.x.is_valid_input() and filled.u.is_valid_input()


def test_linear_model_goes_to_python_control_and_back_with_its_jacobians(physical):
    system, (x, u) = physical.to_casadi(), points(physical, 1)[0]
    model = linearise(system, u, x)
    back = from_state_space(model, np.transpose([system.u_min, system.u_max]), u0=u)
    for found, wanted in zip(jacobians(step_function(back), x, u), (model.A, model.B, model.C), strict=True):
        assert_allclose(found, wanted, rtol=1e-14)


KERAS = {"gru": (3, 1, keras_gru), "gru_reset_after": (3, 2, keras_gru_reset_after), "lstm": (4, 1, keras_lstm)}


@pytest.mark.parametrize("kind", KERAS)
def test_jacobians_of_imported_keras_weights_are_those_of_their_equations(kind):
    """Of the third output by all inputs before it; the equations by a complex step, which does not round."""
    (gates, rows, equations), draw, n = KERAS[kind], np.random.default_rng(2).normal, 4
    layer = [0.5 * draw(size=s) for s in ((2, gates * n), (n, gates * n), (rows, gates * n))]
    layer[2], dense, u = layer[2][0] if rows == 1 else layer[2], draw(size=(n, 1)), draw(size=(3, 2))
    system = from_keras(kind, layer, [dense, draw(size=1)], SCALER, **LABELS).to_casadi()
    directions = 1e-30j * np.eye(6).reshape(6, 3, 2)
    wanted = [float(equations(*layer, u + d)[-1].imag @ dense[:, 0]) / 1e-30 for d in directions]
    symbols, x = ca.MX.sym("u", 2, 3), ca.DM(system.x0)
    for k in range(3):
        x = system.f(x, SCALER.u_mid + SCALER.u_half * symbols[:, k])
    slope = ca.Function("slope", [symbols], [ca.jacobian(system.g(x), symbols)])
    assert_allclose(slope(u.T).full()[0], SCALER.y_std[0] * np.array(wanted), rtol=1e-11)
