# registrar: make demo | check | check-asan | check-readers | check-browser | check-system | lint | bench | install
#
# Folders are the architecture (see README.md): supervisor -> common <- worker. Every .c below a folder
# belongs to it; nothing is listed by hand.

PREFIX ?= /usr/local
CC ?= cc
CXX ?= c++
BUILD ?= build
OPT ?= -O2
SANITIZE ?=
PKG_CONFIG ?= pkg-config

PACKAGES := build-essential pkg-config libuv1-dev libjansson-dev zlib1g-dev libtiff-dev \
	libdeflate-dev libzstd-dev libinih-dev libsystemd-dev \
	libopencv-core-dev libopencv-imgproc-dev libopencv-features2d-dev libopencv-calib3d-dev \
	libxxhash-dev libcminpack-dev libseccomp-dev libcfitsio-dev libcairo2-dev \
	libfreetype-dev fonts-dejavu-core
CHECK_PACKAGES := $(PACKAGES) libcmocka-dev python3 libtiff-tools
READERS_PACKAGES := $(CHECK_PACKAGES) python3-tifffile python3-astropy libvips-tools openslide-tools \
	libxml2-utils fitsverify
LINT_PACKAGES := $(PACKAGES) libcmocka-dev clang-format clang-tidy cppcheck mandoc
FUZZ_PACKAGES := $(PACKAGES) clang libclang-rt-dev
SYSTEM_PACKAGES := $(PACKAGES) libtiff-tools python3 qemu-system-x86 qemu-utils mmdebstrap e2fsprogs
BENCH_PACKAGES := $(CHECK_PACKAGES) hyperfine time parallel

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wvla -Werror
C_WARNINGS := $(WARNINGS) -Wstrict-prototypes -Wmissing-prototypes
# what both compilers and clang-tidy are given
DEFINES := -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -I. -isystem /usr/include/freetype2
HARDEN := -fstack-protector-strong -fno-strict-aliasing
CFLAGS_ALL = -std=gnu17 $(OPT) -g $(C_WARNINGS) $(DEFINES) $(HARDEN) $(SANITIZE) -MMD -MP $(CFLAGS)
CXXFLAGS_ALL = -std=c++17 $(OPT) -g $(WARNINGS) $(DEFINES) $(HARDEN) $(SANITIZE) -MMD -MP $(CXXFLAGS)

SUPERVISOR_LIBS = $(shell $(PKG_CONFIG) --libs libuv jansson zlib inih libsystemd) -lm
OPENCV_INCLUDE := -isystem /usr/include/opencv4
OPENCV_LIBS := -lopencv_calib3d -lopencv_features2d -lopencv_imgproc -lopencv_core
WORKER_LIBS = $(shell $(PKG_CONFIG) --libs libtiff-4 jansson zlib libxxhash cminpack libdeflate libzstd \
	libseccomp cairo) \
	$(OPENCV_LIBS) -lm -pthread

TOOLS_LIBS = $(shell $(PKG_CONFIG) --libs libtiff-4 jansson zlib) -lm -pthread

sources = $(shell find $(1) -name '*.c' -o -name '*.cpp' | sort)
objects = $(patsubst %,$(BUILD)/%.o,$(1))

COMMON_OBJ := $(call objects,$(call sources,common))
SUPERVISOR_OBJ := $(call objects,$(filter-out supervisor/main.c,$(call sources,supervisor)))
WORKER_OBJ := $(call objects,$(filter-out worker/main.c worker/qc/make_glyphs.c,$(call sources,worker))) \
	$(BUILD)/worker/qc/glyph_table.o
UNIT_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(wildcard tests/unit/test_*.c))
# What stands in a folder below tests/tools is linked into each tool that uses it.
TOOLS_OBJ := $(call objects,$(call sources,$(wildcard tests/tools/*/)))
TOOLS := $(patsubst tests/tools/%.c,$(BUILD)/tools/%,$(wildcard tests/tools/*.c))
BENCH_PROGRAMS := $(patsubst tests/bench/%.c,$(BUILD)/bench/%,$(wildcard tests/bench/*.c))
# make check SKIP='sweep qc': without these
INTEGRATION_TESTS := $(filter-out $(SKIP:%=tests/integration/test_%.py), \
	$(wildcard tests/integration/test_*.py))
PROGRAMS := $(BUILD)/registrar $(BUILD)/registrar-worker

.PHONY: all deps deps-check deps-readers deps-lint deps-fuzz deps-bench deps-system demo check \
	check-asan check-readers check-browser check-system deps-browser fuzz lint format bench install \
	uninstall clean
.SECONDARY:

all: $(PROGRAMS)

$(BUILD)/%.c.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -c -o $@ $<

$(BUILD)/%.cpp.o: %.cpp
	@mkdir -p $(@D)
	$(CXX) $(CXXFLAGS_ALL) $(OPENCV_INCLUDE) -c -o $@ $<

# Archives are made anew: a member whose source is gone must not linger.
$(BUILD)/libcommon.a: $(COMMON_OBJ)
$(BUILD)/libsupervisor.a: $(SUPERVISOR_OBJ)
$(BUILD)/libworker.a: $(WORKER_OBJ)
$(BUILD)/libtools.a: $(TOOLS_OBJ)
$(BUILD)/%.a:
	@rm -f $@
	$(AR) rcs $@ $^

$(BUILD)/registrar: $(BUILD)/supervisor/main.c.o $(BUILD)/libsupervisor.a $(BUILD)/libcommon.a
	$(CC) $(SANITIZE) $(LDFLAGS) -Wl,--as-needed -o $@ $^ $(SUPERVISOR_LIBS)

$(BUILD)/registrar-worker: $(BUILD)/worker/main.c.o $(BUILD)/libworker.a $(BUILD)/libcommon.a
	$(CXX) $(SANITIZE) $(LDFLAGS) -Wl,--as-needed -o $@ $^ $(WORKER_LIBS)

# A unit test links what it uses of either program: archives bring in only the members it needs.
$(BUILD)/unit/%: $(BUILD)/tests/unit/%.c.o $(BUILD)/libsupervisor.a $(BUILD)/libworker.a \
		$(BUILD)/libcommon.a
	@mkdir -p $(@D)
	$(CXX) $(SANITIZE) $(LDFLAGS) -Wl,--as-needed -o $@ $^ $(WORKER_LIBS) $(SUPERVISOR_LIBS) -lcmocka

# The tools judge the programs, so they share common/ with them and nothing else.
$(BUILD)/tools/%: $(BUILD)/tests/tools/%.c.o $(BUILD)/libtools.a $(BUILD)/libcommon.a
	@mkdir -p $(@D)
	$(CC) $(SANITIZE) $(LDFLAGS) -Wl,--as-needed -o $@ $^ $(TOOLS_LIBS)

# These look through the worker's eyes.
$(BUILD)/tools/read_image $(BUILD)/tools/captured_worker: $(BUILD)/tools/%: \
		$(BUILD)/tests/tools/%.c.o $(BUILD)/libworker.a $(BUILD)/libcommon.a
	@mkdir -p $(@D)
	$(CXX) $(SANITIZE) $(LDFLAGS) -Wl,--as-needed -o $@ $^ $(WORKER_LIBS)

$(BUILD)/bench/%: $(BUILD)/tests/bench/%.c.o $(BUILD)/libcommon.a
	@mkdir -p $(@D)
	$(CC) $(SANITIZE) $(LDFLAGS) -Wl,--as-needed -o $@ $^ $(TOOLS_LIBS)

# The letters of the quality pictures are part of the program: the same on every machine.
FONT ?= /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf
$(BUILD)/worker/qc/make_glyphs: worker/qc/make_glyphs.c worker/qc/glyphs.h
	@mkdir -p $(@D)
	$(CC) -std=gnu17 $(C_WARNINGS) $(DEFINES) -o $@ $< $(shell $(PKG_CONFIG) --libs freetype2)
$(BUILD)/worker/qc/glyph_table.c: $(BUILD)/worker/qc/make_glyphs
	$< $(FONT) > $@.tmp && mv $@.tmp $@
$(BUILD)/worker/qc/glyph_table.o: $(BUILD)/worker/qc/glyph_table.c
	$(CC) $(CFLAGS_ALL) -c -o $@ $<

# It takes in the report's page, see page_source.c.
$(BUILD)/supervisor/page/page_source.c.o: $(filter-out %.c %.h,$(wildcard supervisor/page/*.*))

# vectors
$(BUILD)/worker/output/lanes.c.o $(BUILD)/worker/output/sampler.c.o: OPT := $(OPT:-O2=-O3)
# vectors, under sanitizers too: it compares all key points
$(BUILD)/worker/align/evidence_features.c.o: OPT := -O3
# vectors: it draws a billion kernels for a large image
$(BUILD)/tests/tools/scene/render.c.o: OPT := -O3

# Missing packages are named, then installed; nothing happens when all are there.
define need_packages
@missing=; for p in $(1); do \
	dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; \
done; \
if [ -n "$$missing" ]; then \
	echo "Installing with apt:$$missing"; \
	if [ "$$(id -u)" -eq 0 ]; then as=; else as=sudo; fi; \
	$$as apt-get update -q && \
	$$as env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $$missing; \
fi
endef

deps:
	$(call need_packages,$(PACKAGES))
deps-check:
	$(call need_packages,$(CHECK_PACKAGES))
deps-lint:
	$(call need_packages,$(LINT_PACKAGES))
deps-readers:
	$(call need_packages,$(READERS_PACKAGES))
deps-fuzz:
	$(call need_packages,$(FUZZ_PACKAGES))
deps-bench:
	$(call need_packages,$(BENCH_PACKAGES))
deps-system:
	$(call need_packages,$(SYSTEM_PACKAGES))

JOBS := $(shell nproc)

# Five tasks drawn and aligned below DEMO; two of them are meant to fail.
DEMO ?= demo
demo: deps
	$(MAKE) -j$(JOBS) all $(BUILD)/tools/generate
	examples/demo $(BUILD) $(DEMO)

# The tests see the programs through BUILD; see tests/lib.
check: deps-check
	$(MAKE) -j$(JOBS) all $(UNIT_TESTS) $(TOOLS)
	BUILD=$(BUILD) prove -j$(JOBS) --timer --exec tests/lib/timed $(UNIT_TESTS) $(INTEGRATION_TESTS)

check-asan:
	ASAN_OPTIONS=abort_on_error=1:detect_leaks=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
	TIMEOUT_FACTOR=5 $(MAKE) check BUILD=build-asan OPT=-O1 \
		SANITIZE='-fsanitize=address,undefined -fno-omit-frame-pointer'

# The report in a Chromium (tests/browser). playwright-core, of a fixed version and checksum, is
# fetched by npm into the build folder; where its registry cannot be reached the tests say so.
BROWSER_PACKAGES := $(PACKAGES) python3 $(if $(shell command -v npm),,npm) \
	$(if $(shell command -v chromium chromium-browser google-chrome),,chromium)
deps-browser:
	$(call need_packages,$(BROWSER_PACKAGES))
check-browser: deps-browser
	$(MAKE) -j$(JOBS) all
	@mkdir -p $(BUILD)/browser
	cp tests/browser/package.json tests/browser/package-lock.json $(BUILD)/browser
	-npm ci --prefix $(BUILD)/browser --ignore-scripts --no-audit --no-fund
	BUILD=$(BUILD) TIMED_WITH=node prove --timer --exec tests/lib/timed tests/browser/test_*.mjs

# The result files in other people's programs. make check runs this too, with those that are there.
check-readers: deps-readers
	$(MAKE) -j$(JOBS) all $(BUILD)/tools/generate
	BUILD=$(BUILD) prove --verbose --exec tests/lib/timed tests/integration/test_readers.py

# libFuzzer, a minute for each target (make fuzz FUZZ_SECONDS=600: longer); what it finds stays in
# build-fuzz, to be run again as build-fuzz/fuzz/fuzz_NAME FILE.
FUZZ_SECONDS ?= 60
FUZZ_TARGETS := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
fuzz: deps-fuzz
	$(MAKE) -j$(JOBS) BUILD=build-fuzz OPT=-O1 CC=clang CXX=clang++ \
		CFLAGS="-Wno-error -Wno-unused-variable" \
		SANITIZE='-fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=all' \
		$(FUZZ_TARGETS:%=build-fuzz/fuzz/fuzz_%)
	set -e; for target in $(FUZZ_TARGETS); do \
		mkdir -p build-fuzz/corpus/$$target; \
		build-fuzz/fuzz/fuzz_$$target -max_total_time=$(FUZZ_SECONDS) -max_len=8192 -timeout=10 \
			-print_final_stats=1 -verbosity=0 -artifact_prefix=build-fuzz/$$target- \
			build-fuzz/corpus/$$target tests/fuzz/seeds/$$target; done

$(BUILD)/fuzz/%: $(BUILD)/tests/fuzz/%.c.o $(BUILD)/libsupervisor.a $(BUILD)/libcommon.a
	@mkdir -p $(@D)
	$(CC) $(SANITIZE) -fsanitize=fuzzer $(LDFLAGS) -o $@ $^ $(SUPERVISOR_LIBS)

# This one looks at a part of the worker; all of it would bring OpenCV in.
FUZZED_TABLE := $(wildcard worker/apply/csv.c worker/apply/apply_points.c worker/apply/apply_map.c \
	worker/align/transform*.c worker/align/map*.c worker/align/bspline.c worker/memory/*.c \
	worker/stage/progress.c worker/stage/report.c)
$(BUILD)/fuzz/fuzz_table: $(BUILD)/tests/fuzz/fuzz_table.c.o $(call objects,$(FUZZED_TABLE)) \
		$(BUILD)/libcommon.a
	@mkdir -p $(@D)
	$(CC) $(SANITIZE) -fsanitize=fuzzer $(LDFLAGS) -o $@ $^ $(SUPERVISOR_LIBS)

# A small system of this release under qemu: real systemd, real cgroup v2 (tests/system).
check-system: deps-system
	$(MAKE) -j$(JOBS) all $(TOOLS)
	BUILD=$(BUILD) tests/system/check

# Each figure that is claimed, measured here (tests/bench), or some: make bench PARTS="kills scale".
# Smaller: make bench QUICK=1
bench: deps-bench
	$(MAKE) -j$(JOBS) all $(TOOLS) $(BENCH_PROGRAMS)
	BUILD=$(BUILD) QUICK=$(QUICK) tests/bench/bench $(PARTS)

C_FILES = $(shell find common supervisor worker tests -name '*.[ch]' -o -name '*.cpp')
MAN_PAGES := $(wildcard man/*.[1-9])
# Neither cppcheck nor clang-tidy knows __attribute__((cleanup)): leaks are check-asan's business.
lint: deps-lint
	clang-format --dry-run --Werror $(C_FILES)
	$(if $(MAN_PAGES),mandoc -T lint -W warning $(MAN_PAGES))
	cppcheck --quiet -j$(JOBS) --std=c11 --std=c++17 --enable=warning,performance,portability \
		--inline-suppr --error-exitcode=1 --suppress=missingIncludeSystem \
		--suppress=memleak --suppress=resourceLeak $(DEFINES) \
		common supervisor worker tests/tools tests/bench
	$(if $(shell command -v systemd-analyze),tests/lib/verify_units $(SYSTEMD))
	@printf '%s\n' $(filter %.c,$(C_FILES)) | xargs -P$(JOBS) -n 4 \
		sh -c 'clang-tidy --quiet "$$@" -- -std=gnu17 $(DEFINES) 2>/dev/null' clang-tidy

format:
	clang-format -i $(C_FILES)

SYSTEMD := supervisor/service/systemd
UNITS := $(patsubst $(SYSTEMD)/%.in,%,$(wildcard $(SYSTEMD)/*/*.in))
# where each installed file goes below PREFIX
COMPLETION := share/bash-completion/completions/registrar
INSTALLED = $(addprefix bin/,$(notdir $(PROGRAMS))) \
	$(COMPLETION) $(addprefix lib/systemd/,$(UNITS)) \
	lib/sysusers.d/registrar.conf lib/tmpfiles.d/registrar.conf \
	$(foreach page,$(MAN_PAGES),share/man/man$(subst .,,$(suffix $(page)))/$(notdir $(page)))

# The service afterwards, see registrar-daemon(8):
#	systemd-sysusers && systemctl daemon-reload && systemctl enable --now registrar.service
install: all
	install -D -t $(DESTDIR)$(PREFIX)/bin $(PROGRAMS)
	install -D -m 644 $(SYSTEMD)/sysusers.conf $(DESTDIR)$(PREFIX)/lib/sysusers.d/registrar.conf
	install -D -m 644 $(SYSTEMD)/tmpfiles.conf $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/registrar.conf
	set -e; for unit in $(UNITS); do \
		to=$(DESTDIR)$(PREFIX)/lib/systemd/$$unit; \
		install -D -m 644 $(SYSTEMD)/$$unit.in $$to; \
		sed -i 's|@bindir@|$(PREFIX)/bin|' $$to; done
	install -D -m 644 supervisor/cli/registrar.bash $(DESTDIR)$(PREFIX)/$(COMPLETION)
	set -e; for page in $(MAN_PAGES); do \
		install -D -m 644 $$page $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page##*/}; done

uninstall:
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/,$(INSTALLED))

clean:
	rm -rf build build-asan build-fuzz demo

-include $(shell find $(BUILD) -path $(BUILD)/system -prune -o -name '*.d' -type f -print 2>/dev/null)
