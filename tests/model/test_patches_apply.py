"""Each chosen patch has one place in the machine as it stands: `make model-mutants` stops where one has not, and
nobody may notice for weeks."""

from __future__ import annotations

import ast

import pytest

from tests.model.mutant import Mutant
from tests.model.mutants import MACHINE
from tests.model.mutants_chosen import CHOSEN


@pytest.mark.parametrize("mutant", CHOSEN, ids=lambda one: one.name)
def test_a_chosen_patch_applies_once_and_leaves_python(mutant: Mutant) -> None:
    text = (MACHINE / mutant.file).read_text()
    assert text.count(mutant.old) == 1
    patched = text.replace(mutant.old, mutant.new)
    assert ast.dump(ast.parse(patched)) != ast.dump(ast.parse(text))
