"""The exec plugin with real programs: what they get, what their ends mean, which of them are refused."""

from __future__ import annotations

import json
import os
import resource
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rotator_exec import REASONS, Config, calls, plugin

from rotator.daemon.clock import SystemClock
from rotator.effects.host import Connection, Gateway, objections
from rotator.effects.platforms import Call
from rotator.plugin_api import (
    RESERVED,
    Alive,
    Failed,
    Inconclusive,
    Installed,
    InstallRequest,
    Misconfigured,
    OutcomeUnknown,
    PluginError,
    Ready,
    Refused,
    Rejected,
    Revoked,
    Secret,
    Subject,
)
from tests.unit.plugin_exec_desk import CANARY, INTO, LABEL, OF, check, desk, install, preflight, revoke, script

# ---- what a program gets -------------------------------------------------------------------------------------------


def test_fields_come_as_one_json_object_on_one_line_of_standard_input(tmp_path: Path) -> None:
    at = desk(script(tmp_path, f"cat > {tmp_path}/got"))
    assert install(at) == Installed()
    text = (tmp_path / "got").read_text()
    assert text.count("\n") == 1
    assert text.endswith("\n")
    assert json.loads(text) == {"USER": "app_a", "PASS": CANARY}


@pytest.mark.parametrize(
    "value", ["two\nlines", "quo\"te's", "nul\0", "ünï 🔑", "$HOME `id` \\", "%s{}", "x" * 400_000]
)
def test_any_value_comes_through_as_it_was(value: str, tmp_path: Path) -> None:
    at = desk(script(tmp_path, f"cat > {tmp_path}/got"))
    install(at, {"A": value, "B": "end"})
    raw = (tmp_path / "got").read_bytes()
    assert raw.isascii()
    assert json.loads(raw) == {"A": value, "B": "end"}


def test_words_are_split_as_a_shell_does_and_never_expanded(tmp_path: Path) -> None:
    program = script(tmp_path, f'cat > /dev/null; printf "%s|" "$@" > {tmp_path}/argv')
    install(desk(f"{program} 'two words' $HOME ';id' --label={{}}"))
    assert (tmp_path / "argv").read_text() == "two words|$HOME|;id|--label={}|"


def test_environment_is_small_and_names_only_references(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAK", CANARY)
    program = script(tmp_path, f"cat > /dev/null; env > {tmp_path}/env; pwd > {tmp_path}/pwd; umask > {tmp_path}/umask")
    install(desk(program))
    kept = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())
    assert {name: kept[name] for name in kept if name.startswith("ROTATOR_")} == {
        "ROTATOR_CALL": "install",
        "ROTATOR_TARGET": "orders",
        "ROTATOR_PRINCIPAL": "app_a",
        "ROTATOR_LABEL": LABEL,
    }
    assert {name for name in kept if not name.startswith("ROTATOR_")} <= {
        "PATH",
        "LC_ALL",
        "PWD",
        "_",
        "SHLVL",
        "OLDPWD",
    }
    assert (tmp_path / "pwd").read_text() == "/\n"
    assert (tmp_path / "umask").read_text().strip() == "0077"


def test_program_has_no_other_open_file_of_ours(tmp_path: Path) -> None:
    with (tmp_path / "ours").open("w") as ours:
        os.set_inheritable(ours.fileno(), True)
        install(desk(script(tmp_path, f"cat > /dev/null; ls -l /proc/self/fd > {tmp_path}/fds")))
    shown = (tmp_path / "fds").read_text()
    assert "ours" not in shown
    assert len([line for line in shown.splitlines() if "->" in line]) <= 5  # 0 1 2, the listing, its folder


def test_program_dumps_no_core(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (4096, hard))  # what it would inherit
    try:
        _asks_for_its_limit(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


def _asks_for_its_limit(tmp_path: Path) -> None:
    install(desk(script(tmp_path, f"cat > /dev/null; ulimit -c > {tmp_path}/core")))
    assert (tmp_path / "core").read_text().strip() == "0"


def test_without_fields_nothing_runs(tmp_path: Path) -> None:
    at = desk(script(tmp_path, f"touch {tmp_path}/ran"))
    with pytest.raises(Misconfigured, match="no_fields") as caught:
        install(at, {})
    assert caught.value.unsent
    with pytest.raises(Misconfigured, match="target"):
        install(at, into=Subject(principal="a\0b"))
    assert not (tmp_path / "ran").exists()


def test_too_late_to_begin_runs_nothing(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="deadline") as caught:
        install(desk(script(tmp_path, f"touch {tmp_path}/ran"), seconds=0.0))
    assert caught.value.unsent
    assert not (tmp_path / "ran").exists()


# ---- what its end means --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "kind", "reason"),
    [
        (65, Refused, "program_refuses"),
        (69, Failed, "program_unavailable"),
        (75, Failed, "program_says_later"),
        (77, Misconfigured, "program_permission"),
        (78, Misconfigured, "program_configuration"),
        (1, OutcomeUnknown, "program_failed"),
        (2, OutcomeUnknown, "program_failed"),
        (126, OutcomeUnknown, "program_failed"),
        (127, OutcomeUnknown, "program_failed"),
        (137, OutcomeUnknown, "program_failed"),
        (255, OutcomeUnknown, "program_failed"),
    ],
)
def test_exit_code_decides(code: int, kind: type[PluginError], reason: str, tmp_path: Path) -> None:
    program = script(tmp_path, f"cat > /dev/null; exit {code}")
    for ask in (install, revoke):
        with pytest.raises(PluginError) as caught:
            ask(desk(program, empty=str(program)))
        assert type(caught.value) is kind
        assert (caught.value.reason, caught.value.status, caught.value.unsent) == (reason, str(code), False)


def test_same_again_is_handed_over_again(tmp_path: Path) -> None:
    at = desk(script(tmp_path, f"cat >> {tmp_path}/got"))
    assert install(at) == install(at)
    first, second = (tmp_path / "got").read_text().splitlines()
    assert first == second


def test_empty_gets_the_names_and_no_values(tmp_path: Path) -> None:
    program = script(
        tmp_path, f"cat > {tmp_path}/got; echo $ROTATOR_CALL $ROTATOR_TARGET $ROTATOR_LABEL. > {tmp_path}/who"
    )
    assert revoke(desk("/bin/false", empty=str(program))) == Revoked()
    assert json.loads((tmp_path / "got").read_text()) == {"USER": None, "PASS": None}
    assert (tmp_path / "who").read_text() == "empty orders .\n"


def test_without_empty_a_person_is_asked() -> None:
    with pytest.raises(Misconfigured, match="no_empty") as caught:
        revoke(desk("/bin/true"))
    assert caught.value.unsent


# ---- check ---------------------------------------------------------------------------------------------------------


def test_check_is_alive_only_with_the_label_that_install_was_given(tmp_path: Path) -> None:
    kept = tmp_path / "label"
    takes = script(tmp_path, f"cat > /dev/null; echo $ROTATOR_LABEL > {kept}", "takes")
    shows = script(tmp_path, f"cat {kept} 2> /dev/null; true", "shows")
    at = desk(takes, check=str(shows))
    assert check(at) == Rejected(reason="holds_nothing")
    install(at)
    assert check(at) == Alive(principal=None)
    assert check(at, replace(OF, label="rot-t-1")) == Rejected(reason="holds_another")
    assert check(at, replace(OF, label="rot-t-170")) == Rejected(reason="holds_another")
    assert check(at, replace(OF, label="")) == Inconclusive(reason="no_label")


def test_check_is_not_told_the_label_it_is_asked_for(tmp_path: Path) -> None:
    program = script(tmp_path, f"env > {tmp_path}/env; cat > {tmp_path}/got; echo $ROTATOR_LABEL")
    assert check(desk("/bin/true", check=str(program))) == Rejected(reason="holds_nothing")
    assert LABEL not in (tmp_path / "env").read_text()
    assert (tmp_path / "got").read_text() == "{}\n"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("exit 1", "program_failed"),
        ("exit 75", "program_says_later"),
        ("exit 77", "program_permission"),
        ("kill -9 $$", "program_killed"),
        ("sleep 30", "program_timeout"),
        ("yes", "program_output"),
        (f"echo {LABEL}; yes", "program_output"),
    ],
)
def test_check_that_failed_proves_nothing(body: str, reason: str, tmp_path: Path) -> None:
    at = desk("/bin/true", check=str(script(tmp_path, body)), timeout=1)
    assert check(at) == Inconclusive(reason=reason)


def test_without_a_check_nothing_is_known() -> None:
    assert check(desk("/bin/true")) == Inconclusive(reason="no_check")


# ---- which programs are refused ------------------------------------------------------------------------------------


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users may look into."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made)


def spoiled(folder: Path, how: str) -> Path:
    program = script(folder, f"touch {folder}/ran")
    match how:
        case "program_missing":
            program.unlink()
        case "program_not_executable":
            program.chmod(0o644)
        case "program_writable":
            program.chmod(0o757)
        case "program_folder_writable":
            folder.chmod(0o777)
    return program


@pytest.mark.parametrize(
    "how", ["program_missing", "program_not_executable", "program_writable", "program_folder_writable"]
)
def test_program_that_may_not_be_run_is_a_finding_and_is_not_run(how: str, open_folder: Path) -> None:
    program = spoiled(open_folder, how)
    fine = desk("/bin/true", check=str(program), empty=str(program))
    assert preflight(fine).findings == (how,)
    assert preflight(desk(program)).findings == (how,)
    for ask in (lambda: install(desk(program)), lambda: revoke(fine), lambda: check(fine)):
        with pytest.raises(Misconfigured, match=how) as caught:
            ask()
        assert caught.value.unsent
    assert not (open_folder / "ran").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_owner_who_is_neither_root_nor_us_is_refused(open_folder: Path) -> None:
    program = script(open_folder, "cat > /dev/null")
    os.chown(program, 65534, 65534)
    assert preflight(desk(program)).findings == ("program_writable",)
    os.chown(program, 0, 65534)
    program.chmod(0o775)
    assert preflight(desk(program)).findings == ("program_writable",)  # the group may write
    program.chmod(0o755)
    os.chown(open_folder, 65534, 0)
    assert preflight(desk(program)).findings == ("program_folder_writable",)


def test_link_in_a_shared_folder_is_refused_and_what_it_leads_to_is_looked_at(
    open_folder: Path, tmp_path: Path
) -> None:
    program = script(tmp_path, "cat > /dev/null")
    (open_folder / "link").symlink_to(program)
    assert preflight(desk(open_folder / "link")).findings == ()
    open_folder.chmod(0o777)
    assert preflight(desk(open_folder / "link")).findings == ("program_folder_writable",)
    open_folder.chmod(0o755)
    tmp_path.chmod(0o777)
    assert preflight(desk(open_folder / "link")).findings == ("program_folder_writable",)
    tmp_path.chmod(0o700)
    program.chmod(0o757)
    assert preflight(desk(open_folder / "link")).findings == ("program_writable",)


def test_script_named_as_an_argument_is_looked_at_too(open_folder: Path) -> None:
    program = script(open_folder, "cat > /dev/null")
    at = desk(f"/bin/sh {program} /dev/null {open_folder} /no/such/file")
    assert preflight(at).findings == ()
    install(at)
    program.chmod(0o757)
    assert preflight(at).findings == ("argument_writable",)
    with pytest.raises(Misconfigured, match="argument_writable"):
        install(at)


def test_what_the_system_cannot_start_says_so(tmp_path: Path) -> None:
    program = script(tmp_path, "true", shell="/no/such/interpreter")
    with pytest.raises(Misconfigured, match="program_not_started") as caught:
        install(desk(program))
    assert (caught.value.status, caught.value.unsent) == ("ENOENT", True)
    program.write_bytes(b"\x00\x01\x02")
    with pytest.raises(Misconfigured, match="program_not_started"):
        install(desk(program))


# ---- as another user -----------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
def test_user_is_changed_to_with_groups_and_all(open_folder: Path) -> None:
    results = open_folder / "results"
    results.mkdir()
    results.chmod(0o777)
    program = script(open_folder, f"cat > {results}/got; id -u > {results}/uid; id -G > {results}/groups")
    at = desk(program, user="nobody")
    assert preflight(at) == Ready(acting="nobody")
    before = os.getgroups()
    os.setgroups([*before, 4711])
    try:
        install(at)
    finally:
        os.setgroups(before)
    assert (results / "uid").read_text() == "65534\n"
    assert set((results / "groups").read_text().split()) == {"65534"}
    assert json.loads((results / "got").read_text())["PASS"] == CANARY
    program.chmod(0o700)
    assert preflight(at).findings == ("program_not_executable",)


def test_user_that_does_not_exist_or_that_we_may_not_become(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Misconfigured, match="user_unknown"):
        preflight(desk("/bin/true", user="no-such-user-here"))
    monkeypatch.setattr(os, "geteuid", lambda: 65534)
    with pytest.raises(Misconfigured, match="user_not_root"):
        install(desk("/bin/true", user="root"))


# ---- configuration, declaration ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "config",
    [
        {"command": ""},
        {"command": "   "},
        {"command": "relative"},
        {"command": "'/open"},
        {"command": "/a/../b"},
        {"command": "/a\0b"},
        {"command": "/bin/true", "check": "relative"},
        {"command": "/bin/true", "empty": "  "},
        {"command": "/bin/true", "timeout": 0},
        {"command": "/bin/true", "timeout": 3601},
        {"command": "/bin/true", "user": "a b"},
        {"command": "/bin/true", "user": "-1"},
    ],
)
def test_nonsense_in_the_configuration_is_refused_when_read(config: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Config(**config)


def test_the_declaration_has_nothing_to_object_to() -> None:
    assert objections(plugin) == ()
    assert plugin.routes == ()


def test_every_reason_is_told_in_the_manual_and_used() -> None:
    folder = Path(calls.__file__).parent
    code = "".join(one.read_text() for one in folder.glob("*.py") if one.name != "__init__.py")
    manual = (folder.parents[1] / "docs/plugin-exec.md").read_text()
    assert [slug for slug in REASONS if f'"{slug}"' not in code] == []
    assert [slug for slug in REASONS if f"`{slug}`" not in manual] == []
    assert not set(REASONS) & set(RESERVED)


def test_behind_the_host_it_does_the_same(tmp_path: Path) -> None:
    config: dict[str, str | int | bool] = {"command": str(script(tmp_path, f"cat > {tmp_path}/got"))}
    hosted = Gateway(SystemClock(), "0").platform(Connection(name="e", plugin=plugin, config=config), "program")
    request = InstallRequest(into=INTO, value=Secret(CANARY), of=OF, label=LABEL, fields={"PASS": Secret(CANARY)})
    assert hosted.install(Call("unit", 5.0), request) == Installed()
    assert json.loads((tmp_path / "got").read_text()) == {"PASS": CANARY}
