"""What a run's maps are worth: networks whose attention is known to be nothing but its bias, or nothing at all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr

from gridvit.analysis.frozen import MeanStencil
from gridvit.channels import Channels
from gridvit.config import ModelConfig, RunConfig, SimulateConfig
from gridvit.data.fields import Fields, load
from gridvit.data.simulate import simulate
from gridvit.nn import ModelStep
from gridvit.run.faithful import (
    Places,
    ablations,
    affordable,
    faithfulness,
    one_per_place,
    pairs,
    relevant,
    replacements,
    too_many,
)
from gridvit.run.subject import Subject, some_states

SMALL = ModelConfig(preset="mini", patch=(2, 3), width=48, depth=2, heads=3)


@pytest.fixture(scope="module")
def fields() -> Fields:
    return load(simulate(SimulateConfig(shape=(8, 12), steps=5, samples=3, cutoff=2.0, scheme="upwind")))


def subject(fields: Fields, config: ModelConfig = SMALL, content: bool = True) -> Subject:
    torch.manual_seed(4)
    step = ModelStep(config, fields.grid, Channels(("u",)), fields.step.seconds, *torch.ones(3, 1)).eval()
    torch.nn.init.normal_(step.network.decode.weight, std=0.3)
    for block in step.network.blocks:
        block.attention.out.weight.data *= 10
        if not content:
            block.attention.query_key.weight.data.zero_()
            block.attention.query_key.bias.data.zero_()
    states, context = some_states(step, fields, 5)
    return Subject(step, states, context, fields, fields, RunConfig())


@pytest.mark.parametrize("registers", [0, 2])
def test_attention_without_content_is_its_bias_and_its_stencil(fields: Fields, registers: int) -> None:
    found = ablations(subject(fields, replace(SMALL, registers=registers), content=False))
    assert found["ablation"].values.tolist() == ["none", "persistence", "uniform", "bias", "mean stencil"]
    assert found.sizes["ablated_case"] == 5
    np.testing.assert_allclose(found["ablation_cost"].sel(ablation=["bias", "mean stencil"]), 0, atol=1e-5)
    assert abs(found["ablation_cost"].sel(ablation="uniform")) > 1e-3


def test_made_once_for_all_states_the_ablations_cost_the_same(
    fields: Fields, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = ablations(subject(fields))
    monkeypatch.setattr("gridvit.run.faithful.Fixed", lambda replaced: replaced)
    monkeypatch.setattr("gridvit.run.faithful.TOGETHER", 0)
    xr.testing.assert_allclose(once, ablations(subject(fields)), rtol=1e-4)


def test_the_stencil_of_all_states_is_that_of_their_offsets(fields: Fields) -> None:
    given = subject(fields, replace(SMALL, registers=2))
    tokens = given.step.token_grid
    ours, theirs = replacements(given)["mean stencil"], MeanStencil.of(given.maps(), tokens, given.areas, 2)
    for layer in range(2):
        torch.testing.assert_close(ours.kernels[layer], theirs.kernels[layer])


def test_pairs_are_states_and_what_followed(fields: Fields) -> None:
    states, context, truth = pairs(subject(fields), 4)
    assert states.shape == truth.shape == (4, 1, 8, 12)
    np.testing.assert_array_equal(states[0], fields.values[0, 0])
    np.testing.assert_array_equal(truth[0], fields.values[0, 1])
    np.testing.assert_array_equal(truth[-1], fields.values[-1, -1])
    assert context.time.tolist()[0] == 0


def test_maps_towards_places(fields: Fields) -> None:
    given = subject(fields, replace(SMALL, registers=1))
    found = faithfulness(given)
    assert found["map"].values.tolist() == ["rollout", "relevance", "gradient"]
    assert found["target_map"].dims == ("map", "target", "token_y", "token_x")
    np.testing.assert_allclose(found["target_map"].sum(("token_y", "token_x")), 1.0, rtol=1e-5)
    assert found["masked_first"].values.tolist()[:3] == ["random", "rollout", "rollout, matched"]
    assert found["randomised"].values.tolist() == ["decode", "block 2", "block 1", "embed"]
    # attention is made before the decoder: a rollout does not see that its weights are random
    assert found["randomised_similarity"].sel(map="rollout", randomised="decode") == pytest.approx(1.0)
    assert found["randomised_similarity"].sel(map="gradient", randomised="embed") < 0.9
    for name, table in found.data_vars.items():
        assert {"long_name", "units"} <= set(table.attrs), name
    tokens = found["target_token"].values
    assert len(set(tokens.tolist())) == found.sizes["target"] == 12
    assert found["target_state"].values.tolist() == sorted(found["target_state"].values.tolist())


def test_the_gradient_of_persistence_stays_at_home(fields: Fields) -> None:
    given = subject(fields)
    for weight in given.step.network.decode.parameters():
        weight.data.zero_()
    found = faithfulness(given)
    home = found["target_map"].sel(map=["relevance", "gradient"]).stack(token=["token_y", "token_x"])
    for place, token in enumerate(found["target_token"].values):
        np.testing.assert_allclose(home.isel(target=place, token=token), 1.0, rtol=1e-6)
    np.testing.assert_allclose(found["map_distance"].sel(map=["relevance", "gradient"]), 0, atol=1e-6)
    np.testing.assert_allclose(found["deletion"], 0, atol=1e-6)


def test_land_is_neither_asked_for_nor_counted(fields: Fields) -> None:
    presence = torch.ones(1, 8, 12)
    presence[:, :3, :5] = 0  # a token wholly, others in part
    torch.manual_seed(4)
    numbers = torch.ones(3, 1)
    step = ModelStep(
        SMALL, fields.grid, Channels(("u",)), fields.step.seconds, *numbers, presence=presence
    ).eval()
    torch.nn.init.normal_(step.network.decode.weight, std=0.3)
    values = np.where(presence.numpy() > 0, fields.values, np.nan).astype(np.float32)
    sea = replace(fields, values=values)
    states, context = some_states(step, sea, 5)
    given = Subject(step, states, context, sea, sea, RunConfig())
    found = faithfulness(given).merge(ablations(given))
    for name, table in found.data_vars.items():
        assert np.isfinite(table).all(), name
    assert 0 not in found["target_token"]
    assert (found["target_map"].isel(token_y=0, token_x=0) == 0).all()


def test_the_readout_is_the_mean_of_a_token(fields: Fields) -> None:
    places = Places(subject(fields), 3)
    readout = places.readout(1)
    row, column = divmod(places.tokens[1], 4)
    after = places.subject.step(places.states[1:2])[0, 0]
    want = after[2 * row : 2 * row + 2, 3 * column : 3 * column + 3].mean()
    torch.testing.assert_close(readout(places.states[1:2])[0], want)


def test_what_can_be_afforded_and_what_cannot(fields: Fields) -> None:
    given = subject(fields)
    tokens = given.step.token_grid
    assert (affordable(tokens, 16**2 * 7, 2, 9), affordable(tokens, 0, 2, 9)) == (7, 2)
    assert one_per_place(given) == too_many(given) == ""
    assert relevant(given.step)
    assert not relevant(subject(fields, replace(SMALL, checkpointing=True)).step)
