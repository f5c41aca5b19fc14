#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The scripts pass shellcheck. check_shell.sh
set -eu
cd "$(dirname "$0")/.."

if ! command -v shellcheck >/dev/null; then
	echo "shellcheck is not installed"
	exit 77
fi
find .ci tools tests dist debian -type f -exec awk 'FNR == 1 && /^#!\/bin\/(ba)?sh/ { print FILENAME }' {} + | sort |
	xargs shellcheck
