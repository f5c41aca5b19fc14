#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Every source file is in the list that builds it. check_files.sh
set -eu
cd "$(dirname "$0")/.."
bad=0

# listed NAME LIST
listed()
{
	grep -q "'$1'" "$2" && return
	echo "$2: $1 is in no list" >&2
	bad=1
}

for file in src/*/*.c; do
	listed "${file#src/}" src/meson.build
done
for file in tests/unit/test_*.c; do
	name=${file#tests/unit/test_}
	listed "${name%.c}" tests/unit/meson.build
done
for file in tests/fuzz/fuzz_*.c; do
	name=${file#tests/fuzz/fuzz_}
	listed "${name%.c}" tests/fuzz/meson.build
done
for file in bench/*.c; do
	listed "${file#bench/}" bench/meson.build
done
exit $bad
