# `make demo` and `make test` need Python >= 3.11, make and a package index; everything else is set up here.
PYTHON ?= python3
UV := .uv/bin/uv
RUN := .venv/bin/
export UV_PYTHON_DOWNLOADS := never
export UV_PROJECT_ENVIRONMENT := .venv
# Tests start many processes: with compiled modules on the disk each of them starts in a third of the time.
unexport PYTHONDONTWRITEBYTECODE

# quivo_frames is installed from here, and its compiled core is compiled again where a source of it is newer. Without a C++ compiler
# it is installed without one.
PROJECT := pyproject.toml uv.lock hatch_build.py $(wildcard quivo_frames/flattening/core/*pp)
COMPILES := echo '\#include <Python.h>' | $${CXX:-g++} -x c++ -fsyntax-only -I "$$(.uv/bin/python -c 'import sysconfig; print(sysconfig.get_path("include"))')" - 2> /dev/null
SYNC := sync --quiet --frozen --reinstall-package quivo-frames --python .uv/bin/python

.PHONY: help demo test long deep check format lab notebooks docs schemas release bench bench-fetch bench-all bench-engines fuzz sanitize chaos engines clean

help:  ## What can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(UV):
	$(PYTHON) -m venv .uv
	.uv/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.9

.venv/.demo: $(UV) $(PROJECT)
	$(UV) $(SYNC) --inexact --no-default-groups --extra explorer --compile-bytecode
	@touch $@

# Development needs a C++ compiler, unless it cannot be had: then the tests of the compiled core are skipped, and say so.
.uv/.compiler: $(UV)
	@$(COMPILES) || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; \
	  then apt-get update -qq && apt-get install -qq --no-install-recommends g++ > /dev/null; fi; }
	@touch $@

# Every extra but spark, which brings 456 MB and pandas: it has an environment of its own below.
.venv/.dev: $(UV) $(PROJECT) .uv/.compiler
	@if $(COMPILES); then export QUIVO_FRAMES_CORE=compiled; fi; $(UV) $(SYNC) --inexact --extra lab --extra export --extra explorer --extra stores --extra dask --extra mcp
	@touch $@ .venv/.demo

# What others read exports with, in an environment of its own: where pandas is installed, pandera loads it.
.venv-readers/.made: $(UV) pyproject.toml uv.lock
	UV_PROJECT_ENVIRONMENT=.venv-readers $(UV) sync --quiet --frozen --no-install-project --only-group readers --python .uv/bin/python
	@touch $@

# What a user has who installs the wheel, without any extra.
.venv-plain/.made: $(UV) $(PROJECT) $(shell find quivo_frames -name '*.py')
	UV_PROJECT_ENVIRONMENT=.venv-plain $(UV) $(SYNC) --no-default-groups --no-editable --compile-bytecode
	@touch $@

# DuckLake: its extension is a package of the index for some versions of DuckDB only. Its tests use Postgres, if there is one.
.venv-lake/.made: $(UV) $(PROJECT)
	UV_PROJECT_ENVIRONMENT=.venv-lake $(UV) $(SYNC) --no-default-groups --group lake --extra export
	@command -v initdb > /dev/null || ls /usr/lib/postgresql/*/bin/initdb > /dev/null 2>&1 || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; \
	  then apt-get update -qq && apt-get install -qq --no-install-recommends postgresql > /dev/null; fi; }
	@touch $@

# What makes the site, with all that the notebooks in it use.
.venv-docs/.made: $(UV) $(PROJECT)
	UV_PROJECT_ENVIRONMENT=.venv-docs $(UV) $(SYNC) --no-default-groups --group docs --extra lab --extra export --extra explorer --compile-bytecode
	@touch $@

# Existing engines and what they run on: Spark needs Java 17 or later.
.venv-engines/.made: $(UV) $(PROJECT)
	@java -version 2>&1 | grep -Eq 'version "(1[7-9]|[2-9][0-9])' || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; \
	  then apt-get update -qq && apt-get install -qq --no-install-recommends openjdk-17-jre-headless > /dev/null; \
	  else echo "Spark needs Java 17 or later. On Debian: apt-get install openjdk-17-jre-headless" >&2; exit 1; fi; }
	UV_PROJECT_ENVIRONMENT=.venv-engines $(UV) $(SYNC) --no-default-groups --group engines --extra stores --extra export --extra dask --extra spark
	@touch $@

demo: .venv/.demo  ## Show everything on the stand-in API, offline, in under a minute
	@$(RUN)python -m compileall -q quivo_frames
	$(RUN)quivo-frames demo --out data/demo

# The report is looked at in a real browser. Without one these tests are skipped, and say what to install.
.venv/.browser: .venv/.dev
	@command -v chromium chromium-browser google-chrome google-chrome-stable > /dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; \
	  then apt-get update -qq && apt-get install -qq --no-install-recommends chromium > /dev/null; fi; }
	@touch $@

# The same commit draws the same cases, wherever it is tested, and each commit others.
COMMITS := $(shell git rev-list --count HEAD 2> /dev/null || echo 0)
PYTEST := pytest --hypothesis-seed=$(COMMITS)
# One process more than there are cores, as many tests wait for a server or a browser.
TEST_PROCESSES ?= $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 1)))

test: .venv/.browser  ## Run the tests of every room and every promise (5 min)
	$(RUN)$(PYTEST) -n $(TEST_PROCESSES) --dist worksteal -m "not alone and not long"
	$(RUN)$(PYTEST) -m "alone and not long"

# Half of all cases; with the next commit the other half.
long: export TEST_DEPTH = long
long: export TEST_COMMITS = $(COMMITS)
long: .venv/.dev .venv-readers/.made .venv-plain/.made .venv-lake/.made .venv-docs/.made .venv-release/.made  ## Run the longer tests: object stores, kills, other readers, the site, more cases (1 h)
	$(RUN)$(PYTEST) -n $(TEST_PROCESSES) --dist worksteal -m "(long or drawn) and not alone"
	$(RUN)$(PYTEST) -m "(long or drawn) and alone"
	TEST_DEPTH= QUIVO_FRAMES_CORE=python $(RUN)$(PYTEST) -n $(TEST_PROCESSES) --dist worksteal tests/flattening tests/builder -m "not alone and not long"
	.venv-lake/bin/pytest tests/lake

deep: .venv/.dev .venv-plain/.made  ## Run what walks over cases or draws them, over all of them (40 min)
	TEST_DEPTH=deep $(RUN)pytest -n $(TEST_PROCESSES) --dist worksteal -m "drawn and not alone"
	TEST_DEPTH=deep $(RUN)pytest -m "drawn and alone"

# What looks at the package before it is published.
.venv-release/.made: $(UV) pyproject.toml uv.lock
	UV_PROJECT_ENVIRONMENT=.venv-release $(UV) sync --quiet --frozen --no-install-project --only-group release --python .uv/bin/python
	@touch $@

RELEASE := .venv-release/bin/
release: .venv/.dev .venv-release/.made  ## Build sdist, wheel and lists of what they need into data/dist, and look at them as the package index does (1 min)
	rm -rf data/dist
	$(UV) build --quiet --out-dir data/dist .
	$(RELEASE)twine check --strict data/dist/*
	$(UV) export --quiet --frozen --no-default-groups --format cyclonedx1.5 | $(RELEASE)python tests/packaging/write_sbom.py data/dist/quivo_frames.cdx.json
	$(UV) export --quiet --frozen --no-default-groups --extra all --format cyclonedx1.5 | $(RELEASE)python tests/packaging/write_sbom.py data/dist/quivo_frames-all.cdx.json
	$(RELEASE)hadolint docs/recipes/Containerfile
	$(RELEASE)pre-commit validate-config
	$(RELEASE)repo-review .
	cd data/dist && sha256sum *

check: .venv/.dev  ## Format, lint and types
	$(RUN)ruff format --check
	$(RUN)ruff check
	$(RUN)mypy

format: .venv/.dev  ## Format the code
	$(RUN)ruff format
	$(RUN)ruff check --fix

lab: .venv/.dev  ## Open the notebooks in JupyterLab
	$(RUN)jupyter lab notebooks

notebooks: .venv/.dev  ## Run the notebooks, offline, and write them as pages to data/notebooks
	$(RUN)python -m tests.support.notebook_pages data/notebooks

docs: .venv-docs/.made  ## Make the site, offline, with the notebooks run, in data/site
	.venv-docs/bin/python -m docs.site data/site

schemas: .venv/.dev  ## Generate schemas/ from the description in order.py, and the codes of countries and currencies
	$(RUN)python -m schemas.generator.iso_codes
	$(RUN)python -m schemas.generator schemas

# Environments of their own: what users have (with the report, which is measured), and what quivo_frames is compared with. Where pandas or hypothesis is
# installed, pandera loads it.
.venv-bench/.made: $(UV) $(PROJECT)
	UV_PROJECT_ENVIRONMENT=.venv-bench/plain $(UV) $(SYNC) --no-default-groups --extra report --compile-bytecode
	UV_PROJECT_ENVIRONMENT=.venv-bench/peers $(UV) $(SYNC) --no-default-groups --group bench
	@touch $@

bench: .venv-bench/.made  ## Measure build beside what others would write, and the start
	.venv-bench/peers/bin/python -m tests.benchmarks build --python .venv-bench/plain/bin/python
	@echo
	.venv-bench/plain/bin/python -m tests.benchmarks start

bench-fetch: .venv-bench/.made  ## Measure refetch against limits and noise of the stand-in, beside what others would write (35 min)
	.venv-bench/peers/bin/python -m tests.benchmarks fetch
	.venv-bench/peers/bin/python -m tests.benchmarks fetch --noise

bench-all: bench  ## bench, and the long ones: where time goes, cores, memory, audit, renewed builds, unusual orders, a short bench-fetch
	.venv-bench/peers/bin/python -m tests.benchmarks fetch --quick
	@for part in profile cores memory audit renew fallback; do echo; .venv-bench/plain/bin/python -m tests.benchmarks $$part || exit 1; done

COUNT ?= 100000
SEED := $(or $(SEED),$(shell date +%s))
fuzz: .venv/.dev  ## Damage COUNT orders by SEED and look for what breaks
	$(RUN)python -m tests.support.fuzz --count $(COUNT) --seed $(SEED)

# Compiled thrice: with sanitizers, without them, and without vector instructions; all read the same.
CORE := quivo_frames/flattening/core
READER := $(filter-out %/module.cpp %/export.cpp,$(wildcard $(CORE)/*.cpp))
SANITIZERS := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g
INPUTS ?= 1000000
sanitize: .venv/.dev  ## Read INPUTS damaged orders in the compiled core, and run its tests, under address and undefined-behaviour sanitizers
	mkdir -p data/sanitize
	$(RUN)python -m tests.core.write_inputs data/sanitize
	$(CXX) -std=c++20 -O1 $(SANITIZERS) tests/core/mutate.cpp $(READER) -o data/sanitize/mutate
	$(CXX) -std=c++20 -O2 -DQUIVO_FRAMES_PLAIN tests/core/mutate.cpp $(READER) -o data/sanitize/mutate_plain
	$(CXX) -std=c++20 -O2 tests/core/mutate.cpp $(READER) -o data/sanitize/mutate_fast
	$(CXX) -std=c++20 -O1 $(SANITIZERS) -shared -fPIC -DPy_LIMITED_API=0x030B0000 -I$$($(RUN)python -c "import sysconfig; print(sysconfig.get_path('include'))") $(CORE)/*.cpp -o data/sanitize/_core.abi3.so
	LD_PRELOAD="$$($(CXX) -print-file-name=libasan.so) $$($(CXX) -print-file-name=libubsan.so)" ASAN_OPTIONS=detect_leaks=0 $(RUN)python -m tests.core.run_sanitized $(CURDIR)/data/sanitize
	data/sanitize/mutate data/sanitize/plan data/sanitize/orders $(INPUTS) $(SEED) > data/sanitize/found
	data/sanitize/mutate_plain data/sanitize/plan data/sanitize/orders $(INPUTS) $(SEED) | diff - data/sanitize/found
	data/sanitize/mutate_fast data/sanitize/plan data/sanitize/orders $(INPUTS) $(SEED) | diff - data/sanitize/found
	cat data/sanitize/found

chaos: .venv/.dev  ## Refetch 20,000 orders from a server full of faults, killed again and again (4 min)
	$(RUN)python -m tests.support.chaos --seed $(SEED)

bench-engines: .venv-engines/.made  ## Measure builds on Dask and Spark beside processes of this machine (15 min)
	.venv-engines/bin/python -m tests.benchmarks engines

engines: .venv-engines/.made  ## Build on Spark and Dask clusters on this machine, with workers killed (15 min)
	.venv-engines/bin/pytest tests/clusters

clean:  ## Remove what was set up and made here
	rm -rf .uv .venv .venv-bench .venv-engines .venv-lake .venv-plain .venv-readers .venv-docs .venv-release .mypy_cache .pytest_cache .ruff_cache .hypothesis data/demo data/dist data/benchmarks data/notebooks data/site data/site-source quivo_frames/_core.*
