"""The documents say what the code says: generated blocks are fresh, every code has its entry and its anchor."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from rotator.cli import exits
from rotator.daemon.metrics import METRICS, PREFIX
from rotator.machine import reasons as machine
from rotator.machine.events import AnswerKind
from rotator.settings.problems import CODES
from tests.docs import __main__ as generator
from tests.docs import codes, configuration, runbook
from tests.lab import demo
from tests.lab.sabotage import SABOTAGES

ROOT = Path(__file__).parents[2]
RUNBOOK = (ROOT / "docs/runbook.md").read_text(encoding="utf-8")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def of(*groups: str) -> set[str]:
    return {entry.code for entry in runbook.entries() if entry.group in groups}


def slug(heading: str) -> str:
    """A heading's anchor, as Git hosts make it."""
    plain = re.sub(r"[^\w\- ]", "", heading.strip().lower().replace("`", ""))
    return plain.replace(" ", "-")


def anchors(text: str) -> list[str]:
    outside = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    return [slug(one) for one in re.findall(r"^#+ (.+)$", outside, re.M)] + re.findall(r'<a id="([^"]+)">', outside)


@pytest.mark.parametrize("name", sorted({*(name for name, _, _ in generator.BLOCKS), generator.SCHEMA}))
def test_a_generated_block_is_what_the_code_says(name: str) -> None:
    assert name not in generator.stale(), "run: python -m tests.docs"


def test_every_string_code_has_its_entry_and_no_entry_is_dead() -> None:
    assert of("request", "configuration") == set(codes.string_codes())
    assert set(CODES) <= of("configuration")


def test_every_reason_of_a_step_or_a_start_has_its_entry_and_no_entry_is_dead() -> None:
    assert of("raised") == set(codes.raised()) - {one for names in codes.declared().values() for one in names}


def test_every_code_of_the_ledger_has_its_entry_and_no_entry_is_dead() -> None:
    assert of("ledger") == set(codes.ledger_codes())


def test_every_why_of_the_schedule_has_its_entry_and_no_entry_is_dead() -> None:
    assert of("schedule") == set(codes.schedule_codes())
    assert of("readiness") == set(codes.readiness_codes())


def test_advice_is_given_for_every_code_of_the_machine() -> None:
    silent = [entry.code for entry in runbook.entries() if entry.group in machine.ALL and not entry.do]
    assert silent == []
    given = {"hold", "due", "wait", "turn", "detail", "objection"}
    assert given | {"question", "leg", "ending"} == set(machine.ALL)


def test_every_place_that_the_product_prints_is_an_anchor_of_the_runbook() -> None:
    """`docs/runbook.md#...` is printed of every string code, of every reason that refuses a request, of every question
    and of every code of the ledger."""
    printed = {runbook.anchor_of(code) for code in codes.string_codes()}
    printed |= {runbook.anchor_of(entry.code) for entry in runbook.entries() if entry.group not in {"ledger"}}
    printed |= {runbook.anchor_of(f"ROT-LEDGER-{code}") for code in codes.ledger_codes()}
    printed |= {runbook.anchor_of(f"ROT-ASK-{topic}") for topic in machine.QUESTIONS}
    assert printed - set(anchors(RUNBOOK)) == set()


def test_codes_are_made_of_reasons_in_three_ways_only() -> None:
    """What begins a code that is put together at run time: the anchors above count on these."""
    found = set()
    for path in (ROOT / "rotator").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
                begins = str(node.values[0].value)
                if re.match(r"(ROT|CFG)-", begins):
                    found.add(begins)
    assert found <= {"ROT-", "ROT-LEDGER-", "ROT-ASK-"}


def test_every_question_has_advice_and_no_advice_is_dead() -> None:
    written = set(re.findall(r"^### ROT-ASK-([A-Z-]+)$", RUNBOOK, re.M))
    assert written == {topic.upper().replace("_", "-") for topic in machine.QUESTIONS}


@pytest.mark.parametrize("name", ["docs/runbook.md", "docs/design.md"])
def test_every_answer_is_explained(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    for answer in AnswerKind:
        assert re.search(rf"^\| .*\b{answer.value}\b", text, re.M), f"{name} does not explain {answer.value}"


def test_every_ending_has_its_exit_code_in_the_design() -> None:
    text = (ROOT / "docs/design.md").read_text(encoding="utf-8")
    codes_of = {"succeeded": exits.OK, "rolled_back": exits.FAILED_SAFE, "owed": exits.OWING}
    codes_of |= {"contained": exits.CONTAINED, "abandoned, or a question": exits.UNCERTAIN}
    assert all(f"| {name} | {code} |" in text for name, code in codes_of.items())


def test_every_model_of_the_configuration_is_described_and_each_key_has_a_meaning() -> None:
    assert set(configuration.TITLES) == set(configuration.models())
    rows = re.findall(r"^\| `(\w+)` \| .* \|([^|]*)\|$", configuration.body(), re.M)
    assert len(rows) > 80
    assert [key for key, meaning in rows if not meaning.strip() and key not in {"type", "failures", "per"}] == []


def test_metrics_that_are_advised_on_exist() -> None:
    text = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    assert set(re.findall(rf"\b{PREFIX}\w+", text)) == {PREFIX + one.name for one in METRICS}


def test_the_readme_names_every_sabotage_with_its_exit_code() -> None:
    """The demo's own words have the codes; that they come out so is shown by running it."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| .* \| (\d+) \|$", text, re.M))
    assert set(rows) == set(SABOTAGES)
    said = " ".join((demo.__doc__ or "").split())
    assert "skip-revoke and cached-revoke 15, wrong-identity 11, lost-answer 0" in said
    assert rows == {"skip-revoke": "15", "cached-revoke": "15", "wrong-identity": "11", "lost-answer": "0"}


def test_links_between_documents_lead_somewhere() -> None:
    broken = []
    for path in DOCUMENTS:
        text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)
        text = re.sub(r"`[^`\n]*`", "", text)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if target.startswith(("http://", "https://")):
                continue
            file, _, anchor = target.partition("#")
            there = path if not file else (path.parent / file)
            if not there.exists() or (anchor and anchor not in anchors(there.read_text(encoding="utf-8"))):
                broken.append(f"{path.relative_to(ROOT)}: {target}")
    assert broken == []


def test_files_that_documents_name_exist() -> None:
    """`docs/...`, `config/...`, `rotator/...`, `tests/...`, `plugins/...` in code marks."""
    missing = []
    for path in DOCUMENTS:
        for name in re.findall(
            r"`((?:docs|config|rotator|tests|plugins)/[\w./-]+\.(?:md|py|yaml|hcl))`", path.read_text()
        ):
            if not (ROOT / name).exists():
                missing.append(f"{path.relative_to(ROOT)}: {name}")
    assert missing == []
