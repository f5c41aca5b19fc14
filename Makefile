# SPDX-License-Identifier: GPL-2.0-or-later
# Short names for what meson and the scripts in tools/ and tests/ do.

PREFIX = /usr/local
DESTDIR =
BUILD = build

# make up: how and where sprd runs. START is service, background or auto (a service where systemd runs).
START = auto
SOCKET = /run/spr/spr.sock
STATE = /var/lib/spr
LOG = /var/log/sprd.log
SPRD_FLAGS =
UP_FLAGS =

# make deb: another version than that of debian/changelog
DEB_VERSION =

# make bench: --long, names of parts; see bench/run --help
BENCH_FLAGS =

# make fuzz: for each fuzzer
SECONDS = 60

# make prove-model: how many packets, the number of the first random machine, and processes
PACKETS = 10000000
SEED = 1
JOBS = 2

settings = PREFIX='$(PREFIX)' START='$(START)' SOCKET='$(SOCKET)' STATE='$(STATE)' LOG='$(LOG)' \
	SPRD_FLAGS='$(SPRD_FLAGS)' UP_FLAGS='$(UP_FLAGS)'
# What root built in somebody's checkout is theirs.
give_back = [ "$$(id -u)" != 0 ] || chown -R --reference=Makefile $(BUILD)

all: configured
	ninja -C $(BUILD)
	@$(give_back)

configured:
	@tools/configure $(BUILD) prefix=$(PREFIX)

programs:
	@[ -f $(BUILD)/build.ninja ] || tools/configure $(BUILD) prefix=$(PREFIX) tests=false
	@tools/configure $(BUILD) prefix=$(PREFIX)
	ninja -C $(BUILD) src/sprd src/spr
	@$(give_back)

install: programs
	DESTDIR='$(DESTDIR)' meson install -C $(BUILD) --no-rebuild --only-changed --quiet
	@$(give_back)

up:
	@tools/install-deps build
	@$(MAKE) --no-print-directory install
	@$(settings) tools/up up

down:
	@$(settings) tools/up down

uninstall:
	@[ -n '$(DESTDIR)' ] || $(settings) tools/up down
	@tools/uninstall '$(PREFIX)' '$(DESTDIR)'

deb:
	@tools/install-deps deb
	tools/make-deb $(BUILD)/deb '$(DEB_VERSION)'
	@$(give_back)

test:
	@tools/install-deps test
	@tools/configure $(BUILD) tests=true
	ninja -C $(BUILD)
	tests/run --build $(BUILD)
	@$(give_back)

# On Debian 12's own kernel, in a virtual machine: tests/vm/run
test-vm:
	@tools/install-deps test vm
	@tools/configure $(BUILD) tests=true
	ninja -C $(BUILD)
	tests/vm/run --build $(BUILD)
	@$(give_back)

# verdict() against the kernel, at length, in network namespaces of its own
prove-model:
	@tools/install-deps test
	@tools/configure $(BUILD) tests=true
	@ninja -C $(BUILD) tests/property/property
	@$(give_back)
	PACKETS=$(PACKETS) SEED=$(SEED) JOBS=$(JOBS) $(BUILD)/tests/property/property

demo:
	@tools/install-deps test
	@[ -f $(BUILD)/build.ninja ] || tools/configure $(BUILD) prefix=$(PREFIX) tests=false
	@ninja -C $(BUILD) src/sprd src/spr
	@$(give_back)
	SPR_BUILD=$(abspath $(BUILD)) /usr/bin/python3 tests/lab/demo.py

soak:
	@tools/install-deps test
	@tools/configure $(BUILD) tests=true
	ninja -C $(BUILD)
	SPR_SOAK=1 SPR_FAULTS_TABLE=$(abspath docs/faults.md) tests/run --build $(BUILD) soak deb
	@$(give_back)

# docs/figures.md; BENCH_FLAGS and the parts are those of bench/run
bench:
	@tools/install-deps test
	@tools/configure $(BUILD) tests=true
	ninja -C $(BUILD)
	bench/run --build $(BUILD) $(BENCH_FLAGS)
	@$(give_back)

lint:
	@tools/install-deps lint
	tests/run --build $(BUILD) lint

format:
	@tools/install-deps lint
	find src tests bench -name '*.[ch]' -exec clang-format -i {} +

fuzz:
	@tools/install-deps fuzz
	tests/fuzz/run $(SECONDS)

clean:
	rm -rf $(BUILD) build-asan build-fuzz

.PHONY: all configured programs install up down uninstall deb test test-vm prove-model soak demo bench lint format fuzz clean
