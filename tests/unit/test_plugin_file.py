"""The file plugin on a real file system: what is written, refused, and made of it by crashes and attackers."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from rotator_file import place
from rotator_file.render import rendered

from rotator.plugin_api import (
    Generation,
    Installed,
    InstallRequest,
    ListRequest,
    Misconfigured,
    Refused,
    Revoked,
    Secret,
    Subject,
)
from tests.unit.plugin_file_desk import CANARY, FILE, desk, install, mode, preflight, revoke

# ---- content -------------------------------------------------------------------------------------------------------


def test_env_file_is_written_whole_with_its_mode(tmp_path: Path) -> None:
    at = desk(tmp_path, mode="0640")
    assert install(at, "db.env", {"USER": "app_a", "PASS": CANARY}) == Installed(handle="db.env")
    assert (tmp_path / "db.env").read_text() == f"USER=app_a\nPASS={CANARY}\n"
    assert mode(tmp_path / "db.env") == 0o640
    assert [entry.name for entry in tmp_path.iterdir()] == ["db.env"]


@pytest.mark.parametrize(
    "text",
    [
        "plain-123_./:@%+=,",
        "two words",
        'quo"te',
        "apo'strophe",
        "back\\slash",
        "dollar$HOME `id` $(id)",
        "all ' \" \\ $x `y` #",
        " padded ",
        "#hash",
        "",
        "ünï 🔑",
        "a!b*c?[d]",
        "tab\there",
    ],
)
def test_shell_reads_back_every_value_as_it_was(text: str, tmp_path: Path) -> None:
    install(desk(tmp_path), "x.env", {"A": text, "B": "end"})
    program = f'. {tmp_path}/x.env; printf "%s|%s" "$A" "$B"'
    done = subprocess.run(["/bin/sh", "-c", program], capture_output=True, check=True, timeout=10)
    assert done.stdout.decode() == f"{text}|end"


@pytest.mark.parametrize("text", ["two\nlines", "nul\0", "carriage\rreturn"])
def test_value_that_an_env_file_cannot_hold_is_refused_before_anything_is_written(text: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="policy"):
        install(desk(tmp_path), "x.env", {"A": text}, value=text)
    with pytest.raises(Misconfigured, match="field_value"):  # another value would not help: it is not the value
        install(desk(tmp_path), "x.env", {"A": text})
    assert not list(tmp_path.iterdir())
    install(desk(tmp_path), "x.json", {"A": text}, format="json")
    assert json.loads((tmp_path / "x.json").read_text()) == {"A": text}


def test_raw_holds_exactly_one_value_and_nothing_else(tmp_path: Path) -> None:
    at = desk(tmp_path)
    install(at, "a", format="raw")
    assert (tmp_path / "a").read_bytes() == CANARY.encode()
    install(at, "b", {"X": "only\nthis"}, format="raw")
    assert (tmp_path / "b").read_bytes() == b"only\nthis"
    for fields, form in (({"A": "1", "B": "2"}, "raw"), ({"A": "1"}, "yaml")):
        with pytest.raises(Misconfigured, match="format"):
            install(at, "c", fields, format=form)
    with pytest.raises(Misconfigured, match="no_fields"):
        install(at, "c")


@pytest.mark.parametrize("key", ["", "1A", "A B", "A=B", "A\nB", "Ä", "A-B"])
def test_key_that_a_reader_would_take_apart_is_refused(key: str, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="field_name"):
        install(desk(tmp_path), "x.env", {key: "1"})


def test_surrogates_are_refused_in_every_format() -> None:
    for form in ("env", "json", "raw"):
        with pytest.raises(Refused, match="policy"):
            rendered(form, {"A": Secret("\ud800")}, Secret("\ud800"))


# ---- the same again, and taking away -------------------------------------------------------------------------------


def test_same_again_is_done_and_repairs_mode_and_owner(tmp_path: Path) -> None:
    at, path = desk(tmp_path, owner=str(os.geteuid()), group=str(os.getegid())), tmp_path / "x.env"
    install(at, "x.env", {"A": CANARY})
    path.chmod(0o666)
    assert install(at, "x.env", {"A": CANARY}) == Installed(handle="x.env")
    assert mode(path) == 0o600
    assert path.read_text() == f"A={CANARY}\n"


def test_file_is_ours_wholly_so_other_keys_go(tmp_path: Path) -> None:
    (tmp_path / "x.env").write_text("OTHER=1\n")
    install(desk(tmp_path), "x.env", {"A": "2"})
    assert (tmp_path / "x.env").read_text() == "A=2\n"


def test_old_value_can_be_put_back(tmp_path: Path) -> None:
    at = desk(tmp_path)
    for text in ("old", "new", "old"):
        install(at, "x.env", {"A": text})
    assert (tmp_path / "x.env").read_text() == "A=old\n"


def test_revoke_removes_this_file_only_and_may_be_said_twice(tmp_path: Path) -> None:
    at = desk(tmp_path)
    install(at, "x.env", {"A": "1"})
    install(at, "x.env2", {"A": "1"})
    (tmp_path / place.Place(0, "x.env").draft).write_text(CANARY)
    assert revoke(at, "x.env") == Revoked(already=False)
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.env2"]  # the leftover of a crash is gone too
    assert revoke(at, "x.env") == Revoked(already=True)


def test_listing_shows_that_it_is_held_and_whether_as_it_should_be(tmp_path: Path) -> None:
    at, subject = desk(tmp_path), Subject(principal="x", params={"path": "sub/x.env"})
    (tmp_path / "sub").mkdir()
    assert at(FILE.list, ListRequest(subject=subject)).items == ()
    at(
        FILE.install,
        InstallRequest(
            into=subject, value=Secret(CANARY), of=Generation(subject=subject), label="l", fields={"A": Secret("1")}
        ),
    )
    (row,) = at(FILE.list, ListRequest(subject=subject)).items
    assert (row.handle, row.active) == ("sub/x.env", True)
    assert abs(row.updated_at.timestamp() - (tmp_path / "sub/x.env").stat().st_mtime) < 0.001
    (tmp_path / "sub/x.env").chmod(0o644)
    assert not at(FILE.list, ListRequest(subject=subject)).items[0].active
    assert at(FILE.list, ListRequest(subject=None)).items == ()


# ---- paths and links -----------------------------------------------------------------------------------------------

HOSTILE_PATHS = (
    "../x", "a/../../x", "/etc/x", "", ".", "..", "a//b", "a/", "./a", "a/./b", "x\0y", "x\ny", "x\x1b[2J",
    ".rotator-x", "a/.rotator-y/z", "n" * 256, "x\ud800",
)  # fmt: skip


@pytest.mark.parametrize("path", HOSTILE_PATHS)
def test_path_that_is_not_plainly_below_the_root_is_refused(path: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    with pytest.raises(Misconfigured, match="path"):
        install(desk(root), path, {"A": "1"})
    with pytest.raises(Misconfigured, match="path"):
        revoke(desk(root), path)
    assert preflight(desk(root), path).findings == ("path",)
    assert [entry.name for entry in tmp_path.iterdir()] == ["root"]
    assert not list(root.iterdir())


@pytest.mark.parametrize("name", ["spa ce", "quo'te", "-rf", "$HOME", "ünï", "%2e%2e", "back\\slash", "n" * 255])
def test_odd_name_is_that_file(name: str, tmp_path: Path) -> None:
    install(desk(tmp_path), name, {"A": "1"})
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_symbolic_links_below_the_root_are_never_followed(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (outside / "x.env").write_text("precious\n")
    (root / "dir").symlink_to(outside)
    (root / "x.env").symlink_to(outside / "x.env")
    (root / "dangling").symlink_to(outside / "new")
    for path in ("dir/x.env", "x.env", "dangling"):
        with pytest.raises(Misconfigured, match="symbolic_link"):
            install(desk(root), path, {"A": "1"})
        with pytest.raises(Misconfigured, match="symbolic_link"):
            revoke(desk(root), path)
        assert preflight(desk(root), path).findings == ("symbolic_link",)
    assert (outside / "x.env").read_text() == "precious\n"
    assert [entry.name for entry in outside.iterdir()] == ["x.env"]


def test_link_planted_at_the_draft_is_removed_not_followed(tmp_path: Path) -> None:
    root, victim = tmp_path / "root", tmp_path / "victim"
    root.mkdir()
    victim.write_text("precious\n")
    (root / place.Place(0, "x.env").draft).symlink_to(victim)
    install(desk(root), "x.env", {"A": "1"})
    assert victim.read_text() == "precious\n"
    assert [entry.name for entry in root.iterdir()] == ["x.env"]


def test_hard_link_to_the_old_content_is_left_behind_not_overwritten(tmp_path: Path) -> None:
    install(desk(tmp_path), "x.env", {"A": "old"})
    (tmp_path / "kept").hardlink_to(tmp_path / "x.env")
    install(desk(tmp_path), "x.env", {"A": "new"})
    assert (tmp_path / "kept").read_text() == "A=old\n"


def test_what_is_no_plain_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for path in ("folder", "pipe"):
        with pytest.raises(Misconfigured, match="not_a_file"):
            install(desk(tmp_path), path, {"A": "1"})
    (tmp_path / "plain").write_text("")
    with pytest.raises(Misconfigured, match="not_a_folder"):
        install(desk(tmp_path), "plain/x", {"A": "1"})
    with pytest.raises(Misconfigured, match="missing_folder"):
        install(desk(tmp_path), "absent/x", {"A": "1"})
    with pytest.raises(Misconfigured, match="missing_folder"):
        install(desk(tmp_path / "gone"), "x", {"A": "1"})
