"""Files written by this version load for ever, to the same numbers, and their certificates are still proved."""

import pytest
from golden import FOLDERS, outputs
from numpy.testing import assert_allclose
from zoo import ZOO

from rnn_control import Certificate, IdentifiedModel, check

# y at the last of 40 samples, as printed when the file was written
GOLDEN = {
    "gru": [188.5511001229003, 246.04977446056103],
    "gru_reset_after": [186.92768891397563, 247.2385930752602],
    "lstm": [191.6324925409349, 243.24174274482837],
    "esn": [184.08436145303818, 246.96807459875714],
    "nnarx": [184.3214324091982, 248.5298174920701],
    "lipschitz_rnn": [190.0046803877149, 245.49414022188157],
    "ren": [186.4530206670207, 247.11842181391643],
    "lipschitz_ren": [185.31029145117805, 248.58976234327542],
    "cascade": [188.35789219951087, 244.1367229532008],
    "network": [188.93204496322514, 246.59085880864058],
}
SINCE = {
    "schema2": {"lipschitz_rnn": [190.01884426702435, 245.62741643530177]},
    "schema5": {
        "ren": [189.6236204040935, 247.92504374139605],
        "lipschitz_ren": [187.18696839908392, 252.77809343454675],
    },
}
"""Other numbers of that folder's files and of younger ones: the kind has other options or parameters since."""


def test_every_kind_has_its_file():
    assert set(GOLDEN) == set(ZOO), "write the file of a new kind: python tests/golden.py KIND"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda f: f.name)
@pytest.mark.parametrize("kind", GOLDEN)
def test_model_file_loads_and_simulates_to_the_same_numbers(kind, folder):
    path = folder / f"{kind}.safetensors"
    assert path.stat().st_size < 20_000
    wanted = GOLDEN
    for older in FOLDERS[: FOLDERS.index(folder) + 1]:
        wanted = wanted | SINCE.get(older.name, {})
    assert_allclose(outputs(IdentifiedModel.load(path)), wanted[kind], rtol=1e-12)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda f: f.name)
@pytest.mark.parametrize("kind", GOLDEN)
def test_certificate_file_loads_and_is_still_proved(kind, folder, capsys):
    path = folder / f"{kind}.json"
    certificate = Certificate.from_json(path.read_text())
    assert certificate.holds and certificate.rate < 0.99
    # files of schema 1 hold no equations
    wanted = (2, "save the model again") if folder == FOLDERS[0] else (0, "PROVED")
    assert check.main([str(path.with_suffix(".safetensors")), str(path)]) == wanted[0]
    assert wanted[1] in capsys.readouterr().out
