# Each target does its own set-up: a virtual environment in .venv from the locked versions, with their hashes.
#
#   make demo    runs the main job: a task of three containers is started, stopped, and shown
#   make test    passes the tests
#   make check   lint, format, strict types, floors
#   make docs    writes the pages of docs/ that are made from the code
#   make fuzz    properties and fuzz at large: SEED=… repeats a run, SIZE=… says how many examples
#   make sweep   kills the supervisor at each of its steps, one after the other; docs/reliability.md has the options
#   make upgrades            one upgrade after the other, 30 unless UPGRADES says otherwise
#   make bench-connections   measures a StopTask beside idle and slow clients
#   make bench-reports       measures how late 200 SIGKILLs are with and without looking at why they are needed
#   make lock    renews requirements*.lock from pyproject.toml
#   make clean   removes what make made
#
# PYTHON=/path/to/python chooses the interpreter (3.11 or later); V=1 shows the commands; PYTEST_ARGS goes to pytest.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

Q := $(if $(V),,@)
QUIET := $(if $(V),,--quiet)

VENV := .venv
BIN := $(VENV)/bin
BESIDE_LOG := $(VENV)/beside.log
LOCKED := $(VENV)/.locked
READY := $(VENV)/.ready
LOCKER := $(VENV)/locker
UV_VERSION := 0.13.9
PIP := $(BIN)/python -m pip --disable-pip-version-check $(QUIET)

PYTHON ?= $(shell for name in python3.14 python3.13 python3.12 python3.11 python3; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && command -v "$$name" && break; done)

.PHONY: help demo test fuzz sweep check docs upgrades bench-connections bench-reports lock clean

help:
	@sed -n '3,13s/^# *//p' Makefile

demo: $(READY)
	$(Q)$(BIN)/supervisor demo

# Side by side, since most tests of the system wait; where one of the two chooses none (status 5), the other counts.
test: $(READY)
	$(Q)( $(BIN)/python -m pytest tests/unit $(PYTEST_ARGS); units=$$?; \
	    SUPERVISOR_TEST_TIME_FACTOR=$${SUPERVISOR_TEST_TIME_FACTOR:-2} \
	    $(BIN)/python -m pytest tests/process $(PYTEST_ARGS); processes=$$?; \
	    exit $$(((units && units != 5) || (processes && processes != 5))) ) >$(BESIDE_LOG) 2>&1 & beside=$$!; \
	$(BIN)/python -m pytest tests/system $(PYTEST_ARGS); system=$$?; \
	wait $$beside; beside=$$?; cat $(BESIDE_LOG); exit $$(((system && system != 5) || beside))

SIZE ?= 1000
SEED ?= $(shell od -An -N4 -tu4 /dev/urandom | tr -d ' ')
PROPERTIES := $(addprefix tests/unit/test_,stopping.py stopping_driven.py lifecycle_lives.py lifecycle_chaos.py \
	recovery.py recovery_lives.py store_lives.py verbs.py wire.py) tests/process/test_wire_fuzz.py

fuzz: export SUPERVISOR_TEST_SEED := $(SEED)
fuzz: export SUPERVISOR_TEST_EXAMPLES := $(SIZE)
fuzz: $(READY)
	$(Q)$(BIN)/python -m pytest $(QUIET) $(PROPERTIES) $(PYTEST_ARGS)

docs: $(READY)
	$(Q)$(BIN)/python docs/states.py

check: $(READY)
	$(Q)$(BIN)/ruff check $(QUIET) supervisor tests benchmarks docs
	$(Q)$(BIN)/ruff format --check $(QUIET) supervisor tests benchmarks docs
	$(Q)$(BIN)/mypy --strict supervisor tests benchmarks docs
	$(Q)$(BIN)/python -m pytest $(QUIET) tests/unit/test_floors.py

# So many one after the other, each with tasks that run on: make upgrades UPGRADES=100
UPGRADES = 30
upgrades: $(READY)
	$(Q)SUPERVISOR_TEST_UPGRADES=$(UPGRADES) $(BIN)/python -m pytest $(QUIET) tests/system/test_upgrade.py -k many

bench-connections: $(READY)
	$(Q)$(BIN)/python benchmarks/idle_connections.py

bench-reports: $(READY)
	$(Q)$(BIN)/python -m benchmarks.stop_reports

option = $(if $($(1)),--$(2) $($(1)))

sweep: $(READY)
	$(Q)$(BIN)/python -m tests.sweep $(call option,SEED,seed) $(call option,TRACKING,tracking) \
		$(call option,VICTIM,victim) $(call option,POINTS,points) $(call option,AT,at) $(call option,AFTER,after) \
		$(call option,FIRST,first) $(call option,LAST,last) $(call option,JOBS,jobs)

# The interpreter is asked for what a virtual environment needs before one is begun: half an environment would pass for one.
$(LOCKED): requirements-dev.lock
	@test -n "$(PYTHON)" || { echo "cannot find Python 3.11 or later: install it (Debian: apt-get install python3 python3-venv)," \
		"or name it: make PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "cannot use $(PYTHON): Python 3.11 or later is needed; name one: make PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "cannot make a virtual environment: $(PYTHON) lacks venv; on Debian: apt-get install python3-venv" >&2; exit 1; }
	$(Q)rm -rf $(VENV)
	$(Q)$(PYTHON) -m venv $(VENV)
	$(Q)$(PIP) install --require-hashes -r requirements-dev.lock
	$(Q)touch $@

$(READY): $(LOCKED) pyproject.toml
	$(Q)$(PIP) install --no-deps --no-build-isolation --editable .
	$(Q)touch $@

# One resolution for every platform and Python; the runtime's versions bind the development ones.
LOCK = $(LOCKER)/bin/uv pip compile --no-config $(QUIET) --universal --python-version 3.11 --upgrade \
	--generate-hashes --no-emit-index-url --no-annotate --custom-compile-command "make lock" pyproject.toml

lock: $(READY)
	$(Q)$(BIN)/python -m venv $(LOCKER)
	$(Q)$(LOCKER)/bin/python -m pip --disable-pip-version-check $(QUIET) install uv==$(UV_VERSION)
	$(Q)$(LOCK) --group build --output-file requirements.lock
	$(Q)$(LOCK) --group dev --constraint requirements.lock --output-file requirements-dev.lock

clean:
	$(Q)rm -rf $(VENV) build dist graceful_supervisor.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	$(Q)find supervisor tests -name __pycache__ -type d -prune -exec rm -rf {} +
