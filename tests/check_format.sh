#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The C files look as .clang-format says. check_format.sh; to make them so: clang-format -i FILES
set -eu
cd "$(dirname "$0")/.."

if ! command -v clang-format >/dev/null; then
	echo "clang-format is not installed"
	exit 77
fi
find src tests bench -name '*.[ch]' -print0 | xargs -0 clang-format --dry-run -Werror
