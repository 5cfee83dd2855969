# `make demo` and `make test` are all that a first look needs: both set themselves up.
# ARGS goes to the program: `make demo ARGS=--exit`, `make test ARGS="-k refund"`, `make bench ARGS=--short`.

.PHONY: demo test check crash simulate lint format types contracts docs docs-check coverage bench setup clean

demo:
	@tools/setup.sh
	@.venv/bin/counterfoil demo $(ARGS)

test:
	@tools/setup.sh test
	@tools/test.sh $(ARGS)

# What can be said without running the service; .ci/run does this and the tests.
check: setup
	@$(MAKE) --keep-going --no-print-directory lint format types contracts docs-check

lint: setup
	@.venv/bin/ruff check .

format: setup
	@.venv/bin/ruff format --check .

types: setup
	@.venv/bin/mypy

contracts: setup
	@.venv/bin/lint-imports

docs: setup
	@set -e; for page in tools/*_page.py; do .venv/bin/python "$$page"; done

docs-check: setup
	@stale=0; for page in tools/*_page.py; do .venv/bin/python "$$page" --check || stale=1; done; exit $$stale

# Of the last `make test`: what decides about money is covered whole.
coverage: setup
	@.venv/bin/coverage report --fail-under=95
	@.venv/bin/coverage report --fail-under=100 \
	    --include='src/counterfoil/domain/*,src/counterfoil/gateways/*/translate.py,src/counterfoil/gateways/*/signature.py'

# Two proofs by themselves, at any length: docs/proven.md says what they show.
crash:
	@tools/setup.sh test
	@PYTHONPATH=tests .venv/bin/python -m crashpoints $(ARGS)

simulate:
	@tools/setup.sh test
	@PYTHONPATH=tests .venv/bin/python -m simulation $(ARGS)

bench:
	@tools/setup.sh bench
	@.venv/bin/python -m bench $(ARGS)

setup:
	@tools/setup.sh

clean:
	rm -rf .venv .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .grimp_cache
