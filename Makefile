# Everything a newcomer needs: `make demo` and `make test` set themselves up in .venv with the pinned versions.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO ?= demo

.PHONY: demo train-demo bench-demo test browser lint types site pictures dist perf clean

$(VENV)/.core: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/.dev: $(VENV)/.core
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

demo: $(VENV)/.core
	$(BIN)/rsvqa demo-scenes --out $(DEMO)/scenes --seed 0 --size 4096 --count 3
	$(BIN)/rsvqa build --src $(DEMO)/scenes --classes demo --out $(DEMO)/superrs

$(VENV)/.model: $(VENV)/.core
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[model]"
	touch $@

# small scenes of many places, so that whole places can be held out; run again, it goes on where it was. One thread: the
# model is so small that two spend their time waiting for each other
train-demo: $(VENV)/.model
	$(BIN)/rsvqa demo-scenes --out $(DEMO)/places --seed 0 --size 1024 --count 18
	$(BIN)/rsvqa build --src $(DEMO)/places --classes demo --out $(DEMO)/small \
		--tile-size 128 --split-shares 0.75,0.25,0 --tasks ECR,OLUC,RLUC=0.25
	OMP_NUM_THREADS=1 $(BIN)/rsvqa train --data $(DEMO)/small --init tiny --pruning pool --mix ECR=0.5,RLUC=2 \
		--max-steps 1000 --eval-every 500 --out $(DEMO)/tiny --resume

# the model of train-demo on places that it has not seen, beside the answer that is always the same
bench-demo: train-demo
	$(BIN)/rsvqa bench --model $(DEMO)/tiny --data $(DEMO)/small --split val --out $(DEMO)/bench-tiny
	$(BIN)/rsvqa bench --model majority --data $(DEMO)/small --split val --out $(DEMO)/bench-majority
	$(BIN)/rsvqa compare $(DEMO)/bench-tiny $(DEMO)/bench-majority

test: $(VENV)/.dev
	$(BIN)/pytest -n auto --dist loadfile

# skipped where no Chromium is installed
browser: $(VENV)/.dev
	$(BIN)/pytest -m browser

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# a type checker reads no import hook of an editable installation: it finds the package by a link of its name
types: $(VENV)/.dev
	mkdir -p $(VENV)/types && ln -sfn "$(CURDIR)" $(VENV)/types/rsvqa
	MYPYPATH=$(VENV)/types $(BIN)/mypy

# every link and every anchor in it is checked, and notebooks are run
site: $(VENV)/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --site-dir build/site

# the pictures of the README, from example scenes
pictures: $(VENV)/.dev
	$(BIN)/python -m tests.make_pictures

# the sdist and the wheel of HEAD, the same bytes wherever they are made
dist: $(VENV)/.dev
	$(BIN)/python -m tests.make_dist

perf: $(VENV)/.dev
	$(BIN)/python -m tests.perf.build

clean:
	rm -rf $(VENV) $(DEMO) build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
