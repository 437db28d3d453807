"""Experiment: what it accepts, what it refuses and how it says so; join and split."""

import dataclasses
import re

import numpy as np
import pytest

from rnn_control.data import Experiment

WAVE = np.sin(np.arange(60))


def waves(length: int = 60, nu: int = 1, ny: int = 1) -> Experiment:
    k = np.arange(length)[:, None]
    return Experiment(np.sin(k + np.arange(nu)), 5 + np.cos(k + np.arange(ny)), dt=2.0)


def test_one_dimensional_arrays_are_one_channel():
    e = Experiment(WAVE, WAVE + 1, dt=0.5)
    assert (e.u.shape, e.y.shape, e.nu, e.ny, e.n_samples) == ((60, 1), (60, 1), 1, 1, 60)


def test_records_keep_their_own_length_and_time():
    e = Experiment([WAVE, WAVE[:20]], [WAVE, WAVE[:20]], dt=0.5)
    assert [len(r.u) for r in e] == [60, 20] and e.time(1)[-1] == 9.5


def test_single_record_access_to_many_records_is_refused():
    with pytest.raises(ValueError, match=r"2 records; use .us, or experiment\[i\].u"):
        _ = Experiment([WAVE, WAVE], [WAVE, WAVE], dt=1).u


def test_experiment_does_not_alias_its_arguments():
    u = WAVE.copy()
    e = Experiment(u, WAVE, dt=1)
    u[:] = 0
    assert np.ptp(e.u) > 1


def test_experiment_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        waves().dt = 1.0


HOLE = np.where(np.arange(60) == 7, np.nan, WAVE)
REFUSED = {
    "nan": (dict(y=HOLE, y_names="T"), 'record 0, channel "T", sample 7: nan'),
    "inf": (dict(u=np.where(WAVE > 0.99, np.inf, WAVE)), 'channel "u0", sample [0-9]+: inf'),
    "empty": (dict(u=np.zeros((0, 1))), "u is empty"),
    "no measurement": (dict(y=np.full(60, np.nan), gaps="mask"), 'y channel "y0" has no measurement at all'),
    "transposed": (dict(u=np.stack([WAVE, WAVE])), "looks transposed"),
    "three axes": (dict(u=np.zeros((3, 60, 1))), "several records are a list"),
    "lengths": (dict(u=WAVE[:50]), "u has 50 samples, y has 60"),
    "records": (dict(u=[WAVE, WAVE]), "u has 2 records, y has 1"),
    "channels": (
        dict(u=[WAVE, np.stack([WAVE, WAVE], 1)], y=[WAVE, WAVE]),
        "record 1: u has 2 channels, record 0 has 1",
    ),
    "text": (dict(u=["a"] * 60), "not numbers"),
    "dt": (dict(dt=0.0), "dt = 0.0; it is the sampling time"),
    "no dt": (dict(dt=None), "dt = None; it is the sampling time"),
    "names": (dict(u_names=["a", "b"]), "2 entries, 1 are needed"),
    "same name": (dict(u_names=["T"], y_names=["T"]), "more than once"),
    "gaps": (dict(gaps="fill"), '"split", "mask" or "split-inputs"'),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_data_are_refused_with_their_place(case):
    changed, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        Experiment(**{"u": WAVE, "y": WAVE, "dt": 1.0, **changed})


def test_split_gaps_are_records():
    e = Experiment(WAVE, np.where(np.arange(60) == 30, np.nan, WAVE), dt=1, gaps="split")
    assert e.names == ("record 0 [0:30]", "record 0 [31:60]")


def test_missing_outputs_are_left_out_where_gaps_of_the_inputs_split():
    u, y = np.where(np.arange(60) == 30, np.nan, WAVE), np.where(np.arange(60) == 10, np.inf, WAVE)
    e = Experiment(u, y, dt=1, gaps="split-inputs")
    assert e.names == ("record 0 [0:30]", "record 0 [31:60]")
    assert [np.isnan(record).sum() for record in e.ys] == [1, 0]


def test_short_stretches_are_reported():
    with pytest.warns(UserWarning, match="7 samples left out.*sample 0 to sample 6"):
        e = Experiment(WAVE, HOLE, dt=1, gaps="split")
    assert e.n_samples == 52


def test_nothing_left_of_gaps_is_refused():
    holes = np.where(np.arange(60) % 60 > 0, np.nan, WAVE)
    with (
        pytest.warns(UserWarning, match="left out"),
        pytest.raises(ValueError, match="no stretch of 10 samples"),
    ):
        Experiment(WAVE, holes, dt=1, gaps="split")


def test_split_is_by_time_and_complete():
    e = waves(101)
    parts = e.split(0.7, 0.15)
    assert np.array_equal(np.concatenate([p.u for p in parts]), e.u)


def test_part_of_a_split_may_hold_an_input_still():
    u = np.where(np.arange(100) < 70, np.sin(np.arange(100)), 0.0)
    test = Experiment(u, np.cos(np.arange(100)), dt=1).split(0.7, 0.15)[2]
    assert np.ptp(test.u) == 0


@pytest.mark.parametrize("fractions", [(0.7, 0.3), (70, 15), (0.0, 0.5), (0.9, -0.1)])
def test_fractions_are_checked(fractions):
    with pytest.raises(ValueError, match="fractions > 0"):
        waves().split(*fractions)


def test_too_short_part_is_named():
    with pytest.raises(ValueError, match="its valid part would have 6, at least 10"):
        waves(60).split(0.7, 0.1)


def test_join_keeps_records_apart():
    e = Experiment.join(waves(60), waves(50))
    assert len(e) == 2 and e.names == ("record 0", "record 0 (2)")


def test_join_as_a_method_keeps_the_experiment_itself():
    assert [len(u) for u in waves(60).join(waves(50)).us] == [60, 50]


def test_join_of_different_sampling_times_is_refused():
    with pytest.raises(ValueError, match="dt of experiment 1 is 1.0, of experiment 0 2.0"):
        Experiment.join(waves(), Experiment(WAVE, WAVE, dt=1))


def test_split_records_takes_indices_and_names():
    e = Experiment.join(waves(60), waves(50), waves(40))
    assert [p.n_samples for p in e.split_records([2], ["record 0"], [1])] == [40, 60, 50]


def test_record_in_two_parts_is_refused():
    with pytest.raises(ValueError, match="used twice"):
        Experiment.join(waves(), waves()).split_records([0], [1], [0])


def test_fingerprint_is_of_the_contents():
    e = waves()
    same = Experiment(e.u, e.y, e.dt, names="other name")
    assert e.fingerprint() == same.fingerprint() != Experiment(e.u, e.y, 1.0).fingerprint()


def test_repr_shows_channels_with_range_and_unit():
    text = repr(Experiment(WAVE, WAVE * 100, 6, u_names="q", y_names="T", y_units="K"))
    assert "dt = 6 s" in text and re.search(r"y  T  -\S+ to \S+ K", text)


def test_plot_has_outputs_first_with_units():
    figure = Experiment(WAVE, WAVE, 1, u_names="q", y_names="T", y_units="K").plot()
    assert [ax.get_ylabel() for ax in figure.axes] == ["T [K]", "q"]
