# Short commands for common tasks; meson builds. `make help` lists the targets.
BUILD ?= build
PREFIX ?= /usr/local
DESTDIR ?=
MESON_FLAGS ?=
FUZZ_SECONDS ?= 60

.DEFAULT_GOAL := build
.PHONY: demo build test lint bench pictures soak fuzz install format clean help

demo: ## install missing packages, build, serve all services on loopback
	@scripts/install-deps build
	@$(MAKE) --no-print-directory build
	@scripts/demo $(BUILD)/sockeye

build: $(BUILD)/build.ninja ## build/sockeye and the library
	@ninja -C $(BUILD)

$(BUILD)/build.ninja:
	@command -v meson >/dev/null || { echo "meson is missing; run scripts/install-deps build"; exit 1; }
	meson setup $(MESON_FLAGS) $(BUILD)

test: ## install missing packages, build, run every test
	@scripts/install-deps build test
	@scripts/install-deps --unpack $(BUILD)/peers peers
	@MESON_FLAGS="$(MESON_FLAGS)" scripts/test $(TEST_FLAGS) --build $(BUILD)

lint: ## install missing packages, check style, layers, words, scripts, manuals
	@scripts/install-deps build test lint
	@MESON_FLAGS="$(MESON_FLAGS)" scripts/lint $(BUILD)

bench: build ## install other servers, measure sockeye beside them (half an hour)
	@scripts/install-deps bench
	@scripts/install-deps --unpack $(BUILD)/peers peers
	@bench/run $(BUILD) --json docs/pictures/bench.json
	@bench/report docs/pictures/bench.json
	@scripts/draw-pictures

pictures: build ## record the demo and the tables again, draw every picture
	@scripts/install-deps build test
	@scripts/record-demo $(BUILD)
	@scripts/record-grids $(BUILD)
	@scripts/draw-pictures

soak: build ## load servers for minutes: no leak, no zombie, no lost byte
	@scripts/soak $(BUILD)/sockeye
	@SOAK=1 scripts/test --build $(BUILD) --only tftp -k waste

fuzz: ## run each fuzz target for FUZZ_SECONDS (60)
	@scripts/install-deps build lint
	@scripts/fuzz $(FUZZ_SECONDS)

install: build ## install program, library, headers, manuals in DESTDIR/PREFIX
	@meson configure -Dprefix=$(PREFIX) $(BUILD)
	@DESTDIR="$(DESTDIR)" meson install -C $(BUILD)
	@[ -n "$(DESTDIR)" ] || [ "$$(id -u)" -ne 0 ] || ldconfig

format: ## clang-format every C file
	@scripts/c-files | xargs clang-format -i

clean: ## remove all build folders
	rm -rf $(BUILD) build-*

help: ## print this list
	@sed -n 's/^\([a-z-]*\):.*## /  \1\t/p' Makefile | expand -t 14
