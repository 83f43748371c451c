# `make build` and `make test` set up all that they need on a fresh machine.
# PYTHON picks the interpreter (3.11 or later).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# tflite-runtime 2.14 needs NumPy 1, the converters NumPy 2: an environment of its own.
OLD := .venv-tflite-runtime
PIP := -m pip install --quiet --disable-pip-version-check

.PHONY: build test lint types check clean

build: $(VENV)/.coreml
	$(BIN)/python -m ondevice.build --target coreml

# A worker that crashes ends the run: with another in its place, pytest-xdist would wait for ever
# for the files that the first one had left.
test: $(VENV)/.all $(OLD)/.done $(VENV)/.system
	$(BIN)/python -m pytest -n auto --dist loadfile --max-worker-restart 0 $(PYTEST_ARGS)

lint: $(VENV)/.all
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.all
	$(BIN)/mypy

check: lint types test

$(VENV)/.venv:
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.coreml: $(VENV)/.venv pyproject.toml constraints.txt
	@echo "installing about 1.5 GB of packages: this takes minutes" >&2
	$(BIN)/python $(PIP) -c constraints.txt -e '.[coreml]'
	touch $@

$(VENV)/.all: $(VENV)/.venv pyproject.toml constraints.txt
	@echo "installing about 3 GB of packages: this takes minutes" >&2
	$(BIN)/python $(PIP) -c constraints.txt -e '.[all,dev]'
	touch $@ $(VENV)/.coreml

# The last tflite-runtime has wheels up to Python 3.11, on Linux; elsewhere its tests are skipped.
# Without the dependencies of this project: one of them brings torch, which this needs not.
$(OLD)/.done: pyproject.toml
	$(PYTHON) -m venv $(OLD)
	if $(PYTHON) -c 'import sys; sys.exit(sys.platform != "linux" or sys.version_info > (3, 12))'; \
	then $(OLD)/bin/python $(PIP) 'tflite-runtime==2.14.0' 'numpy<2' pydantic tokenizers \
		&& $(OLD)/bin/python $(PIP) --no-deps -e .; \
	else echo "no tflite-runtime for this Python: its tests will be skipped" >&2; fi
	touch $@

# The phone tests drive the real adb, aapt and a Java virtual machine (for Kotlin's compiler), those
# of the report's page Chromium (of Debian; Ubuntu's is a snap). On Debian they are installed;
# elsewhere, and without the right to, their tests are skipped.
SYSTEM := adb aapt java chromium
MISSING = for program in $(SYSTEM) swift; do command -v $$program >/dev/null || echo $$program; done
$(VENV)/.system: $(VENV)/.venv
	if [ -n "$$($(MISSING) | grep -v swift)" ] && command -v apt-get >/dev/null \
		&& [ "$$(id -u)" = 0 ]; \
	then apt-get update -qq && apt-get install -y -qq --no-install-recommends \
		adb aapt android-framework-res \
		$$(command -v java >/dev/null || echo default-jre-headless) \
		$$(grep -qx ID=debian /etc/os-release && echo chromium) >/dev/null; fi
	@for program in $$($(MISSING)); \
	do echo "$$program is not installed: its tests will be skipped" >&2; done
	touch $@

clean:
	rm -rf $(VENV) $(OLD) build bundles *.egg-info .pytest_cache .mypy_cache .ruff_cache
