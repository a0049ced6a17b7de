# Needs Python 3.11+ and make; everything else is installed into .venv. `make PYTHON=python3.13 test` uses another Python.
NEW_ENOUGH = -c 'import sys; sys.exit(sys.version_info < (3, 11))'
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
    if $$python $(NEW_ENOUGH) 2>/dev/null; then echo $$python; break; fi; done)
ARGS ?=
BIN = .venv/bin
READY = .venv/.ready

.PHONY: demo run test e2e coverage soak mutations chaos check format bench docs lock audit sbom wheel clean

demo: $(READY)
	@$(BIN)/foxhooks demo $(ARGS)

run: $(READY)
	@$(BIN)/foxhooks up $(ARGS)

# Compiled modules are kept even where the environment says otherwise (an empty value is none), because each of the
# tests' processes would compile all of them again.
test e2e coverage: export PYTHONDONTWRITEBYTECODE =

# Half of the time, tests wait for real processes, so use more test processes than cores. Each has its own store.
JOBS ?= 5
test: $(READY)
	$(BIN)/pytest --numprocesses=$(JOBS) $(ARGS)

# What takes too long for every change: the image and its processes, and the long forms of some tests.
e2e: $(READY)
	$(BIN)/pytest --numprocesses=$(JOBS) -m e2e $(ARGS)

# Lines and branches that tests run in their own process; fails below the minimum in pyproject.toml. pytest loads plugins
# before it measures anything, so tests/conftest.py imports foxhooks' fixtures instead.
coverage: $(READY)
	$(BIN)/pytest --numprocesses=$(JOBS) -p no:foxhooks --cov --cov-report=term tests/workers tests/service $(ARGS)

# Simulate workers, people and faults on seeded random schedules; repeat one with ARGS="--seed 17".
SEEDS ?= 1000
soak: $(READY)
	$(BIN)/python -m tests.simulation --seeds $(SEEDS) $(ARGS)

# Switch off the engine's rules one by one; the simulation must notice each time.
mutations: $(READY)
	$(BIN)/python -m tests.simulation.breakages

# Kill, freeze, cut off and attack real processes at random, and take the store back in time, for 17 minutes; repeat a
# run with ARGS="--seed 17".
chaos: $(READY)
	$(BIN)/python -m tests.chaos --events 20000 --tickets 500 --minutes 15 $(ARGS)
	$(BIN)/python -m tests.chaos.orphans

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# ARGS="endpoint turns" runs only these; `python -m tests.bench.turns --help` lists the options of one of them.
bench: $(READY)
	$(BIN)/python -m tests.bench $(ARGS)

# Check the documentation strictly and write it as a site to build/docs.
docs: $(READY)
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet

# Write the lock files for every platform and Python 3.11+; needs uv. ARGS=--upgrade selects newer releases.
# setuptools is locked, too, so that foxhooks itself can be installed with nothing but the locked packages.
LOCK = echo setuptools | UV_CUSTOM_COMPILE_COMMAND="make lock" uv pip compile --quiet --universal \
    --python-version 3.11 --generate-hashes --no-annotate pyproject.toml -
lock:
	$(LOCK) $(ARGS) --output-file requirements.txt
	$(LOCK) $(ARGS) --output-file requirements-dev.txt --extra dev --constraints requirements.txt

# Look for known vulnerabilities in the locked requirements, and list their licenses; need uv and a network.
audit:
	uv tool run --from 'pip-audit==2.10.1' pip-audit --require-hashes --disable-pip --requirement requirements.txt

# Write dist/sbom.json (CycloneDX) from the locked requirements; needs uv.
sbom:
	@mkdir -p dist
	uv tool run --from 'cyclonedx-bom==7.5.0' cyclonedx-py requirements --output-reproducible --pyproject pyproject.toml \
	    --output-file dist/sbom.json requirements.txt

# Build the wheel. The same commit gives the same bytes, because the times in it are the commit's.
wheel: $(READY)
	@rm -rf build/wheel dist/*.whl && mkdir -p build/wheel
	git archive HEAD | tar --extract --directory build/wheel
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation \
	    --wheel-dir dist build/wheel

clean:
	rm -rf .venv build dist *.egg-info

$(READY): pyproject.toml requirements-dev.txt
	@test -n "$(PYTHON)" && $(PYTHON) $(NEW_ENOUGH) || { \
	    echo "foxhooks needs Python 3.11 or newer; name one with: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "install python3-venv (Debian: apt-get install python3-venv)" >&2; exit 1; }
	@echo "Installing the locked dependencies into .venv (once; about a minute)"
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(READY)
