"""What needs no daemon: help, usage, errors of the way there, configuration, and the cost of starting."""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rotator.cli import exits
from rotator.cli.main import COMMANDS
from rotator.cli.spans import seconds_of
from rotator.cli.starter import one_file
from tests.unit.cli_process import COMMAND, ROOT, Cli, Done, cli_over

HELP_BUDGET = 0.150
HEAVY = {
    "rotator.effects", "rotator.plugin_api", "rotator.ledger", "rotator.machine", "rotator.engine", "rotator.settings",
    "rotator.daemon", "sqlalchemy", "pydantic", "structlog", "hvac", "requests", "urllib3", "ruamel", "cryptography",
    "apscheduler", "http.client", "ssl",
}  # fmt: skip


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    with cli_over(tmp_path) as made:
        yield made


def alone(*words: str, **extra: str) -> Done:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("ROTATOR_")}
    done = subprocess.run(
        [*COMMAND, *words], capture_output=True, text=True, timeout=60, env=kept | {"PYTHONPATH": str(ROOT)} | extra,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return Done(done.returncode, done.stdout, done.stderr)


def test_help_costs_less_than_its_budget() -> None:
    costs = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert alone("--help").code == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        costs.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(costs) < HELP_BUDGET, costs


def test_help_imports_no_room() -> None:
    program = (
        "import sys, json; from rotator.cli.main import run; "
        "code = run(['--help']); print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, cwd=ROOT)
    loaded = set(json.loads(done.stderr.splitlines()[-1]))
    assert {name for name in HEAVY if any(one == name or one.startswith(f"{name}.") for one in loaded)} == set()
    assert not any(one.startswith("rotator.cli.commands.") for one in loaded)


def test_help_lists_every_command_with_its_line() -> None:
    out = " ".join(alone("--help").out.split())
    assert [name for name, (_, line) in COMMANDS.items() if f"{name} {line}" not in out] == []


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help_with_the_global_options(name: str) -> None:
    done = alone(name, "--help")
    assert done.code == 0
    assert "--socket" in done.out
    assert alone("help", name).out == done.out


def test_exit_codes_are_told_and_documented() -> None:
    shown = alone("help", "exit-codes").out
    told = (ROOT / "docs/cli.md").read_text()
    for code, (name, meaning) in exits.MEANINGS.items():
        assert any(line.split()[:1] == [str(code)] and meaning in line for line in shown.splitlines())
        assert f"| {code} | {name} | {meaning} |" in told


def test_every_variable_of_an_option_is_told() -> None:
    from rotator.cli.grammar import global_options

    shown = alone("help", "environment").out
    assert [one.envvar for one in global_options(root=True) if str(one.envvar) not in shown] == []


def test_topics_and_completion_are_there() -> None:
    for topic in ("environment", "formatting", "selectors"):
        assert alone("help", topic).code == 0
    told = alone("help", "rot-run-open")
    assert told.code == 0
    assert "There is one at a time." in told.out
    assert "docs/runbook.md#rot-run-open" in told.out
    assert alone("help", "ROT-NO-SUCH-CODE").code == 2
    assert alone("help", "nothing").code == 2
    for shell in ("bash", "zsh", "fish"):
        assert "_ROTATOR_COMPLETE" in alone("completion", shell).out


def test_the_shell_completes_commands_and_credentials(cli: Cli) -> None:
    def completed(line: str) -> str:
        words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1), "_ROTATOR_COMPLETE": "bash_complete"}
        return cli(**words).out

    assert "plain,emergency" in completed("rotator emer")
    assert "plain,orders" in completed("rotator explain ord")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("statsu",), "Did you mean status"),
        (("runs", "wacth"), "Did you mean watch"),
        (("status", "--exit-cod"), "--exit-code"),
        (("rotate", "--reason", "x"), "say which credentials"),
        (("rotate", "a", "--all", "--reason", "x"), "one way only"),
        (("rotate", "a", "-l", "team", "--reason", "x"), "column 5"),
        (("rotate", "a", "--reason", "x", "--timeout", "soon"), "90s, 10m"),
        (("plan", "a", "--kind", "destroy"), "destroy"),
        (("pause", "a", "--reason", "x", "--until", "tomorrow"), "--until"),
        (("pause", "a", "--reason", "x", "--until", "2026-12-01T00:00:00"), "zone"),
        (("adopt", "a", "b", "--from", "/x"), "one credential"),
        (("runs",), "Usage"),
        (("runs", "answer", "r", "perhaps", "--reason", "x"), "perhaps"),
    ],
)
def test_wrong_usage_is_2_and_says_what_was_meant(words: tuple[str, ...], says: str) -> None:
    done = alone(*words)
    assert (done.code, done.out) == (2, "")
    assert says in done.err


def test_wrong_usage_is_a_valid_document_too() -> None:
    assert alone("-o", "json", "statsu").document["error"]["exit"] == 2
    assert alone("rotate", "--output=ndjson").lines[-1]["error"]["code"] == "ROT-USAGE"


def test_no_daemon_is_13_and_says_how_to_start_it(tmp_path: Path) -> None:
    done = alone("status", "--socket", str(tmp_path / "none.sock"))
    assert done.code == 13
    assert "rotator serve" in done.err
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "dead.sock"))
    done = alone("status", "--socket", str(tmp_path / "dead.sock"), "-o", "json")
    assert done.code == 13
    assert done.document["error"]["code"] == "ROT-UNREACHABLE"
    assert alone("version", "--socket", str(tmp_path / "none.sock")).code == 0


def _answers(path: Path, answer: bytes) -> threading.Thread:
    """A server that takes one request and answers these bytes."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen(1)

    def serve() -> None:
        connection, _ = listening.accept()
        with connection, listening:
            connection.recv(65536)
            connection.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", b"HTTP/1.1 200 OK\r\n\r\n[1]"]
)
def test_an_act_whose_answer_is_lost_is_uncertain_and_not_repeated(tmp_path: Path, answer: bytes) -> None:
    serving = _answers(tmp_path / "api.sock", answer)
    done = alone("rotate", "orders", "--reason", "x", "--socket", str(tmp_path / "api.sock"))
    serving.join(10)
    assert done.code == 12
    assert "ROT-ANSWER-LOST" in done.err
    assert "rotator runs list --open" in done.err


def test_a_look_whose_answer_is_lost_is_unreachable(tmp_path: Path) -> None:
    serving = _answers(tmp_path / "api.sock", b"")
    done = alone("plan", "orders", "--socket", str(tmp_path / "api.sock"))
    serving.join(10)
    assert done.code == 13


@pytest.mark.skipif(os.geteuid() != 0, reason="root may open any socket; this becomes somebody else")
def test_a_socket_that_one_may_not_open_is_4(cli: Cli) -> None:
    program = (
        "import os, sys; from rotator.cli.client import Client; from rotator.cli.failures import Failure; "
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try: Client(sys.argv[1]).get('/v1/status')\n"
        "except Failure as failure: print(failure.code, failure.exit)"
    )
    # The whole way must be passable for another user, down to the socket itself, which is not.
    for folder in cli.socket.parents:
        if folder.stat().st_mode & 0o001 == 0 and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o711)
    script = [sys.executable, "-c", program, str(cli.socket)]
    done = subprocess.run(script, capture_output=True, text=True, timeout=30, cwd=ROOT)
    assert done.stdout.split() == ["ROT-NOT-ALLOWED", "4"], done.stderr


def test_config_init_writes_what_config_validate_takes(tmp_path: Path) -> None:
    path = tmp_path / "rotator.yaml"
    assert alone("config", "init", str(path)).code == 0
    written = path.read_text()
    assert "CHANGE" in written
    done = alone("config", "validate", str(path))
    assert (done.code, done.out) == (0, f"{path}: valid\n")
    again = alone("config", "init", str(path))
    assert again.code == 6
    assert path.read_text() == written
    assert alone("config", "init", str(tmp_path / "no" / "where.yaml")).code == 2
    assert not (tmp_path / "no").exists()


def test_config_validate_tells_every_problem_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "rotator.yaml"
    text = one_file("2099-01-01", "x.json")
    path.write_text(text.replace("    owner:", "    ownr:").replace("every: 30d", "every: often"))
    done = alone("config", "validate", str(path))
    assert done.code == 3
    assert f"{path}:" in done.out
    assert "[CFG-UNKNOWN-KEY]" in done.out
    assert "[CFG-BAD-DURATION]" in done.out
    document = alone("config", "validate", str(path), "-o", "json").document
    assert document["valid"] is False
    assert {one["code"] for one in document["items"]} >= {"CFG-UNKNOWN-KEY", "CFG-BAD-DURATION"}
    assert alone("config", "validate", str(tmp_path / "none")).code == 3


def test_plugins_check_tells_whether_a_pack_is_valid(tmp_path: Path) -> None:
    done = alone("plugins", "check", str(ROOT / "plugins/rotator_http/packs/alerta.yaml"))
    assert (done.code, done.err) == (0, "")
    broken = tmp_path / "broken.yaml"
    broken.write_text((ROOT / "plugins/rotator_http/packs/alerta.yaml").read_text().replace("kinds:", "kidns:"))
    done = alone("plugins", "check", str(broken))
    assert done.code == 3
    assert f"{broken}:" in done.out
    document = alone("plugins", "check", str(broken), "-o", "json").document
    assert document["valid"] is False
    assert document["items"][0]["line"] > 0
    told = [one["docs"] for one in document["items"]]
    assert [line.split()[1] for line in done.out.splitlines() if line.startswith("    more")] == told
    manual = (ROOT / "docs/packs.md").read_text()
    assert [place for place in told if f'<a id="{place.partition("#")[2]}"></a>' not in manual] == []


def test_a_reader_that_has_enough_is_no_error(cli: Cli) -> None:
    # The reader is gone before the first line.
    command = f"(sleep 1; {sys.executable} -m rotator.cli help formatting) | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=30, env=cli.environment({}))
    assert done.returncode == 0
    assert done.stderr == ""


def test_an_old_terminal_s_encoding_gets_plain_signs(cli: Cli) -> None:
    done = cli("verify", "orders", PYTHONIOENCODING="ascii")
    assert done.code == 0
    assert done.out.startswith("+ orders: works")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("10m", 600),
        ("1h30m", 5400),
        ("2d", 172800),
        ("45", 45),
        ("", None),
        ("soon", None),
        ("5m1h", None),
    ],
)
def test_spans(text: str, seconds: float | None) -> None:
    assert seconds_of(text) == seconds


def test_serve_refuses_a_configuration_before_anything_starts(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("apiVersion: rotator/v1\n")
    done = alone("serve", "--config", str(path))
    assert done.code == 3
    assert "CFG-MISSING" in done.err
    assert alone("serve", "--config", str(tmp_path / "none")).code == 2


def test_a_bug_here_shows_types_and_places_only() -> None:
    program = (
        "from rotator.cli import main\n"
        "from rotator.cli.commands import topics\n"
        "def broken(*_): raise ValueError('canary-in-a-message')\n"
        "topics._text = broken\n"
        "raise SystemExit(main.run(['help', 'formatting']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, cwd=ROOT)
    assert (done.returncode, done.stdout) == (1, "")
    assert "a bug: ValueError at" in done.stderr
    assert "rotator.cli.commands.topics:" in done.stderr
    assert "canary" not in done.stderr
