# The two commands are `make demo` and `make test`; each installs what it needs under .venv/ and var/.
PYTHON := .venv/bin/python
N ?= 10000

.PHONY: demo test up fund bench lint install clean

demo: install
	$(PYTHON) -m deploy.demo

test: install lint
	$(PYTHON) -m pytest

fund: install
	@. var/up/environment.sh && $(PYTHON) -m deploy.local.fund "$(ADDRESS)" "$(SAT)" --times $(or $(TIMES),1)

up: install
	$(PYTHON) -m deploy.local.up

bench: install
	$(PYTHON) -m tests.bench --n $(N)

lint: install
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	.venv/bin/lint-imports

install:
	@deploy/local/bootstrap.sh

clean:
	rm -rf var/demo var/up var/test
