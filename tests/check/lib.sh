# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# What the checks on the sources share. A check takes the tree to look at as its argument, by default
# this repository; it prints a line for each place that breaks its rule and fails when there is any.

check_root=${1:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}
cd "$check_root" || exit 1

# files_list
# Prints the files of the tree: those that git knows or would add; without git, all but the build.
files_list() {
	if git rev-parse --is-inside-work-tree >/dev/null 2>&1 && [ -e .git ]; then
		git ls-files --cached --others --exclude-standard
	else
		find . -type f -not -path './build/*' -printf '%P\n'
	fi | sort | while read -r file; do
		# A file deleted but not yet committed is listed as well.
		[ ! -f "$file" ] || printf '%s\n' "$file"
	done
}

# sources_list
# The C files of the product and its tests.
sources_list() {
	files_list | grep -E '\.[ch]$' || true
}

found=0

# finding TEXT...
finding() {
	printf '%s\n' "$*"
	found=$((found + 1))
}

# check_end RULE
check_end() {
	if [ "$found" -gt 0 ]; then
		printf '%d found; the rule: %s\n' "$found" "$1"
		exit 1
	fi
}
