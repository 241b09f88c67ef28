"""Files, directories, the ledger's copy: what is loaded, merged, kept and told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rotator.engine import calendar
from rotator.engine.inventory import FieldMap, Source
from rotator.settings import connections, governance, models
from rotator.settings.definitions import definitions
from rotator.settings.documents import digests
from rotator.settings.folders import files_of
from rotator.settings.loader import load, load_text
from rotator.settings.models import from_json, schema, to_json
from rotator.settings.problems import ConfigurationRefused, nearest
from rotator.settings.values import Model

CONFIG = Path(__file__).parents[2] / "config"
NOW = 1_795_500_000_000  # November 2026
PLUGINS = {"http", "postgresql", "file"}

HEAD = """\
apiVersion: rotator/v1
installation: acme
daemon: {ledger: /l.db, fingerprint_key: {file: /f.key}, socket: /api.sock}
stores: {main: {type: local, path: /srv/store, key: {file: /s.key}}}
"""
ENDPOINT = (
    "apiVersion: rotator/v1\nendpoints: {alerta: {plugin: http, pack: alerta, config: {url: https://a.example}}}\n"
)
POLICY = "apiVersion: rotator/v1\npolicies: {standard: {every: 30d, overlap: 24h}}\n"


def credential(name: str, principal: str) -> str:
    return (
        "apiVersion: rotator/v1\ncredentials:\n"
        f"  {name}: {{owner: a, purpose: b, workflows: [], expires: 2027-06-30, tier: T2, policy: standard,\n"
        f"    authority: {{endpoint: alerta, kind: key, principal: {principal}}},\n"
        f"    store: {{in: main, path: app/{name}, value: key}}}}\n"
    )


def directory(tmp_path: Path, **files: str) -> Path:
    for name, text in files.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    return tmp_path


@pytest.mark.parametrize("name", ["minimal.yaml", "rotator.example.yaml"])
def test_the_shipped_examples_load_without_a_warning(name):
    loaded = load(CONFIG / name, plugins=PLUGINS, now=NOW)
    assert loaded.warnings == ()
    assert loaded.configuration.credentials
    assert from_json(to_json(loaded.configuration)) == loaded.configuration


def test_what_the_example_says_is_what_the_engine_gets():
    found = definitions(load(CONFIG / "rotator.example.yaml").configuration)
    orders, sync = found["orders"], found["alerta-sync"]
    assert orders.authorities[0].principals == ("orders_a", "orders_b")
    assert orders.consumers[0].fields == (FieldMap("PASS", Source.VALUE), FieldMap("USER", Source.PRINCIPAL))
    assert orders.consumers[0].id == "files/file/db.env"
    assert orders.policy.schedule.cron == "0 3 * * 6"
    assert orders.policy.schedule.min_age == calendar.DAY
    assert orders.policy.keep_history
    assert orders.policy.pause is not None
    assert orders.policy.pause.until == 1_799_038_800_000
    assert sync.policy.schedule.window == calendar.Window(60, 300, "Europe/Berlin", "next")
    assert (sync.policy.overlap, sync.policy.attempts, sync.policy.span) == (calendar.DAY, 8, 6 * calendar.HOUR)
    assert sync.policy.schedule.jitter == 2 * calendar.HOUR
    assert sync.labels == (("team", "itsm"),)
    assert sync.expires == 1_814_313_600_000


def test_a_directory_is_one_configuration(tmp_path):
    path = directory(tmp_path, a=HEAD, b=ENDPOINT, c=POLICY, d=credential("one", "x"), e=credential("two", "y"))
    (tmp_path / "notes.txt").write_text("no yaml: [")
    (tmp_path / ".hidden.yaml").write_text("no yaml: [")
    (tmp_path / "f.yml").write_text(credential("three", "z"))
    loaded = load(path)
    assert set(loaded.configuration.credentials) == {"one", "two", "three"}
    assert [Path(name).name for name in loaded.digests] == ["a.yaml", "b.yaml", "c.yaml", "d.yaml", "e.yaml", "f.yml"]
    assert loaded.digests == digests(files_of(path))


def test_sections_have_folders_of_their_own_by_team(tmp_path):
    directory(tmp_path, rotator=HEAD)
    for folder, text in [
        ("endpoints", ENDPOINT), ("policies", POLICY), ("credentials/itsm", credential("one", "x")),
        ("credentials/orders/night", credential("two", "y")), ("packs", "no: configuration"), ("notes", None),
        ("credentials/..data", "no yaml: ["),
    ]:  # fmt: skip
        (tmp_path / folder).mkdir(parents=True)
        if text is not None:
            (tmp_path / folder / "a.yaml").write_text(text)
    loaded = load(tmp_path)
    assert set(loaded.configuration.credentials) == {"one", "two"}
    assert set(loaded.digests) == set(digests(files_of(tmp_path)))
    assert [Path(name).relative_to(tmp_path).parts[0] for name in loaded.digests] == [
        "credentials", "credentials", "endpoints", "policies", "rotator.yaml",
    ]  # fmt: skip


def test_a_file_of_a_team_cannot_change_a_policy(tmp_path):
    directory(tmp_path, rotator=HEAD, endpoints=ENDPOINT, policies=POLICY)
    (tmp_path / "credentials").mkdir()
    milder = credential("one", "x").replace("policy: standard", "policy: mild")
    (tmp_path / "credentials/itsm.yaml").write_text(f"{milder}policies: {{mild: {{every: 9d, overlap: 1h}}}}\n")
    with pytest.raises(ConfigurationRefused) as refused:
        load(tmp_path)
    told = {(one.code, Path(one.file).name, one.line) for one in refused.value.problems if not one.warning}
    assert told == {("CFG-WRONG-FOLDER", "itsm.yaml", 6), ("CFG-UNKNOWN-REF", "itsm.yaml", 3)}


@pytest.mark.parametrize(("name", "meant"), [("credential", "credentials"), ("Policies", "policies"), ("teams", "")])
def test_a_folder_that_nobody_reads_is_told(tmp_path, name, meant):
    """A misspelt folder must not make its credentials unmanaged: it refuses. Any other is told."""
    directory(tmp_path, rotator=HEAD, endpoints=ENDPOINT, policies=POLICY, credentials=credential("one", "x"))
    (tmp_path / name).mkdir()
    assert load(tmp_path).configuration.credentials
    (tmp_path / name / "a.yaml").write_text(credential("two", "y"))
    if meant:
        with pytest.raises(ConfigurationRefused) as refused:
            load(tmp_path)
        (problem,) = refused.value.problems
    else:
        (problem,) = load(tmp_path).warnings
    assert (problem.code, problem.suggestion, problem.file) == ("CFG-WRONG-FOLDER", meant, str(tmp_path / name))


def test_a_folder_that_leads_back_to_itself_ends(tmp_path):
    directory(tmp_path, rotator=HEAD, endpoints=ENDPOINT, policies=POLICY)
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials/one.yaml").write_text(credential("one", "x"))
    (tmp_path / "credentials/again").symlink_to(tmp_path / "credentials")
    assert set(load(tmp_path).configuration.credentials) == {"one"}


def test_a_mounted_config_map_is_read_once(tmp_path):
    """The files are links into a hidden folder that is swapped."""
    directory(tmp_path, rotator=HEAD, endpoints=ENDPOINT, policies=POLICY)
    hidden = tmp_path / "credentials/..2026"
    hidden.mkdir(parents=True)
    (hidden / "one.yaml").write_text(credential("one", "x"))
    (tmp_path / "credentials/..data").symlink_to(hidden)
    (tmp_path / "credentials/one.yaml").symlink_to(tmp_path / "credentials/..data/one.yaml")
    assert set(load(tmp_path).configuration.credentials) == {"one"}


def test_a_file_that_changed_has_another_digest(tmp_path):
    path = directory(tmp_path, a=HEAD, b=POLICY)
    before = digests(files_of(path))
    (tmp_path / "b.yaml").write_text(POLICY + "# a comment\n")
    after = digests(files_of(path))
    assert [Path(name).name for name in before if before[name] != after[name]] == ["b.yaml"]


def test_an_id_in_two_files_names_both_places(tmp_path):
    path = directory(tmp_path, a=HEAD, b=ENDPOINT, c=POLICY, d=credential("one", "x"), e=credential("one", "y"))
    with pytest.raises(ConfigurationRefused) as refused:
        load(path)
    (problem,) = refused.value.problems
    assert problem.code == "CFG-DUPLICATE-ID"
    assert problem.file.endswith("e.yaml")
    assert (problem.line, problem.column) == (3, 3)
    assert "d.yaml:3" in problem.message


def test_two_credentials_of_one_principal_name_both_places(tmp_path):
    path = directory(tmp_path, a=HEAD, b=ENDPOINT, c=POLICY, d=credential("one", "x"), e=credential("two", "x"))
    with pytest.raises(ConfigurationRefused) as refused:
        load(path)
    (problem,) = refused.value.problems
    assert problem.code == "CFG-SAME-PLACE"
    assert problem.file.endswith("e.yaml")
    assert "d.yaml:4" in problem.message


def test_a_key_of_the_daemon_in_two_files_is_refused(tmp_path):
    path = directory(tmp_path, a=HEAD, b="apiVersion: rotator/v1\ndaemon: {socket: /other.sock}\n")
    with pytest.raises(ConfigurationRefused) as refused:
        load(path)
    assert [one.code for one in refused.value.problems] == ["CFG-DUPLICATE-ID"]


def test_every_file_says_its_version(tmp_path):
    path = directory(tmp_path, a=HEAD, b="policies: {standard: {every: 30d, overlap: 24h}}\n")
    with pytest.raises(ConfigurationRefused) as refused:
        load(path)
    (problem,) = refused.value.problems
    assert problem.code == "CFG-MISSING"
    assert problem.file.endswith("b.yaml")


def test_a_broken_file_does_not_make_every_reference_to_it_an_error(tmp_path):
    path = directory(tmp_path, a=HEAD, b=ENDPOINT, c="policies: {", d=credential("one", "x"))
    with pytest.raises(ConfigurationRefused) as refused:
        load(path)
    assert [(one.code, Path(one.file).name) for one in refused.value.problems] == [("CFG-YAML", "c.yaml")]


@pytest.mark.parametrize("what", ["missing", "empty", "binary", "directory"])
def test_what_cannot_be_read_is_told(tmp_path, what):
    path = tmp_path / "x.yaml"
    if what == "binary":
        path.write_bytes(b"\xff\xfe\x00canary")
    elif what == "empty":
        path = tmp_path
    elif what == "directory":
        path = tmp_path / "conf"
        path.mkdir()
        (path / "a.yaml").mkdir()
    with pytest.raises(ConfigurationRefused) as refused:
        load(path)
    (problem,) = refused.value.problems
    assert problem.code == ("CFG-UNREADABLE" if what in ("missing", "binary") else "CFG-EMPTY")
    assert str(path) in problem.place


def test_an_expiry_that_comes_near_warns_and_refuses_nothing():
    text = (CONFIG / "minimal.yaml").read_text()
    (warned,) = load_text(text.replace("2027-06-30", "2026-12-01"), now=NOW).warnings
    assert warned.code == "CFG-EXPIRY-NEAR"
    assert "before a rotation" in warned.message
    (expired,) = load_text(text.replace("2027-06-30", "2026-11-01"), now=NOW).warnings
    assert "has expired" in expired.message
    assert "warning" in expired.in_words()
    assert load_text(text.replace("2027-06-30", "2026-11-01")).warnings == ()


def test_yaml_1_2_leaves_words_and_times_alone():
    text = (CONFIG / "minimal.yaml").read_text()
    labels = "    labels: {norway: NO, answer: yes, time: 1:30, octal: '010'}\n    policy: monthly"
    found = load_text(text.replace("    policy: monthly", labels)).configuration.credentials["alerta-sync"].labels
    assert found == {"norway": "NO", "answer": "yes", "time": "1:30", "octal": "010"}


def test_anchors_and_merge_keys_work():
    text = (CONFIG / "minimal.yaml").read_text()
    text = text.replace("  monthly: {every", "  monthly: &m {every") + (
        "  second:\n    <<: {owner: a, purpose: b, workflows: [], expires: 2027-06-30, tier: T3, policy: monthly}\n"
        "    tier: T2\n"
        "    authority: {endpoint: alerta, kind: key, principal: p}\n    store: {in: main, path: a, value: key}\n"
    )
    text = text.replace("credentials:\n", "  weekly:\n    <<: *m\n    every: 7d\ncredentials:\n")
    loaded = load_text(text).configuration
    assert loaded.policies["weekly"].every == 7 * calendar.DAY
    assert loaded.policies["weekly"].overlap == calendar.DAY
    assert loaded.credentials["second"].tier == "T2"


def test_equal_configurations_give_equal_texts():
    text = (CONFIG / "rotator.example.yaml").read_text()
    once = to_json(load_text(text).configuration)
    assert once == to_json(from_json(once))
    assert json.loads(once)["policies"]["standard"]["every"] == "30d"


def test_tests_can_make_the_times_short():
    text = (CONFIG / "minimal.yaml").read_text()
    short = "  tick: 50ms\n  deadline: 1s\n  landing: 200ms\n  workers: 2\nstores:"
    daemon = load_text(text.replace("stores:", short, 1)).configuration.daemon
    assert (daemon.tick, daemon.deadline, daemon.landing, daemon.workers) == (50, 1000, 200, 2)


def test_plugins_allowed_are_those_named_unless_said():
    assert load(CONFIG / "minimal.yaml").configuration.allowed_plugins == {"http"}
    assert load(CONFIG / "rotator.example.yaml").configuration.allowed_plugins == PLUGINS


def test_every_key_is_described():
    undescribed = [
        f"{model.__name__}.{name}"
        for module in (connections, governance, models)
        for model in vars(module).values()
        if isinstance(model, type) and issubclass(model, Model) and model is not Model
        for name, info in model.model_fields.items()
        if not info.description and name not in ("type", "failures", "per")
    ]
    assert undescribed == []
    assert schema()["properties"]["installation"]["pattern"] == "^[a-z0-9-]{1,12}$"


def test_models_are_frozen():
    configuration = load(CONFIG / "minimal.yaml").configuration
    with pytest.raises(ValueError, match="frozen"):
        configuration.installation = "other"


def test_nearest():
    assert nearest("standrad", ["standard", "weekly"]) == "standard"
    assert nearest("APIVERSION", ["apiVersion"]) == "apiVersion"
    assert nearest("zzz", ["standard"]) == ""
