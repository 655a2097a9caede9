"""Which measures are taken of which runs, and that they meet in one file with names and units."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
import torch
import xarray as xr

from gridvit.analysis.attention import attention_distance
from gridvit.channels import Channels
from gridvit.config import EvaluationConfig, ModelConfig, RunConfig, SimulateConfig
from gridvit.data.fields import Fields, load
from gridvit.data.simulate import simulate
from gridvit.nn import ModelStep
from gridvit.run.analyse import measured
from gridvit.run.measures import MEASURES
from gridvit.run.subject import Subject, some_states

ASKED = {  # what is measured where a run asks for it
    "attention over the training": "training.keep asked for no snapshots",
    "what precedes a region": "no index is predicted, and evaluation.regions names no region",
}
MODEL = ModelConfig(preset="mini", patch=(2, 3), width=24, depth=2, heads=2, harmonics=1)


@pytest.fixture(scope="module")
def fields() -> Fields:
    parameters = {"velocity": [0.4, 0.2], "diffusivity": 0.05}
    config = SimulateConfig(
        parameters=parameters, shape=(8, 12), steps=5, samples=3, cutoff=2.0, scheme="upwind"
    )
    return load(simulate(config))


def subject(fields: Fields, noise: float, states: int = 5, cells: int = 18) -> Subject:
    torch.manual_seed(1)
    step = ModelStep(MODEL, fields.grid, Channels(("u",)), 1.0, *torch.ones(3, 1)).eval()
    for layer in (step.network.decode, step.network.skip):
        torch.nn.init.normal_(layer.weight, std=noise)
    chosen = RunConfig(evaluation=EvaluationConfig(states=states, cells=cells))
    return Subject(step, *some_states(step, fields, states), fields, fields, chosen)


def test_every_measure_has_names_and_units_and_meets_the_others(fields: Fields) -> None:
    found = xr.merge([*measured(subject(fields, 0.02))], join="exact", combine_attrs="drop_conflicts")
    for name, values in found.data_vars.items():
        assert {"long_name", "units"} <= set(values.attrs), name
    assert found.scheme.values[0] == "emulator"
    assert {"upwind", "exact", "untrained"} < set(found.scheme.values)
    assert found.attrs["nearest_scheme"] in found.scheme.values[1:]
    assert found.axis.values.tolist() == ["y", "x"]
    assert not found["attention_static"].isnull().any()
    assert np.isnan(found["one_step_expected"].sel(scheme="emulator"))
    # of the schemes that have no patches the error of waves is the square of the distance between symbols
    assert (found["error_of_waves"] > 0)[1:].all()


def test_an_untrained_network_is_persistence(fields: Fields) -> None:
    """So that its distance is known without it: last layers of zero leave the state as it is."""
    fresh = subject(fields, 0.0)
    assert np.array_equal(fresh.rows.trimmed().offsets, [[0, 0]])
    np.testing.assert_array_equal(fresh.rows.weights, 1.0)
    table = MEASURES[[m.name for m in MEASURES].index("the Jacobian")].found(fresh)
    assert table.attrs["nearest_scheme"] == "untrained"
    assert float(table["distance_unweighted"].sel(scheme="untrained")) == 0.0


@pytest.mark.parametrize(("cells", "some"), [(1, [0, 4]), (18, [0, 2, 4]), (600, [0, 1, 2, 3, 4])])
def test_rows_are_measured_at_whole_patches_of_two_states_at_least(
    fields: Fields, cells: int, some: list[int]
) -> None:
    whole = subject(fields, 0.02, cells=cells)
    assert whole.some.tolist() == some
    assert whole.rows.weights.shape[:2] == (len(some), 6)


def missing(whole: Subject) -> dict[str, str]:
    return {measure.name: measure.missing(whole) for measure in MEASURES}


def test_what_cannot_be_measured_says_why(fields: Fields, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = subject(fields, 0.02)
    reasons = missing(whole)
    assert {name: why for name, why in reasons.items() if why} == ASKED
    monkeypatch.setattr(import_module("gridvit.run.measures"), "PAIRS", 100)
    assert missing(whole)["the routing share"] == "the weights of 1e+03 pairs of tokens would have to be held"
    whole.states[0, 0, 1, 2] = torch.nan
    for name in ("the error of one step", "the defects", "the dependence on the state"):
        assert missing(whole)[name] == "the states have gaps"
    alone = missing(subject(fields, 0.02, states=1))
    assert alone["the dependence on the state"] == "it needs two states"


def test_on_a_sphere_heads_maps_and_rows_by_latitude_are_measured() -> None:
    config = SimulateConfig("barotropic-vorticity", shape=(8, 16), samples=1, steps=4, cutoff=2.0, substeps=1)
    fields = load(simulate(config))
    step = ModelStep(
        replace(MODEL, patch=(2, 4)), fields.grid, Channels(fields.names), 1.0, *torch.ones(3, 1)
    ).eval()
    torch.nn.init.normal_(step.network.decode.weight, std=0.1)
    whole = Subject(step, *some_states(step, fields, 3), fields, fields, RunConfig())
    reasons = missing(whole)
    plane = "it needs a variable predicted from its own past on a plane periodic along every axis"
    taken = [
        "attention",
        "attention from places",
        "ablations of attention",
        "the faithfulness of maps",
        "the Jacobian",
    ]
    assert [name for name, why in reasons.items() if not why] == taken
    assert {why for why in reasons.values() if why} == {plane, *ASKED.values()}
    found = xr.merge([*measured(whole)], join="exact", combine_attrs="drop_conflicts")
    assert found["token_latitude"].size == found["token_key_latitude"].size == 4
    assert found["attention_zonal"].dims[2:] == ("token_query_latitude", "token_key_latitude", "token_dlon")


def test_convolutions_beside_attention(fields: Fields) -> None:
    torch.manual_seed(1)
    ends = {"embed": "conv", "decode": "conv", "channels": 5, "between": 7}
    config = replace(MODEL, patch=(2, 2), local=5, **ends)
    step = ModelStep(config, fields.grid, Channels(("u",)), 1.0, *torch.ones(3, 1)).eval()
    for parameter in (p for n, p in step.network.named_parameters() if "conv" in n or "decode" in n):
        torch.nn.init.normal_(parameter, std=0.3)
    states, context = some_states(step, fields, 3)
    whole = Subject(
        step, states, context, fields, fields, RunConfig(evaluation=EvaluationConfig(states=3, cells=4))
    )
    why = "convolutions before or after the tokens mix cells of several patches"
    assert missing(whole)["the signed stencils of heads"] == why
    taken = ("attention", "ablations of attention", "the faithfulness of maps", "the routing share")
    parts = [m.found(whole) for m in MEASURES if m.name in (*taken, "the reach of attention")]
    found = xr.merge(parts, join="exact", combine_attrs="drop_conflicts")
    weights = step.attention_weights(states).numpy()
    want = attention_distance(weights, step.token_grid)["attention_distance"]
    np.testing.assert_allclose(found["attention_distance"], want, rtol=1e-5)
    # the heads' own reach, and two tokens for each of the two convolutions of five tokens
    reach = found["reach"].max("head").sum("layer") + 2 * 2 - found["signal_reach"]
    np.testing.assert_array_equal(found["cfl_reach"], reach)
    # a rollout sees what comes before the decoder, and nothing of it
    assert found["randomised_similarity"].sel(map="rollout", randomised="decode") == pytest.approx(1.0)
