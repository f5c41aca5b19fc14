#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# clang-tidy finds nothing in src/. check_tidy.sh BUILD
set -eu
cd "$(dirname "$0")/.."
build=${1:-build}

if ! command -v clang-tidy >/dev/null; then
	echo "clang-tidy is not installed"
	exit 77
fi
[ -f "$build/compile_commands.json" ] || tools/configure "$build"

# Each file once: a test may compile some of them again. Programs for the kernel are compiled for another machine.
find src -name '*.c' ! -name '*.bpf.c' | sort | xargs -P "$(nproc)" -n 8 clang-tidy --quiet -p "$build" 2>/dev/null
