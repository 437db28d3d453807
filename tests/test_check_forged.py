"""Files by hand whose certificates are false: equations of any kind, boxes without width, odd shapes."""

import json
import math

import numpy as np
import pytest

from rnn_control import check

HALF = "x_next = 0.5 * x + u\ny = x"
MEAN = dict(y_mean=[0.0])


def forged(text, parameters=None, sizes=(1, 1, 1), scaler=None, rate=0.6, **claims):
    """(header, tensors, certificate) of these equations in (nu, ny, nx) = sizes; what is not claimed holds easily."""
    nu, ny, nx = sizes
    arrays = {k: np.array(v, "<f8") for k, v in (parameters or {}).items()}
    raw = {k: (v.shape, v.tobytes()) for k, v in arrays.items()}
    scaler = dict(u_mid=[0.0] * nu, u_half=[1.0] * nu, y_std=[1.0] * ny) | (scaler or {})
    labels = dict(dt=None, u_names=["u"] * nu, y_names=["y"] * ny, u_units=[""] * nu, y_units=[""] * ny)
    header = dict(spec=dict(kind="any"), equations=dict(text=text, names={k: k for k in raw}), scaler=scaler, **labels)
    is_iss = claims.get("property") == "iss"
    claims = dict(property="delta_iss", rate=rate, state_box=None, input_box=[[-1.0, 1.0]] * nu) | claims
    claims |= dict(steps_to_forget=math.ceil(math.log(0.01) / math.log(rate)), seconds_to_forget=None)
    norm = dict(scale=[1.0] * nx, blocks=[[nx, "inf"]], metric=None, overshoot=1.0, steady=[[9.0] * (nu + is_iss)] * nx)
    bounds = dict(gain=[[99.0] * nu] * ny, offset=99.0) | claims
    weights = check.weights_hash(header["spec"], header["equations"], raw)
    return header, raw, dict(kind="any", holds=True, weights_sha256=weights, **norm, **labels, **bounds)


TRUE = {
    "linear": forged(HALF),
    "relu, ISS": forged("x_next = 0.5 * relu(x) + u\ny = x", property="iss"),
    "relu of a whole number, ISS": forged("x_next = 0.5 * relu(x + 3)\ny = x", property="iss"),
    "power": forged("x_next = 0.1 * tanh(x) ** 3 + u\ny = x"),
    "one row is added to two": forged("x_next = 0.2 * x + 0.3 * tanh(x[1:])\ny = x[:1]", sizes=(1, 1, 2)),
    "one row multiplies two": forged("x_next = sigmoid(u) * tanh(0.5 * x)\ny = x[:1]", sizes=(1, 1, 2)),
    "one gate for two": forged("x_next = mix(sigmoid(u), 0.2, tanh(0.5 * x))\ny = x[:1]", sizes=(1, 1, 2)),
    "a number is stacked": forged("x_next = 0.5 * vcat(a, x[:1])\ny = x[:1]", dict(a=[[7.0]]), (1, 1, 2)),
    "relu of what is not negative": forged("x_next = 0.5 * relu(relu(x))\ny = x"),
    "nothing but zero": forged("x_next = 0.5 * relu(x)\ny = x", state_box=[0.0]),
    "memory": forged("x_next = 0.5 * x\ny = 3.0 * x", memory=[3.0]),
    "ends": forged(HALF, property="iss", ultimate=[[-2.001, 2.001]], scaler=MEAN),
}

BESIDE_ZERO = "a = relu(x[:1])\nb = relu(x[:1])\nx_next = vcat(0.5 * x[:1], 1.5 * x[1:] + 4.0 * a - 4.0 * b)\ny = x[1:]"

FALSE = {
    "one row is added to two": forged(
        "x_next = vcat(0.0 * x[:1], 0.5 * x[1:]) + 0.2 * x[:1]\ny = x[:1]", sizes=(1, 1, 2)
    ),
    "a number below nothing": forged("x_next = vcat(x[:0], a, 9.0 * x, 0.5 * x)[1:2]\ny = x", dict(a=[[1.0]])),
    "two rows for three": forged("x_next = 0.1 * x + 0.1 * x[1:]\ny = x[:1]", sizes=(1, 1, 3)),
    "a row of numbers is added": forged("x_next = 0.5 * x + a\ny = x", dict(a=[9.0])),
    "a state grows beside relu of zero": forged(BESIDE_ZERO, sizes=(1, 1, 2), state_box=[0.0, "Infinity"]),
    "a row is no column": forged("x_next = a * x\ny = x", dict(a=[[0.1, 0.2]]), (1, 2, 2)),
    "a stack of matrices is none": forged("x_next = 0.5 * x + u\ny = C @ x", dict(C=[[[9.0], [0.1]]]), gain=[[3.0]]),
    "a parameter is called x": forged(HALF, dict(x=[[9.0]])),
    "one argument": forged("x_next = sigmoid(9.0 * x, 0)\ny = x"),
    "one middle for two inputs": forged("x_next = 0.5 * x + u[1:]\ny = x", None, (2, 1, 1), dict(u_mid=[0.0])),
    "one unit for two outputs": forged("x_next = 0.5 * x\ny = vcat(x, x)", None, (1, 2, 1), dict(y_std=[1.0])),
    "one gain for two outputs": forged("x_next = 0.5 * x\ny = vcat(x, x)", None, (1, 2, 1), gain=[[99.0]]),
    "no memory": forged("x_next = 0.5 * x\ny = x", memory=0),
    "less memory than the output has": forged("x_next = 0.5 * x\ny = 3.0 * x", memory=[2.99]),
    "one memory for two outputs": forged("x_next = 0.5 * x\ny = vcat(x, x)", None, (1, 2, 1), memory=[9.0]),
    "ends of a pair": forged(HALF, ultimate=[[-3.0, 3.0]], scaler=MEAN),
    "ends within where it ends up": forged(HALF, property="iss", ultimate=[[-2.0, 1.99]], scaler=MEAN),
    "a mean for each end": forged(
        HALF, property="iss", ultimate=[[-50.0, -40.0]], scaler=dict(y_mean=[[0.0], [-100.0]])
    ),
    "ends of two outputs": forged(HALF, property="iss", ultimate=[[-3.0, 3.0]] * 2, scaler=MEAN),
    "three ends": forged(HALF, property="iss", ultimate=[[-3.0, 3.0, 0.0]], scaler=MEAN),
    "no ends": forged(HALF, property="iss", ultimate=0, scaler=MEAN),
}

POWERS = ["0.1 * x ** n", "n ** x", "2 ** n * x", "n ** n * x", "0.1 * x ** 0", "0.1 * x ** 3.0"]


@pytest.mark.parametrize("file", TRUE.values(), ids=TRUE)
def test_true_certificate_is_proved(file):
    check.prove(*file)


@pytest.mark.parametrize("file", FALSE.values(), ids=FALSE)
def test_false_certificate_is_refused(file):
    with pytest.raises((ValueError, TypeError)):
        check.prove(*file)


@pytest.mark.parametrize("power", POWERS)
@pytest.mark.parametrize("shape", [(1,), (1, 1)])
def test_only_powers_to_whole_numbers_in_the_text_are_read(power, shape):
    """x+ = 0.1 x^n with n = 3 grows from any x above 3.2."""
    with pytest.raises(check.NotChecked):
        check.prove(*forged(f"x_next = {power}\ny = x", dict(n=np.full(shape, 3.0))))


def test_name_that_stands_twice_is_refused(tmp_path, capsys):
    header, raw, c = forged(HALF)
    outer = json.dumps({"__metadata__": {"rnn_control": json.dumps(header)}}).encode()
    (tmp_path / "model").write_bytes(len(outer).to_bytes(8, "little") + outer)
    for more, code in ("", 0), ('"rate": 0.1, ', 1):
        (tmp_path / "c.json").write_text("{" + more + json.dumps(c)[1:])
        assert check.main([str(tmp_path / "model"), str(tmp_path / "c.json")]) == code, capsys.readouterr().out
