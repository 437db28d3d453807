"""Plants say, before any record, why a model that forgets cannot represent them; and do not say so without cause."""

from dataclasses import dataclass
from typing import ClassVar

import casadi as ca
import pytest

from plants import PLANTS, CoolantFlowCSTR, ExothermicCSTR, OperatingPoint, Plant, Signal, VanDeVusse, diagnose

SEVERAL = {"coolant_flow_cstr"}  # hot, cold, and between them an unstable one, for each input


@dataclass(frozen=True)
class Drive(Plant):
    """A sliding mass: x' = v, v' = (u - 0.5 v) / 2, after EMPS (Janot et al., 2019)."""

    name: ClassVar = "drive"
    substep: ClassVar = 0.1
    sampling_time: ClassVar = 0.5
    states: ClassVar = (Signal("position", "m"), Signal("speed", "m/s"))
    inputs: ClassVar = (Signal("force", "N", low=-1.0, high=1.0, region=(-0.5, 0.5)),)
    outputs: ClassVar = (Signal("position", "m"),)
    disturbances: ClassVar = ()
    operating_points: ClassVar = {"rest": OperatingPoint((0.0, 0.0), (0.0,), (0.0, 0.0), {}, "none")}

    def ode(self, x, u, d):
        return ca.vertcat(x[1], (u - 0.5 * x[1]) / 2)

    def output(self, x):
        return x[0]


def kinds(*arguments, **options):
    return [finding.kind for finding in diagnose(*arguments, **options)]


@pytest.mark.parametrize("name", [name for name in PLANTS if name not in SEVERAL])
def test_no_alarm_on_plants_that_have_one_rest_in_their_region(name):
    assert kinds(PLANTS[name](), starts=4) == []


def test_seborg_s_reactor_at_its_unstable_point():
    (finding,) = diagnose(ExothermicCSTR(), 300.0, 300.0)
    assert finding.kind == "several equilibria"
    assert all(f"T = {T} K" in finding.text for T in ("324.48", "350.01", "369.7")) and "3 equilibria" in finding.text


def test_seborg_s_reactor_in_its_limit_cycle():
    (finding,) = diagnose(ExothermicCSTR(), 305.0, 305.0)
    assert finding.kind == "limit cycle" and "swings between" in finding.text


def test_seborg_s_reactor_has_one_rest_where_it_is_hot():
    assert kinds(ExothermicCSTR(), 315.0, 315.0, dt=3.0, starts=8) == []


def test_all_that_is_wrong_over_the_whole_range_of_an_input_is_named():
    assert set(kinds(ExothermicCSTR(), 295.0, 305.0, starts=16)) == {"several equilibria", "limit cycle"}


def test_coolant_flow_reactor_has_three_rests():
    (finding,) = diagnose(CoolantFlowCSTR(), 96.5, 96.5)
    assert finding.kind == "several equilibria" and finding.text.count("unstable") == 1


def test_drive_integrates():
    (finding,) = diagnose(Drive())
    assert finding.kind == "integrator" and "(position)" in finding.text


def test_oversampled_reactor_of_three_rests_is_told_both():
    assert kinds(CoolantFlowCSTR(), 96.5, 96.5, dt=0.1) == ["several equilibria", "too fast"]


@pytest.mark.parametrize("dt, kind", [(0.5, "too fast"), (3000.0, "too slow")])
def test_sampling_time_is_judged_by_the_poles(dt, kind):
    assert kinds(VanDeVusse(), dt=dt, starts=4) == [kind]


def test_inputs_beyond_the_actuators_are_refused():
    with pytest.raises(ValueError, match="actuator limits"):
        diagnose(ExothermicCSTR(), 200.0, 300.0)
