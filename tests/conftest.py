"""The zoos as fixtures. A new architecture overrides `factory` in its own module and inherits every test."""

from functools import cache

import domain
import matplotlib
import pytest
import torch
from checked import FAMILIES, contracted, written
from matplotlib import pyplot as plt
from zoo import ZOO, randomised

from plants import PLANTS
from rnn_control import GRU

matplotlib.use("Agg")
torch.set_num_threads(1)

CONDITIONS = (("delta_iss", "published"), ("delta_iss", "weighted"), ("iss", "published"))


@pytest.fixture(scope="session", autouse=True)
def kernel_cache(tmp_path_factory):
    """Compiled kernels of the tests do not fill the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RNN_CONTROL_CACHE", str(tmp_path_factory.mktemp("kernels")))
        yield


@pytest.fixture(autouse=True)
def figures():
    """A test's figures end with it."""
    yield
    plt.close("all")


@pytest.fixture(params=ZOO, scope="module")
def factory(request):
    """(nu, ny, size, seed=0) -> Model."""
    return ZOO[request.param]


@pytest.fixture
def model(factory):
    """A model of odd sizes with dense parameters."""
    return randomised(factory(2, 3, 5, seed=1), seed=1)


@pytest.fixture(params=PLANTS, scope="module")
def plant(request):
    return PLANTS[request.param]()


@pytest.fixture(params=CONDITIONS, ids="-".join, scope="module")
def certified(factory, request):
    """Random parameter sets that satisfy a condition: a `domain.Sets` per shape."""
    return [domain.sample(factory, *request.param, shape, seed) for seed, shape in enumerate(domain.SHAPES)]


@pytest.fixture(scope="session")
def pairs(tmp_path_factory):
    """name -> `pair` of this family, made when it is first asked for."""
    return cache(lambda name: contracted(name, tmp_path_factory.mktemp(name)))


@pytest.fixture(params=FAMILIES, scope="module")
def pair(request, pairs):
    """(model file, certificate as read from JSON) of a certified model of every family."""
    return pairs(request.param)


@pytest.fixture(scope="module")
def gru_pair(tmp_path_factory):
    """The same of one GRU that needs no contraction."""
    return written(randomised(GRU(2, 2, 3), 1, 0.1), tmp_path_factory.mktemp("gru"), method="weighted")
