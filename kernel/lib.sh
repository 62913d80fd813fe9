# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What kernel/build and kernel/check-source share. Sourced, never run; the caller has set -euo pipefail.

kernel_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tools/debian.sh
source "$kernel_dir/../tools/debian.sh"

# shellcheck disable=SC2034 # for the scripts that source this
package=linux-source-7.3 suite=trixie-backports cache=$sluice_cache/kernel

say() {
	printf 'kernel: %s\n' "$*" >&2
}

die() {
	say "$*"
	exit 1
}

# Paths of the patches, in the order in which they apply. Number 0 is the cover letter, which git names
# like a patch.
patches_list() {
	local dir
	for dir in patches testing; do
		[ ! -d "$kernel_dir/$dir" ] ||
			find "$kernel_dir/$dir" -maxdepth 1 -name '*.patch' ! -name '0000-*' | LC_ALL=C sort
	done
}
