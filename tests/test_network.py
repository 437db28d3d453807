"""Networks of models: wired as the names say, certified as a whole and not block by block."""

import json

import numpy as np
import pytest
import torch
from torch.testing import assert_close
from zoo import inputs, randomised, recycling, tensors

from rnn_control import ESN, GRU, NNARX, REN, Cascade, Network, certify
from rnn_control.literal import Batch, LiteralKernel
from rnn_control.models import build
from rnn_control.readout import fit_readout
from rnn_control.simulate import simulate


def ring(first, second, names=("first", "second")):
    """Two blocks of one output each, both fed back, u entering the first."""
    return Network(["u"], {names[0]: (["u", "b"], first, ["a"]), names[1]: (["a"], second, ["b"])}, ["b"])


def test_blocks_read_what_their_names_say():
    model = randomised(recycling(2, 1, 3), 0, 0.8)
    p = model.theta()
    (_, reactor, q, on_r), (_, separator, s, on_s) = model.parts(p)
    rng = np.random.default_rng(0)
    x, u = (torch.from_numpy(rng.uniform(-1, 1, (n, 1))) for n in (model.nx, 2))
    temperature, composition = reactor.g(q, x[on_r])[[1]], reactor.g(q, x[on_r])[[0]]
    product, recycled = separator.g(s, x[on_s])[[0]], separator.g(s, x[on_s])[[1]]
    expected = [
        reactor.f(q, x[on_r], torch.cat([u, p.recycle * recycled])),
        separator.f(s, x[on_s], torch.cat([temperature, composition])),
    ]
    assert_close(model.f(p, x, u), torch.cat(expected))
    assert_close(model.g(p, x), product)


def test_signals_are_named_and_outputs_among_them():
    model = randomised(recycling(2, 2, 3), 0, 0.5)
    u = torch.from_numpy(inputs(np.random.default_rng(0), 12, 2))
    x, y = simulate(model, model.theta(), torch.zeros(model.nx, dtype=torch.float64), u)
    signals = model.signals(model.theta(), x[:-1].T)
    assert list(signals) == ["composition", "temperature", "product 0", "product 1", "recycled"]
    assert_close(torch.cat([signals["product 0"], signals["product 1"]]).T, y)


def test_cascade_is_the_network_of_its_layers():
    first, last = GRU(2, 3, 4), NNARX(3, 1, 4, lags=2)
    cascade, streams = Cascade(first, last), ["a", "b", "c"]
    network = Network(["u", "v"], {"0": (["u", "v"], first, streams), "1": (streams, last, ["y"])}, ["y"])
    assert list(cascade.state_dict()) == list(network.state_dict()) and "layers.0.Wz" in cascade.state_dict()
    assert certify(cascade).rate == certify(network).rate
    assert cascade.spec()["kind"] == "cascade" and "recycle" not in cascade.theta()


def test_order_of_the_blocks_survives_a_file_that_sorts_names():
    before = randomised(ring(GRU(2, 1, 3), GRU(1, 1, 2), ("z", "a")), 0, 0.5)
    after = build(json.loads(json.dumps(before.spec(), sort_keys=True)))
    after.load_state_dict(before.state_dict())
    x, u = torch.linspace(-0.5, 0.5, 5, dtype=torch.float64)[:, None], torch.ones(1, 1, dtype=torch.float64)
    assert torch.equal(after.f(after.theta(), x, u), before.f(before.theta(), x, u))


def latch(recycle):
    """x+ = x / 2 + tanh(2 y_other) / 2 twice: each contracts with rate 1 / 2, the ring has two stable equilibria."""
    model = randomised(ring(GRU(2, 1, 1), GRU(1, 1, 1)), 0, 0.0)
    with torch.no_grad():
        for name, value in tensors(model).items():
            value.fill_({"Wr": 2.0, "C": 1.0}.get(name.rpartition(".")[2], 0.0))
        model.recycle.fill_(recycle)
    return model


@pytest.mark.parametrize("method", ["published", "weighted"])
def test_ring_of_contracting_blocks_with_two_equilibria_is_refused(method):
    model, x = latch(1.0), torch.tensor([[0.1, -0.1]] * 2, dtype=torch.float64)
    for _ in range(100):
        x = model.f(model.theta(), x, torch.zeros(1, 2, dtype=torch.float64))
    assert float((x[0, 0] - x[0, 1]).detach()) > 1.5
    assert all(certify(block, method=method).holds for _, block in model.models())
    assert not certify(model, method=method).holds and not certify(model, "iss").holds


@pytest.mark.parametrize("method, limit", [("published", 1 / 8), ("weighted", 1 / 4)])
@pytest.mark.parametrize("share", [0.8, 0.99, 1.01])
def test_ring_is_certified_up_to_the_small_gain(share, method, limit):
    # the loop gain is 2 * 2 * recycle; the published condition counts both columns of Wr, 4 * 2 * recycle
    assert certify(latch(share * limit), method=method).holds == (share < 1)


def test_block_in_a_quadratic_norm_leaves_the_weighted_condition():
    model = ring(REN(2, 1, 2), GRU(1, 1, 3))
    assert certify(model, method="weighted").holds and not certify(model, method="published").holds


def test_recycle_without_a_bound_needs_blocks_that_need_none():
    mixed = Network(["u"], {"a": (["u", "b"], ESN(2, 1, 4), ["a"]), "b": (["a"], REN(1, 1, 2), ["b"]),
                            "c": (["b"], GRU(1, 1, 2), ["c"])}, ["c"])  # fmt: skip
    box = mixed.state_box(mixed.theta(), mixed.input_box())
    assert bool(torch.isinf(box).any()) and not bool(torch.isnan(box).any())
    assert certify(ring(ESN(2, 1, 4), ESN(1, 1, 4))).holds and not certify(mixed).holds


GRU_IN = (["u"], GRU(1, 1, 2), ["y"])
WRONG = {
    "nothing writes": dict(blocks={"a": (["v"], GRU(1, 1, 2), ["y"])}),
    "written more than once": dict(blocks={"a": GRU_IN, "b": GRU_IN}),
    "reads 1 signals and writes 1": dict(blocks={"a": (["u"], GRU(2, 1, 2), ["y"])}),
    "a signal twice": dict(blocks={"a": (["u", "u"], GRU(2, 1, 2), ["y"])}),
    "no dot": dict(blocks={"a.b": GRU_IN}),
    "contain an input": dict(blocks={"a": GRU_IN}, outputs=["u"]),
    "leave them out": dict(inputs=["u", "v"], blocks={"a": GRU_IN}),
    "network's output reads": dict(blocks={"a": GRU_IN}, outputs=["z"]),
}


@pytest.mark.parametrize("message", WRONG)
def test_wiring_that_does_not_fit_is_refused(message):
    with pytest.raises(ValueError, match=message):
        Network(**{"inputs": ["u"], "outputs": ["y"], **WRONG[message]})


def test_readouts_of_blocks_are_found_from_the_signals_around_them():
    blocks = {"first": (["u", "b"], GRU(2, 1, 3), ["a"]), "second": (["a"], GRU(1, 1, 3), ["b"])}
    model = randomised(Network(["u"], blocks, ["b", "a"]), 0, 0.5)
    u = inputs(np.random.default_rng(0), 80, 1)
    _, y = simulate(model, model.theta(), torch.zeros(model.nx, dtype=torch.float64), torch.from_numpy(u))
    y, true = y.detach().numpy(), {k: v.clone() for k, v in model.state_dict().items()}
    with torch.no_grad():
        for _, block in model.models():
            block.C.mul_(-3)
    fit_readout(model, LiteralKernel(model, ()), np.zeros((1, model.nx)), Batch([u], [y], [np.ones_like(y)]), 1e-14)
    for k, v in model.state_dict().items():
        assert_close(v, true[k], atol=1e-4, rtol=1e-4)
