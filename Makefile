# Every target works on a fresh machine with Python 3.11 and glibc Linux, as root or as a plain user.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
export PYTHONDONTWRITEBYTECODE ?= 1

.PHONY: install lab test test-long test-real check demo kills crash container soak model model-mutants bench clean

install: $(VENV)/.installed

$(VENV)/.installed: requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# The real servers of the tests and the demo, each in an environment of its own.
lab: install
	@$(BIN)/python -m tests.lab.install

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy rotator plugins tests/lab
	$(BIN)/lint-imports

test: lab check
	$(BIN)/pytest -n 2 --dist loadscope $(ARGS)

# Whole minutes of one thing: AWS policies line by line, late and lost answers there, clusters that change their leader.
test-long: lab
	$(BIN)/pytest -n 2 --dist loadscope -m long $(ARGS)

# Against servers from Debian packages, which this installs (that needs root). One that is named and absent is a failure.
ROTATOR_REQUIRE ?= all
test-real: export ROTATOR_REQUIRE := $(ROTATOR_REQUIRE)
test-real: lab
	@$(BIN)/python -m tests.lab.debian $(ROTATOR_REQUIRE)
	$(BIN)/pytest -rs -n 2 --dist loadscope tests/real $(ARGS)

demo: lab
	@$(BIN)/python -m tests.lab.demo $(ARGS)

kills: lab
	@$(BIN)/python -m tests.crash.kills $(ARGS)

# Every boundary of every passage with every fault: results are kept in .crash/, and a run that was cut goes on.
crash: lab
	@$(BIN)/python -m tests.crash $(ARGS)

# The image and compose.yaml, built and run. Needs root on Debian, or podman and buildah with ROTATOR_BASE=IMAGE.
container: lab
	@$(BIN)/python -m tests.container

soak: lab
	@$(BIN)/python -m tests.lab.soak $(ARGS)

model: install
	@$(BIN)/python -m tests.model $(ARGS)

model-mutants: install
	@$(BIN)/python -m tests.model.mutants $(ARGS)

bench: install
	@$(BIN)/python -m tests.bench $(ARGS)

clean:
	rm -rf $(VENV) .lab
