"""A credential that the configuration no longer names: nothing is revoked, it stays visible, it has two ways out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rotator.daemon.metrics import render
from rotator.daemon.orphans import orphans_of
from rotator.engine.inventory import CredentialId
from rotator.engine.requests import RequestRefused, Selection
from rotator.machine.facts import Ending, RunKind
from rotator.machine.steps import StepKind
from rotator.settings.loader import load_text
from tests.unit.engine_bench import DAY, ME, Bench, credential
from tests.unit.test_settings_freezes import WHOLE

ALPHA = CredentialId("alpha")
SHARED = credential(workflows=("flow", "other"), consumer=True)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path, SHARED, credential("beta"))
    made.adopted()
    made.adopted("beta")
    yield made
    made.close()


def removed(bench: Bench) -> None:
    """What a reload without it does."""
    bench.ledger.accept([credential("beta")], {}, bench.clock.at)
    bench.tick.refresh(ALPHA)


def test_nothing_is_revoked_and_nothing_is_rotated(bench: Bench) -> None:
    removed(bench)
    before = len(bench.world.calls)
    bench.clock.move(400 * DAY)
    for _ in range(3):
        bench.tick()
        bench.work()
    of_alpha = [call for call in bench.world.calls[before:] if call.work.definition.id == "alpha"]
    assert of_alpha == []
    assert (bench.row().next_due_at, bench.row().due_why) == (None, "unmanaged")


def test_a_run_that_is_open_goes_on_to_its_end(bench: Bench) -> None:
    run = bench.rotate()
    removed(bench)
    assert bench.finish(run).ending is Ending.SUCCEEDED
    assert bench.row().facts.current == {2}
    assert bench.tick.open_due() == 0


def test_it_stands_in_status_explain_the_list_and_the_metrics(bench: Bench) -> None:
    removed(bench)
    shown = bench.service.status()
    (left,) = shown["unmanaged"]
    assert (left["credential"], left["owner"], left["values"]) == ("alpha", "o@x.example", 1)
    assert left["command"] == "rotator retire --only id=alpha"
    assert (shown["counts"]["managed"], shown["counts"]["unmanaged"]) == (1, 1)
    assert bench.service.explain("alpha")["verdict"] == "removed"
    (item,) = bench.service.credentials(Selection(ids=("alpha",)))["items"]
    assert item["managed"] is False
    assert 'rotator_credentials{state="unmanaged"} 1' in render(bench.ledger, bench.clock, bench.tick, False)
    assert "unmanaged" in [one.notice.event for one in bench.ledger.unrouted(100)]
    assert bench.service.status("team=b")["unmanaged"] == []


def test_it_is_no_longer_meant_by_everything_but_still_by_its_id(bench: Bench) -> None:
    removed(bench)
    done = bench.service.rotate(ME, Selection(everything=True), reason="x", ticket="")
    assert [run["credential"] for run in done["runs"]] == ["beta"]
    run = bench.service.emergency(ME, Selection(ids=("alpha",)), mode="contain", reason="leak", ticket="")["runs"][0]
    assert bench.finish(run["id"]).ending is Ending.SUCCEEDED, "left behind is not out of reach"


def test_put_back_it_is_taken_up_where_it_was_left(bench: Bench) -> None:
    before = bench.row()
    removed(bench)
    bench.clock.move(5 * DAY)
    bench.ledger.accept([SHARED, credential("beta")], {}, bench.clock.at)
    bench.tick.refresh(ALPHA)
    after = bench.row()
    assert (after.facts, after.adopted_at, after.next_due_at) == (before.facts, before.adopted_at, before.next_due_at)
    assert after.managed
    with pytest.raises(RequestRefused, match="adopted already"):
        bench.service.adopt(ME, ["alpha"], source="", reason="")
    assert bench.finish(bench.rotate()).ending is Ending.SUCCEEDED
    assert bench.service.status()["unmanaged"] == []


def test_retired_by_its_id_though_a_workflow_shares_it_every_value_is_proven_dead(bench: Bench) -> None:
    removed(bench)
    by_workflow = bench.service.retire(ME, "flow", apply=False, reason="", ticket="")
    assert "alpha" not in by_workflow["retire"], "a shared one has no way out by its workflow"
    chosen = Selection(selector="id=alpha")
    listed = bench.service.retire_selected(ME, chosen, apply=False, reason="", ticket="")
    assert (listed["retire"], "runs" in listed) == (["alpha"], False)
    done = bench.service.retire_selected(ME, chosen, apply=True, reason="over", ticket="")
    run = bench.finish(done["runs"][0]["id"])
    assert (run.kind, run.ending) == (RunKind.RETIRE, Ending.SUCCEEDED)
    assert StepKind.UNPUSH in bench.world.kinds()
    assert bench.service.status()["unmanaged"] == []
    assert bench.service.certificate(done["campaign"])["complete"] is True
    assert 'rotator_credentials{state="unmanaged"} 0' in render(bench.ledger, bench.clock, bench.tick, False)


def test_what_was_never_adopted_has_nothing_to_retire(bench: Bench) -> None:
    bench.ledger.accept([credential("gamma")], {}, bench.clock.at)
    with pytest.raises(RequestRefused, match="no adopted credential fits"):
        bench.service.retire_selected(ME, Selection(selector="id=gamma"), apply=True, reason="x", ticket="")


# -- R21: the places that it still needs ---------------------------------------------------------------------------


def lost(bench: Bench, text: str) -> list[tuple[str, str]]:
    return orphans_of(load_text(text).configuration, bench.ledger.credentials())


def endpoints(*names: str, store: str = "main") -> str:
    """A configuration with these endpoints and store, and without any of the bench's credentials."""
    each = "".join(f"  {name}: {{plugin: http, pack: alerta, config: {{url: https://x.example}}}}\n" for name in names)
    text = WHOLE.replace("alpha:", "somebody-else:").replace("endpoints: {alerta:", "endpoints:\n  {alerta:")
    start, end = text.index("endpoints:"), text.index("policies:")
    text = (
        text[:start]
        + f"endpoints:\n  alerta: {{plugin: http, pack: alerta, config: {{url: https://x.example}}}}\n{each}"
        + text[end:]
    )
    return text.replace("stores: {main:", f"stores: {{{store}:").replace("in: main", f"in: {store}")


def test_nothing_may_go_that_it_needs(bench: Bench) -> None:
    bench.finish(bench.rotate())
    assert lost(bench, endpoints("api", "files")) == []
    found = lost(bench, endpoints("other"))
    assert [code for code, _ in found] == ["CFG-ENDPOINT-IN-USE"] * 3
    assert {words for _, words in found} == {
        "endpoint `api` is removed, but `alpha` may be alive there",
        "endpoint `api` is removed, but `beta` may be alive there",
        "endpoint `files` is removed, but it may hold `alpha`",
    }
    found = lost(bench, endpoints("api", "files", store="second"))
    assert [code for code, _ in found] == ["CFG-STORE-IN-USE"] * 2


def test_once_it_is_dead_everything_may_go(bench: Bench) -> None:
    everything = Selection(everything=True)
    done = bench.service.retire_selected(ME, everything, apply=True, reason="over", ticket="")
    for run in done["runs"]:
        assert bench.finish(run["id"]).ending is Ending.SUCCEEDED
    assert lost(bench, endpoints(store="second")) == []


def test_a_changed_definition_is_not_left_behind(bench: Bench) -> None:
    bench.ledger.accept([replace(SHARED, owner="new@x.example"), credential("beta")], {}, bench.clock.at)
    assert bench.service.status()["unmanaged"] == []
    assert [one.notice.event for one in bench.ledger.unrouted(100) if "managed" in one.notice.event] == []
