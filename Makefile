# The short way in; meson does the work. `make help` lists the targets.
BUILD ?= build
PREFIX ?= /usr/local
DESTDIR ?=
MESON_FLAGS ?=
FUZZ_SECONDS ?= 60

.DEFAULT_GOAL := build
.PHONY: demo build test lint bench soak fuzz install format clean help

demo: ## install what is missing, build, serve the built-in set on loopback
	@scripts/install-deps build
	@$(MAKE) --no-print-directory build
	@scripts/demo $(BUILD)/sockeye

build: $(BUILD)/build.ninja ## build/sockeye and the library
	@ninja -C $(BUILD)

$(BUILD)/build.ninja:
	@command -v meson >/dev/null || { echo "no meson here: run scripts/install-deps build"; exit 1; }
	meson setup $(MESON_FLAGS) $(BUILD)

test: ## install what is missing, build, run every test
	@scripts/install-deps build test
	@scripts/install-deps --unpack $(BUILD)/peers peers
	@MESON_FLAGS="$(MESON_FLAGS)" scripts/test --build $(BUILD)

lint: ## install what is missing, check style, layers, symbols, scripts and manuals
	@scripts/install-deps build test lint
	@MESON_FLAGS="$(MESON_FLAGS)" scripts/lint $(BUILD)

bench: build ## install the peers, measure sockeye beside them (half an hour)
	@scripts/install-deps bench
	@scripts/install-deps --unpack $(BUILD)/peers peers
	@bench/run $(BUILD)

soak: build ## many connections for long: no leak, no zombie, no lost byte
	@scripts/soak $(BUILD)/sockeye

fuzz: ## each fuzz target for FUZZ_SECONDS (60)
	@scripts/install-deps build lint
	@scripts/fuzz $(FUZZ_SECONDS)

install: build ## program, library, headers, manuals to DESTDIR/PREFIX
	@meson configure -Dprefix=$(PREFIX) $(BUILD)
	@DESTDIR="$(DESTDIR)" meson install -C $(BUILD)
	@[ -n "$(DESTDIR)" ] || [ "$$(id -u)" -ne 0 ] || ldconfig

format: ## clang-format every C file
	@scripts/c-files | xargs clang-format -i

clean: ## remove every build folder
	rm -rf $(BUILD) build-*

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  \1\t/p' Makefile | expand -t 14
