"""What every plant of the zoo says of itself: constants, units, limits, and the command line that shows them."""

import numpy as np

from plants.__main__ import main


def test_every_constant_has_a_unit_and_a_source(plant):
    assert plant.constants
    assert all(c.unit and c.source and np.isfinite(c.value) for c in plant.constants)


def test_every_plant_documents_itself(plant):
    assert plant.disturbances and type(plant).__doc__ and all(s.about and s.unit for s in plant.inputs + plant.states)
    assert all(np.isfinite(s.nominal) and s.about and s.unit for s in plant.disturbances)
    assert np.all(np.isfinite(plant.u_min)) and np.all(np.isfinite(plant.u_max)) and np.all(plant.y_noise > 0)


def test_the_region_lies_between_the_actuator_limits(plant):
    assert np.all(plant.u_min <= plant.u_region_min) and np.all(plant.u_region_max <= plant.u_max)
    assert np.all(plant.u_region_min < plant.u_region_max)


def test_command_line_lists_the_plant(plant, capsys):
    main(["list"])
    assert plant.name in capsys.readouterr().out


def test_command_line_shows_every_constant(plant, capsys):
    main(["show", plant.name])
    shown = capsys.readouterr().out
    assert all(c.name in shown and c.unit in shown for c in plant.constants)
