"""Excitation signals stay within bounds, repeat by seed, and excite what they promise."""

import numpy as np
import pytest

from plants import aprbs, crest_factor, limit_rate, multisine, prbs, random_steps, steps

SIGNALS = {"random_steps": random_steps, "prbs": prbs, "aprbs": aprbs, "multisine": multisine}
LOW, HIGH = (12.0, -5500.0), (35.0, -1500.0)


@pytest.fixture(params=SIGNALS)
def signal(request):
    return SIGNALS[request.param]


def normalised(u):
    return (u - np.array(LOW)) / (np.array(HIGH) - np.array(LOW))


def holds(column):
    """Lengths of the runs of equal values, the last one, which may be cut short, left out."""
    return np.diff(np.concatenate([[0], np.flatnonzero(np.diff(column)) + 1]))


def test_signals_have_one_column_an_input(signal):
    u = signal(LOW, HIGH, 500)
    assert u.shape == (500, 2) and u.dtype == float


def test_a_single_input_takes_plain_numbers(signal):
    assert signal(0.0, 1.0, 300).shape == (300, 1)


def test_signals_stay_within_bounds(signal):
    u = normalised(signal(LOW, HIGH, 2000))
    assert np.min(u) >= -1e-12 and np.max(u) <= 1 + 1e-12


def test_signals_use_the_range(signal):
    u = normalised(signal(LOW, HIGH, 2000))
    assert np.all(np.ptp(u, axis=0) > 0.8)


def test_signals_repeat_by_seed(signal):
    np.testing.assert_array_equal(signal(LOW, HIGH, 400, seed=1), signal(LOW, HIGH, 400, seed=1))


def test_another_seed_is_another_signal(signal):
    assert np.any(signal(LOW, HIGH, 400, seed=1) != signal(LOW, HIGH, 400, seed=2))


def test_inputs_move_on_their_own(signal):
    correlation = np.corrcoef(signal(LOW, HIGH, 5000).T)[0, 1]
    assert abs(correlation) < 0.25  # 150 to 1000 independent levels


def test_swapped_bounds_are_refused(signal):
    with pytest.raises(ValueError, match="u_min < u_max"):
        signal(HIGH, LOW, 100)


def test_infinite_bounds_are_refused(signal):
    with pytest.raises(ValueError, match="finite"):
        signal(0.0, np.inf, 100)


@pytest.mark.parametrize("samples", [0, -3, 2.5])
def test_silly_lengths_are_refused(signal, samples):
    with pytest.raises(ValueError, match="whole number"):
        signal(LOW, HIGH, samples)


def test_random_steps_hold_as_long_as_asked():
    lengths = holds(random_steps(0.0, 1.0, 5000, hold=(7, 11))[:, 0])
    assert set(lengths) == {7, 8, 9, 10, 11}


def test_random_steps_keep_to_the_levels():
    u = random_steps(0.0, 1.0, 2000, levels=5)
    np.testing.assert_allclose(np.unique(u), [0, 0.25, 0.5, 0.75, 1])


def test_one_level_is_refused():
    with pytest.raises(ValueError, match="excites nothing"):
        random_steps(0.0, 1.0, 100, levels=1)


def test_hold_range_in_wrong_order_is_refused():
    with pytest.raises(ValueError, match="shortest"):
        random_steps(0.0, 1.0, 100, hold=(20, 10))


def test_prbs_has_two_levels():
    np.testing.assert_array_equal(np.unique(prbs(2.0, 5.0, 500)), [2.0, 5.0])


def test_prbs_has_the_autocorrelation_of_a_maximum_length_sequence():
    """N at lag 0, -1 at the others. Reference: Golomb (1967), Shift Register Sequences."""
    s = prbs(-1.0, 1.0, 127, hold=1, order=7)[:, 0]
    correlation = [np.dot(s, np.roll(s, lag)) for lag in range(127)]
    np.testing.assert_allclose(correlation, [127] + 126 * [-1], atol=1e-9)


def test_prbs_switches_on_its_clock():
    assert np.all(holds(prbs(0.0, 1.0, 1000, hold=6)[:, 0]) % 6 == 0)


def test_prbs_order_is_checked():
    with pytest.raises(ValueError, match="order"):
        prbs(0.0, 1.0, 100, order=1)


def test_aprbs_switches_where_prbs_does():
    switches = [np.flatnonzero(np.diff(s(0.0, 1.0, 800, seed=5)[:, 0])) for s in (prbs, aprbs)]
    np.testing.assert_array_equal(*switches)


def test_multisine_has_only_its_own_harmonics():
    spectrum = np.abs(np.fft.rfft(multisine(LOW, HIGH, 400, tones=10), axis=0))[1:] / 400
    present = spectrum > 1e-9 * spectrum.max(axis=0)
    first, second = (list(np.flatnonzero(column) + 1) for column in present.T)
    assert first == list(range(1, 20, 2)) and second == list(range(2, 21, 2))


def test_multisine_inputs_are_orthogonal():
    u = multisine((-1.0, -1.0), (1.0, 1.0), 400)
    assert abs(u[:, 0] @ u[:, 1]) < 1e-9 * (u[:, 0] @ u[:, 0])


@pytest.mark.parametrize("tones", [5, 20, 60])
def test_clipping_lowers_the_crest_factor_of_schroeder(tones):
    schroeder, best = (crest_factor(multisine(-1.0, 1.0, 2000, tones=tones, clippings=n)) for n in (0, 300))
    assert schroeder < 1.75 and best < 0.95 * schroeder and best < 1.52  # equal phases would give sqrt(2 tones)


def test_clipping_keeps_the_amplitudes_equal():
    spectrum = np.abs(np.fft.rfft(multisine(-1.0, 1.0, 600, tones=30)[:, 0]))[1:31]
    np.testing.assert_allclose(spectrum, spectrum.mean(), rtol=1e-9)


def test_crest_factors_of_known_waves():
    t = np.arange(1000)
    waves = np.column_stack([7 + 3 * np.sin(2 * np.pi * t / 100), np.sign(np.sin(2 * np.pi * (t + 0.5) / 100))])
    np.testing.assert_allclose(crest_factor(waves), [2**0.5, 1.0], rtol=1e-3)


def test_crest_factor_of_nothing_is_refused():
    with pytest.raises(ValueError, match="do not move"):
        crest_factor(np.ones(10))


def test_multisine_repeats_with_its_period():
    u = multisine(0.0, 1.0, 300, period=100)
    np.testing.assert_allclose(u[:100], u[200:])


def test_tones_beyond_nyquist_are_refused():
    with pytest.raises(ValueError, match="Nyquist"):
        multisine(0.0, 1.0, 30, tones=20)


def test_rate_limit_is_kept():
    u = random_steps(LOW, HIGH, 500, max_rate=(1.0, 100.0))
    assert np.all(np.abs(np.diff(u, axis=0)).max(axis=0) <= np.array([1.0, 100.0]) + 1e-9)


@pytest.mark.parametrize("signal", SIGNALS)
def test_every_signal_keeps_bounds_and_rate_together(signal):
    u = SIGNALS[signal](LOW, HIGH, 900, max_rate=(1.0, 100.0))
    assert np.all(np.abs(np.diff(u, axis=0)).max(axis=0) <= np.array([1.0, 100.0]) * (1 + 1e-9))
    assert np.min(normalised(u)) >= -1e-12 and np.max(normalised(u)) <= 1 + 1e-12


def test_multisine_slowed_down_has_no_further_tones():
    fast, slow = (multisine(0.0, 1.0, 400, tones=10, max_rate=rate)[:, 0] for rate in (None, 0.02))
    ratio = (slow - slow.mean()) / (fast - fast.mean())
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-6)
    assert ratio[0] < 1


def test_rate_limit_reaches_the_level_it_follows():
    u = limit_rate(steps([0.0, 1.0], hold=20), 0.1)
    np.testing.assert_allclose(u[-1], 1.0)


@pytest.mark.parametrize("rate", [0.0, -1.0, np.nan])
def test_rate_limit_must_be_positive(signal, rate):
    with pytest.raises(ValueError, match="max_rate"):
        signal(0.0, 1.0, 100, max_rate=rate)


def test_steps_hold_each_row():
    np.testing.assert_array_equal(steps([[1, 2], [3, 4]], 2), [[1, 2], [1, 2], [3, 4], [3, 4]])
