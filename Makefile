# The two commands are `make demo` and `make test`; each installs what it needs under .venv/ and var/.
PYTHON := .venv/bin/python
N ?= 10000
# Each process of a test run has a database, a broker and a node of its own.
PROCESSES ?= 2
# The type checker loads the settings and connects to nothing.
ZERO_KEY := 0000000000000000000000000000000000000000000000000000000000000000
LINT_SETTINGS := GOVPAY_SECRET_KEY=lint GOVPAY_IDENTITY_KEY=$(ZERO_KEY) GOVPAY_FIELD_KEYS=lint:$(ZERO_KEY) \
	GOVPAY_APPROVAL_KEYS=lint:$(ZERO_KEY) DATABASE_URL=postgres://lint@127.0.0.1/lint

.PHONY: demo test up fund bench chaos soak matrix flip fuzz sbom messages mirror lint install clean

demo: install
	$(PYTHON) -m deploy.demo

test: install lint
	$(PYTHON) -m pytest -n $(PROCESSES) --dist loadfile

fund: install
	@. var/up/environment.sh && $(PYTHON) -m deploy.local.fund "$(ADDRESS)" "$(SAT)" --times $(or $(TIMES),1)

up: install
	$(PYTHON) -m deploy.local.up

bench: install
	$(PYTHON) -m tests.bench --n $(N)

# Breaks the real stack with faults drawn from a seed, heals it, and lets the independent checker judge. With KEEP=1
# everything is left running after a violation, to look at.
chaos: install
	$(PYTHON) -m tests.chaos --simulation --seconds $(or $(SECONDS),60) $(if $(SEED),--seed $(SEED)) $(if $(KEEP),--keep)

soak: install
	$(PYTHON) -m tests.chaos --seconds $$(( $(or $(HOURS),2) * 3600 )) --every 20 $(if $(SEED),--seed $(SEED))

# Kills workers at each kill point in each way, alone and in pairs; `make test` has a short form of it.
matrix: install
	GOVPAY_WHOLE_MATRIX=1 $(PYTHON) -m pytest tests/regtest/test_workers.py -k TestMatrix

# Flips every byte of a pack in turn, which takes minutes; `make test` flips all of short files and some of long ones.
flip: install
	GOVPAY_EVERY_BYTE=1 $(PYTHON) -m pytest tests/regtest/test_pack.py -k with_any_byte

# Generates up to 64 requests, valid and invalid, for each operation of the API's document, which differ from run to run; `make test` has a short form of it.
fuzz: install
	GOVPAY_FUZZ_EXAMPLES=$(or $(EXAMPLES),64) $(PYTHON) -m pytest -n $(PROCESSES) tests/payments/api/test_fuzz.py

# Lists what is installed, by version and hash, for whoever compares it with a list of known flaws.
sbom: install
	@$(PYTHON) -m deploy.sbom

# Brings the catalogues of languages up to date with what pages say; it fails while a text is not translated.
messages: install
	$(LINT_SETTINGS) $(PYTHON) -m deploy.messages

# Writes what the admin's theme does to the left and right the other way round; after another version of the theme.
mirror: install
	$(PYTHON) -m deploy.mirror

# Tells the stories of tests/stories/ in a browser, over the stack that `make up` starts, and takes the guides' pictures anew.
pictures: install
	$(PYTHON) -m pytest -n 0 tests/stories/test_stories.py -k test_is_told
	$(PYTHON) -m tests.stories.pictures

lint: install
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(LINT_SETTINGS) $(PYTHON) -m mypy
	.venv/bin/lint-imports

install:
	@deploy/local/bootstrap.sh

clean:
	rm -rf var/chaos var/demo var/up var/test
