"""The page of each plant is what the plant says today, and small."""

from pathlib import Path

import numpy as np
import pytest

from plants import PLANTS, VanDeVusse
from plants.__main__ import main
from plants.pages import page, steady_map, step_response

DOCS = Path(__file__).parents[1] / "docs" / "plants"


@pytest.mark.parametrize("name", PLANTS)
def test_page_in_the_docs_is_up_to_date(name):
    assert (DOCS / f"{name}.md").read_text(encoding="utf-8") == page(PLANTS[name]()), "python -m plants page"


@pytest.mark.parametrize("name", PLANTS)
def test_figure_in_the_docs_is_small_and_names_what_it_shows(name):
    figure, plant = (DOCS / f"{name}.svg").read_text(encoding="utf-8"), PLANTS[name]()
    assert len(figure) < 60_000 and all(f">{label}<" in figure for label in plant.u_names)
    assert f"{plant.y_names[-1]} [{plant.y_units[-1]}]" in figure


def test_command_writes_page_and_figure(tmp_path):
    main(["page", "exothermic_cstr", "--to", str(tmp_path)])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["exothermic_cstr.md", "exothermic_cstr.svg"]


@pytest.mark.parametrize("i", [0, 1])
def test_steps_end_on_the_map(i):
    plant = VanDeVusse()
    (_, y), (position, rest) = step_response(plant, i), steady_map(plant, i)
    u = plant.nominal.u[i] + 0.25 * (plant.u_region_max - plant.u_region_min)[i]
    percent = 100 * (u - plant.u_region_min[i]) / (plant.u_region_max - plant.u_region_min)[i]
    ends = [np.interp(percent, position, rest[:, k]) for k in range(2)]
    np.testing.assert_allclose(y[-1], ends, rtol=5e-3)
