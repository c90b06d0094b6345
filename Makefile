# Two commands do everything: `make demo` and `make test`. Both make their own .venv once and can be repeated cheaply.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
RUN := $(VENV)/bin/python
STAMP := $(VENV)/.installed
# what matplotlib, yapf and pip keep for the next time stays inside too
export XDG_CACHE_HOME := $(CURDIR)/$(VENV)/cache

.PHONY: demo test check install clean

install: $(STAMP)

$(STAMP): setup.cfg constraints.txt pyproject.toml
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(RUN) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[tests]'
	touch $(STAMP)

# refine the small demo network on rendered target videos: a table before against after, pictures, the refined checkpoint
demo: $(STAMP)
	$(RUN) tools/demo.py

# one process for each core, each with one thread: small tensors gain nothing from more
test: $(STAMP)
	OMP_NUM_THREADS=1 $(RUN) -m pytest -n auto --dist loadfile

# what a contributor runs before a commit
check: $(STAMP)
	$(RUN) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	$(RUN) -m flake8 mmrefine tools tests configs benchmarks
	$(RUN) -m isort --check-only --quiet mmrefine tools tests benchmarks
	$(RUN) -m mypy
	OMP_NUM_THREADS=1 $(RUN) -m pytest -n auto --dist loadfile

clean:
	rm -rf $(VENV) build *.egg-info
