"""Bad input is answered in one sentence on stderr, with exit code 2, and leaves no file behind.

Behind most lines stands a complaint about another package: shuffled records, gaps, times that jump, units mixed up,
models used at another sampling time, names that are not known, files that cannot be read, bounds that contradict.
"""

import json
import re

import numpy as np
import pytest
import safetensors.torch
import torch
from zoo import identified, quick_gru

from rnn_control.model_file import SCHEMA, fingerprint
from rnn_control_cli.main import main

FIT = "fit good.csv --inputs F --outputs T"
SIMULATE = "simulate model.safetensors"
MPC = "mpc model.safetensors"

MISTAKES = {
    # line -> part of the answer
    "fitt good.csv": 'no command "fitt"; did you mean "fit"',
    "fit good.csv --inpts F --outputs T --dt 2": "--inputs",
    "fit absent.csv --inputs F --outputs T --dt 2": "absent.csv.*does not exist",
    "fit good.csv --inputs Flow --outputs T --dt 2": "no column .Flow.",
    "fit good.csv --inputs F,,T --outputs T --dt 2": "empty name",
    "fit good.csv --inputs Qc --outputs T --dt 2": 'no column "Qc"; nearest: Q',
    "fit good.csv --inputs F --outputs F --dt 2": 'column "F" is named both in u and in y',
    f"{FIT} --dt 2 --input-units L/min,K": "--input-units.*has 2 entries, 1 are needed",
    f"{FIT}": "no sampling time; give --dt .* --time t$",
    f"{FIT} --dt 2 --time t": "--dt or --time, not both",
    f"{FIT} --dt 0": "positive number of seconds",
    f"{FIT} --dt two": "not a valid float",
    f"{FIT} --time t --time-unit fortnight": "no unit of time",
    f"{FIT} --dt 2 --model gruu": 'no model "gruu"; did you mean "gru"',
    f"{FIT} --dt 2 --size 0": "0 is not in the range",
    f"{FIT} --dt 2 --seed -1": "-1 is not in the range",
    f"{FIT} --dt 2 --sep ;;": "must be one character",
    f"{FIT} --dt nan": "positive number of seconds",
    f"{FIT} --dt 2 --log good.csv": "is a file",
    "fit good.csv --inputs F,F --outputs T --dt 2": "more than once",
    f"{FIT} --dt 2 --margin 2": "between 0 and 1",
    f"{FIT} --dt 2 --split 0.9 0.9": "split|share",
    f"{FIT} --dt 2 --certificate stable": "delta_iss",
    f"{FIT} --dt 2 --out nowhere/model": 'no folder "nowhere"',
    f"{FIT} --dt 2 --out folder.safetensors": "it is a folder",
    "fit backwards.csv --inputs F --outputs T --time t": "time goes back by 58 s; sort the rows",
    "fit jump.csv --inputs F --outputs T --time t": "row",
    "fit gap.csv --inputs F --outputs T --dt 2": "row 12.*not a measurement.*--gaps split",
    "fit text.csv --inputs F --outputs T --dt 2": "'open'.*not a number",
    "fit still.csv --inputs F --outputs T --dt 2": 'input "F" is constant',
    "fit empty.csv --inputs F --outputs T --dt 2": "no data rows",
    "fit header.csv --inputs F --outputs T --dt 2": "header but no data rows",
    "fit ragged.csv --inputs F --outputs T --dt 2": "row 5 has 5 cells",
    "fit short.csv --inputs F --outputs T --dt 2": "sample",
    "fit binary.csv --inputs F --outputs T --dt 2": "binary.csv",
    "certify model.safetensors --method weigthed": 'no method "weigthed"; did you mean "weighted"',
    "certify model.safetensors --box flow=0:1": 'no input "flow"; there are: F',
    "certify model.safetensors --box F=1": "NAME=LOW:HIGH",
    "certify model.safetensors --box F=9:1": "low must be below high",
    "certify cut.safetensors": "not a whole safetensors file",
    "certify changed.safetensors": "hash mismatch",
    "certify newer.safetensors": "upgrade rnn-control",
    "certify pickled.safetensors": "not a whole safetensors file",
    "certify foreign.safetensors": "something else",
    "certify other.safetensors": "do not fit the architecture",
    f"{SIMULATE} good.csv --dt 3": "dt = 3.0 s, the model 2.0 s",
    f"{SIMULATE} renamed.csv": 'no column "T"; there are: t, F, Temp',
    f"{SIMULATE} fahrenheit.csv": '"T" of the experiment is in degF, the model was trained in K',
    f"{SIMULATE} good.csv --washout 5000": "smaller washout",
    f"{SIMULATE} good.csv --out good.csv": "would overwrite the record",
    f"{MPC} --plant van_de_vuse": 'no plant "van_de_vuse"; did you mean "van_de_vusse"',
    f"{MPC} --plant van_de_vusse": "the model has the inputs F, the plant F, Q",
    f"{MPC} --reference Temp=300": "reference names 'Temp', known are T",
    f"{MPC} --reference T=hot": "is not NAME=VALUE",
    f"{MPC} --reference T=nan": "is not NAME=VALUE",
    f"{MPC} --reference T=300 --reference T=310": '"T" is given 2 times',
    f"{MPC} --bound T=nan:310": "is NaN",
    f"{MPC} --reference T=100:300,50:310": "goes back in time",
    f"{MPC} --bound T=310:300": "contradict",
    f"{MPC} --bound F=-1e6:1e6": "leave the box",
    f"{MPC} --bound G=0:1": 'names "G"',
    f"{MPC} --move F=0": "must be > 0",
    f"{MPC} --disturbance feed=1": "known are d_F, d_T",
    f"{MPC} --horizon 0": "not in the range",
    "export model.safetensors --to fmu": "casadi",
    "plants four_tank": 'did you mean "four_tanks"',
    "plants --record x.csv": "NAME of a plant",
    "plants four_tanks --record x.csv --dt -1": "dt = -1",
    "report good.csv": "neither a model",
    "report text.npz": "no whole record of a closed loop",
    "report arrays.npz": "no closed-loop record",
    "report text.npz --data good.csv": "--data and --free belong to a model",
    "report model.safetensors --free model.safetensors": "--free needs --data",
    "check model.safetensors": "CERTIFICATE",
    "check model.safetensors good.csv": "is not a certificate",
    "check good.csv model.safetensors": "is not a certificate",
    "plants four_tanks --record x.csv --dt 0": "dt = 0",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder of good and bad files, by name."""
    folder = tmp_path_factory.mktemp("files")
    model = identified(quick_gru(1, 1, 3), dt=2.0)
    model = type(model)(model.model, model.scaler, 2.0, ("F",), ("T",), ("L/min",), ("K",))
    rng = np.random.default_rng(0)
    u = model.scaler.u_out(np.repeat(rng.uniform(-1, 1, 40), 5)[:, None])
    table = np.column_stack([2 * np.arange(200), u, model.simulate(u), np.ones(200)])
    rows = [",".join(map(repr, row)) for row in table.tolist()]
    head = "t [s],F [L/min],T [K],Q"
    texts = {
        "good": [head, *rows],
        "backwards": [head, *rows[:50], *rows[20:]],
        "jump": [head, *rows[:50], *rows[90:]],
        "gap": [head, *rows[:10], "20,nan,300,1", *rows[11:]],
        "text": [head, *rows[:10], "20,open,300,1", *rows[11:]],
        "still": [head, *(f"{k},5,{k % 7},1" for k in range(100))],
        "empty": [],
        "header": [head],
        "ragged": [head, *rows[:3], "6,1,2,3,4", *rows[4:]],
        "short": [head, *rows[3:7]],
        "renamed": [head.replace("T [K]", "Temp [K]"), *rows],
        "fahrenheit": [head.replace("[K]", "[degF]"), *rows],
    }
    for name, lines in texts.items():
        (folder / f"{name}.csv").write_text("\n".join(lines))
    (folder / "binary.csv").write_bytes(bytes(range(256)) * 20)
    (folder / "folder.safetensors").mkdir()
    (folder / "text.npz").write_text("not a record")
    np.savez(folder / "arrays.npz", u=u)
    write_models(model, folder)
    return folder


def write_models(model, folder):
    data = model.save(folder / "model").read_bytes()
    (folder / "cut.safetensors").write_bytes(data[:-20])
    (folder / "changed.safetensors").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    torch.save(model.model.state_dict(), folder / "pickled.safetensors")
    state = {"C": torch.zeros(1)}
    safetensors.torch.save_file(state, folder / "foreign.safetensors")
    newer = json.dumps({"schema": SCHEMA + 1})
    safetensors.torch.save_file(state, folder / "newer.safetensors", {"rnn_control": newer, "sha256": "another way"})
    with safetensors.safe_open(str(folder / "model.safetensors"), "pt") as file:
        text = file.metadata()["rnn_control"]
    meta = {"rnn_control": text, "sha256": fingerprint(text, state)}
    safetensors.torch.save_file(state, folder / "other.safetensors", meta)


@pytest.mark.parametrize("line", MISTAKES)
def test_mistake_is_answered_in_one_sentence(line, files, monkeypatch, capsys):
    monkeypatch.chdir(files)
    before = sorted(files.rglob("*"))
    with pytest.raises(SystemExit) as end:
        main(line.split())
    said = capsys.readouterr()
    assert end.value.code == 2 and said.out == "" and said.err.count("\n") == 1
    assert re.search(MISTAKES[line], said.err) and said.err.startswith("rnn-control: ") and len(said.err) < 400
    assert sorted(files.rglob("*")) == before
