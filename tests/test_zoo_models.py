"""What every model owes, whatever its equations: one text in torch, CasADi and C; sizes, seeds, gradients, files."""

import json

import casadi as ca
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from zoo import identified, inputs, randomised, tensors

from rnn_control import ESN, Experiment, IdentifiedModel, certify, fit
from rnn_control.fit import contract
from rnn_control.kernel import Batch, CompiledKernel, LiteralKernel, make_kernel
from rnn_control.model import Params, map_arrays
from rnn_control.models import build
from rnn_control.simulate import simulate

EXACT = dict(rtol=1e-12, atol=1e-12)  # two routes to the same float64 numbers
DIMENSIONS = ((1, 1, 1), (2, 3, 5))  # (nu, ny, size)


def point(model, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(-1, 1, model.nx), rng.uniform(-1, 1, model.nu)


def both(model, p, z):
    """f and g on top of one another, at z = (x, u)."""
    x, u = z[: model.nx, None], z[model.nx :, None]
    return torch.cat([model.f(p, x, u), model.g(p, x)])[:, 0]


def casadi_both(model, p, kind=ca.SX):
    z = kind.sym("z", model.nx + model.nu)
    x, u = z[: model.nx], z[model.nx :]
    return z, ca.vertcat(model.f(p, x, u), model.g(p, x))


def frozen(model):
    return Params({k: v.detach().clone() for k, v in model.theta().items()})


def experiment(truth, seed=0, samples=160):
    """A record of a model."""
    u = identified(truth).scaler.u_out(inputs(np.random.default_rng(seed), samples, truth.nu))
    return Experiment(u, identified(truth).simulate(u), 1.0)


class Conformance:
    """Inherit it, and override the fixture `factory`: tests/test_new_cell.py is an example."""

    def test_casadi_simulation_equals_torch(self, model):
        u = inputs(np.random.default_rng(0), 40, model.nu)
        x, y = simulate(model, frozen(model), torch.from_numpy(point(model)[0]), torch.from_numpy(u))
        z, values = casadi_both(model, map_arrays(model.theta()), ca.MX)
        cell, at = ca.Function("cell", [z], [values]), x[0].numpy()
        rows = []
        for u_k in u:
            rows.append(cell(np.concatenate([at, u_k])).full().ravel())
            at = rows[-1][: model.nx]
        assert_allclose(np.array(rows), torch.cat([x[1:], y], 1).numpy(), **EXACT)

    def test_casadi_jacobian_equals_torch(self, model):
        z0, p = np.concatenate(point(model)), frozen(model)
        z, values = casadi_both(model, map_arrays(model.theta()))
        expected = torch.func.jacrev(lambda z: both(model, p, z))(torch.from_numpy(z0))
        jacobian = ca.Function("J", [z], [ca.jacobian(values, z)])(z0).full()
        assert_allclose(jacobian, expected.numpy(), **EXACT)

    def test_casadi_hessian_equals_torch(self, model):
        z0, p = np.concatenate(point(model)), frozen(model)
        multiplier = np.random.default_rng(1).normal(size=model.nx + model.ny)
        z, values = casadi_both(model, map_arrays(model.theta()))
        scalar = lambda z: torch.from_numpy(multiplier) @ both(model, p, z)  # noqa: E731
        expected = torch.func.jacrev(torch.func.jacrev(scalar))(torch.from_numpy(z0))
        hessian = ca.Function("H", [z], [ca.hessian(ca.dot(multiplier, values), z)[0]])(z0).full()
        assert_allclose(hessian, expected.numpy(), **EXACT)

    @pytest.mark.parametrize("kind", [ca.SX, ca.MX], ids=["SX", "MX"])
    def test_parameters_may_be_symbolic(self, model, kind):
        p = frozen(model)
        symbols = Params({k: kind.sym(k, *v.shape) for k, v in p.items()})
        z, values = casadi_both(model, symbols, kind)
        z0 = np.concatenate(point(model))
        found = ca.Function("cell", [z, *symbols.values()], [values])(z0, *(v.numpy() for v in p.values()))
        assert_allclose(found.full().ravel(), both(model, p, torch.from_numpy(z0)).numpy(), **EXACT)

    def test_batch_equals_one_by_one(self, model):
        rng, p = np.random.default_rng(0), frozen(model)
        x0 = torch.from_numpy(rng.uniform(-1, 1, (4, model.nx)))
        u = torch.from_numpy(rng.uniform(-1, 1, (4, 12, model.nu)))
        x, y = simulate(model, p, x0, u)
        singles = [simulate(model, p, a, b) for a, b in zip(x0, u, strict=True)]
        assert_allclose(x, torch.stack([s for s, _ in singles]), **EXACT)
        assert_allclose(y, torch.stack([s for _, s in singles]), **EXACT)

    def test_f_and_g_read_only_p(self, model):
        p, z = frozen(model), torch.from_numpy(np.concatenate(point(model)))
        before = both(model, p, z)
        randomised(model, 99, 1e3)
        assert torch.equal(both(model, p, z), before)

    def test_output_does_not_see_the_present_input(self, model):
        u = torch.from_numpy(inputs(np.random.default_rng(0), 12, model.nu))
        changed = u.clone()
        changed[5] += 0.5
        x0 = torch.zeros(model.nx, dtype=torch.float64)
        (_, a), (_, b) = simulate(model, frozen(model), x0, u), simulate(model, frozen(model), x0, changed)
        assert torch.equal(a[:6], b[:6]) and not torch.equal(a[6:], b[6:])

    def test_every_parameter_has_a_gradient(self, model):
        u = torch.from_numpy(inputs(np.random.default_rng(0), 16, model.nu))
        _, y = simulate(model, model.theta(), torch.from_numpy(point(model)[0]), u)
        (y**2).sum().backward()
        without = [k for k, v in model.named_parameters() if v.requires_grad and (v.grad is None or not v.grad.any())]
        assert without == []

    @pytest.mark.parametrize("dimensions", DIMENSIONS, ids=str)
    def test_compiled_kernel_equals_the_literal_loop(self, factory, dimensions):
        """Without a C compiler this fails: the fast route is then not proved, and nobody should believe it was."""
        model = randomised(factory(*dimensions), 2)
        fast, slow = make_kernel(model, compiled=True), make_kernel(model, compiled=False)
        assert isinstance(fast, CompiledKernel) and isinstance(slow, LiteralKernel)
        rng, lengths = np.random.default_rng(0), (30, 7, 1)
        data = Batch(
            *([rng.normal(size=(T, n)) for T in lengths] for n in (model.nu, model.ny)),
            [rng.uniform(0, 1, (T, model.ny)) for T in lengths],
        )
        x0 = rng.uniform(-1, 1, (3, model.nx))
        for (xa, ya), (xb, yb) in zip(*(k.simulate(model.theta(), x0, data.u) for k in (fast, slow)), strict=True):
            assert_allclose(np.hstack([xa[:-1], ya]), np.hstack([xb[:-1], yb]), **EXACT)
        (la, ga, sa), (lb, gb, sb) = (k.loss_grad(model.theta(), x0, data) for k in (fast, slow))
        a, b = (
            np.concatenate([[loss], *(v.ravel() for v in g.values()), s.ravel()])
            for loss, g, s in ((la, ga, sa), (lb, gb, sb))
        )
        assert list(ga) == list(gb)
        assert_allclose(a, b, rtol=1e-12, atol=1e-12 * abs(b).max())

    def test_compiled_sensitivities_equal_the_literal_ones(self, factory):
        model, rng = randomised(factory(2, 2, 3), 2), np.random.default_rng(0)
        fast, slow = (make_kernel(model, compiled=compiled) for compiled in (True, False))
        data = Batch(*([rng.normal(size=(T, n)) for T in (20, 7)] for n in (2, 2)), [np.ones((T, 2)) for T in (20, 7)])
        x0 = rng.uniform(-1, 1, (2, model.nx))
        for a, b in zip(*(k.gauss_newton(model.theta(), x0, data) for k in (fast, slow)), strict=True):
            assert_allclose(a, b, rtol=1e-12, atol=1e-12 * np.max(abs(np.asarray(b))))

    def test_saved_and_loaded_model_is_identical(self, model, tmp_path):
        before = identified(model)
        after = IdentifiedModel.load(before.save(tmp_path / "model"))
        u = before.scaler.u_out(inputs(np.random.default_rng(0), 20, model.nu))
        assert all(
            torch.equal(a, b) for a, b in zip(tensors(model).values(), tensors(after.model).values(), strict=True)
        )
        assert_array_equal(after.simulate(u), before.simulate(u))
        labels = ("dt", "u_names", "y_names", "u_units", "y_units", "info")
        assert [getattr(after, k) for k in labels] == [getattr(before, k) for k in labels]

    def test_exported_functions_simulate_alike_in_physical_units(self, model):
        physical = identified(model)
        system = physical.to_casadi()
        u = physical.scaler.u_out(inputs(np.random.default_rng(0), 30, model.nu))
        x, outputs = system.x0, []
        for u_k in u:
            outputs.append(system.g(x).full().ravel())
            x = system.f(x, u_k)
        assert_allclose(outputs, physical.simulate(u), rtol=1e-10)

    @pytest.mark.filterwarnings("ignore:searched for on the first")
    def test_a_few_training_steps_reduce_the_loss(self, factory):
        model, record = factory(2, 3, 5, seed=5), experiment(factory(2, 3, 5, seed=6))
        result = fit(model, record, epochs=4, polish=24, washout=10, progress=False)
        assert result.history["loss"].min() < result.history["loss"][0]
        assert result.certificate.holds

    def test_spec_builds_the_same_architecture(self, model):
        twin = build(json.loads(json.dumps(model.spec())))
        twin.load_state_dict(model.state_dict())
        z = torch.from_numpy(np.concatenate(point(model)))
        assert torch.equal(both(twin, frozen(twin), z), both(model, frozen(model), z))

    def test_seed_decides_the_start(self, factory):
        a, b, c = (
            torch.cat([v.detach().flatten() for v in tensors(factory(2, 2, 4, seed=s)).values()]) for s in (3, 3, 4)
        )
        assert torch.equal(a, b) and not torch.equal(a, c)

    @pytest.mark.parametrize("sizes", [(0, 1, 3), (1, 0, 3), (1, 1, 0), (-1, 1, 3), (1.5, 1, 3), (1, 1, 2.5)], ids=str)
    def test_impossible_sizes_are_refused(self, factory, sizes):
        with pytest.raises(ValueError, match="must be a positive whole number"):
            factory(*sizes)

    def test_starting_parameters_are_certified_or_can_be(self, factory):
        model = factory(2, 2, 4)
        contract(model, "delta_iss", "published", 0.01)
        assert certify(model).holds

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_weights_that_are_not_numbers_are_refused(self, model, value):
        contract(model, "delta_iss", "published", 0.01)
        with torch.no_grad():
            weights = tensors(model)[model.recurrent[-1]]
            weights[(0,) * weights.dim()] = value
        assert not certify(model).holds


class TestZoo(Conformance):
    pass


def test_esn_with_output_feedback_trains_to_a_certified_model():
    """Random parameters in the suite above give every ESN feedback; here the read-out is trained through it."""
    record = experiment(ESN(2, 3, 5, seed=6))
    result = fit(ESN(2, 3, 5, feedback=0.2, seed=5), record, epochs=2, polish=6, washout=10, progress=False)
    assert result.certificate.holds and bool(result.model.model.Wy.any())
