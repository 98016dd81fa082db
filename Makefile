# The short way in; meson does the work. `make help` lists the targets.
BUILD ?= build
MESON_FLAGS ?=

.PHONY: build help
build: $(BUILD)/build.ninja ## build/sockeye
	@ninja -C $(BUILD)
$(BUILD)/build.ninja:
	meson setup $(MESON_FLAGS) $(BUILD)
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  \1\t/p' Makefile | expand -t 14
