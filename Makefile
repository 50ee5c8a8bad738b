# SPDX-License-Identifier: Apache-2.0
# The only commands to know. `make` alone lists them.

PYTHON ?= python3.11
VENV ?= .venv
SETUP := PYTHONPATH=src $(PYTHON) -m cumulet.setup
CUMULET := $(VENV)/bin/cumulet
# More words for pytest or a runner: make test ARGS="-k link"
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: hosts help up down reset status test check bare conformance bench browser fuzz coverage-api kills libvirt matrix walks histories soak packages testpackages client tools

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: packages client ## install what is needed, start the cloud, boot a server and run a command in it
	@$(CUMULET) up
	@$(CUMULET) verify --once

down: $(CUMULET) ## stop everything, servers included; the data stays
	@$(CUMULET) down

reset: $(CUMULET) ## stop everything and remove all data
	@$(CUMULET) reset --yes

status: $(CUMULET) ## show what runs, and how it is
	@$(CUMULET) status

test: testpackages tools ## run the tests
	$(VENV)/bin/pytest --junitxml .make/tests.xml $(or $(ARGS),-n 3 --database both)

check: tools ## lint, check the format, the types and the walls between services
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

$(CUMULET):
	@echo "Nothing is installed here yet: make up"; exit 1

bare: ## do README's commands in a new, bare Debian (needs debootstrap); the table goes to docs/bare-machine.md
	$(PYTHON) tests/bare/run.py

conformance: testpackages tools ## let Tempest judge a cloud of its own; the table goes to docs/conformance.md
	$(VENV)/bin/python tests/conformance/run.py $(ARGS)

kills: testpackages tools ## kill at every place of every flow, replicas and real servers too (an hour)
	KILLS=all $(VENV)/bin/pytest -n 2 tests/kills tests/probe $(ARGS)

matrix: testpackages tools ## kill agents, exporters and QEMUs at every place of volumes' verbs; the table goes to docs/kills-of-hosts.md
	$(VENV)/bin/python tests/kills/host_matrix.py --page docs/kills-of-hosts.md $(ARGS)

walks: testpackages tools ## walk at random through the API while parts die, elsewhere each time (WALKS=200)
	WALKS=$(or $(WALKS),200) WALK_STEPS=60 WALK_SEED=$$(date +%s) $(VENV)/bin/pytest -s tests/kills/test_walks.py $(ARGS)
	LEAK_CYCLES=$(or $(WALKS),200) WALK_SEED=$$(date +%s) $(VENV)/bin/pytest tests/drivers/network/test_network_leaks*.py
	WALKS=$(or $(WALKS),200) WALK_SEED=$$(date +%s) $(VENV)/bin/pytest tests/unit/block_storage/test_checksums.py
	ORACLE_EXAMPLES=$(or $(WALKS),200) $(VENV)/bin/pytest tests/drivers/network/test_network_oracle*.py

histories: testpackages tools ## judge what clients of the object store are told while devices, hosts and wires fail, elsewhere each time (HISTORIES=500)
	HISTORIES=$(or $(HISTORIES),500) HISTORY_SEED=$(or $(HISTORY_SEED),$$(date +%s)) $(VENV)/bin/pytest -s tests/histories $(ARGS)

soak: testpackages tools ## live 10,000 lives of servers among kills; the table goes to docs/kills.md (ARGS="--lives 500")
	CREATES=200 $(VENV)/bin/pytest --timeout 1800 tests/fakes/test_creates_at_once.py
	$(VENV)/bin/python tests/kills/soak.py $(ARGS)

fuzz: testpackages tools ## send every route much more hostile input, from a new seed (FUZZ_ROUNDS=200)
	CUMULET_FUZZ_ROUNDS=$(or $(FUZZ_ROUNDS),200) CUMULET_FUZZ_SEED=$$(date +%s) $(VENV)/bin/pytest --timeout 3600 tests/fuzz $(ARGS)

libvirt: testpackages tools ## run all tests of hypervisors on libvirt too, and a cloud
	LIBVIRT=all $(VENV)/bin/pytest tests/drivers/compute tests/probe/test_servers_on_libvirt.py $(ARGS)

browser: tools ## open consoles of a real server in a real browser, which is installed (220 MB)
	@$(SETUP) packages --tests --browser
	$(VENV)/bin/pytest tests/browser/console_pages.py $(ARGS)

coverage-api: tools ## what share of OpenStack's operations there is; the table goes to docs/api-coverage.md
	$(VENV)/bin/python tests/facts/coverage.py

bench: packages tools ## measure a cloud of its own, on fake drivers; the table goes to docs/performance.md
	$(VENV)/bin/python -m bench.run $(ARGS)

hosts: packages tools ## measure a control plane of a thousand fake hosts; ARGS="--hosts 200" for fewer
	PYTHONPATH=tests $(VENV)/bin/python tests/fakes/run_thousand.py $(ARGS)

packages:
	@$(SETUP) packages

testpackages:
	@$(SETUP) packages --tests

client:
	@$(SETUP) environment $(VENV) --extra client

tools:
	@$(SETUP) environment $(VENV) --extra client --group test --group check
