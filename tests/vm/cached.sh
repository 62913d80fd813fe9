# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# What tests/vm/rootfs and tests/vm/qemu share: a thing that is made once, of packages of another suite
# of Debian, and kept outside the tree under a key that tells what it was made of. Sourced, never run;
# the caller has set -euo pipefail and sets:
#
#   name      what it calls itself
#   made      what it makes, for people
#   suffix    of the name of what it makes, in the cache
#   sources   the files whose content is the key
#   kept      so many of what it made stay in the cache
#
# and has a function make_new KEY, which leaves $cache/KEY$suffix when it is complete, in one step.
#
# shellcheck disable=SC2154 # name, made, suffix, sources, kept: see above

vm_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tools/debian.sh
source "$vm_dir/../../tools/debian.sh"

usage() {
	cat <<-TEXT
		usage: tests/vm/$name [--print-path | --key | --help]

		Makes $made, or does nothing when the one in the cache is up to date.

		  --print-path  print the path of what is up to date, making it when missing
		  --key         print its key: a hash of what it is made of
		  --help        this text

		Cache: $cache (set SLUICE_CACHE to move it)
	TEXT
}

say() {
	printf '%s: %s\n' "$name" "$*" >&2
}

die() {
	say "$*"
	exit 1
}

# Removes all but the newest of what was made.
old_remove() {
	find "$cache" -maxdepth 1 -name "*$suffix" -printf '%T@ %p\n' | sort -rn |
		tail -n +$((kept + 1)) | cut -d' ' -f2- | while IFS= read -r old; do
		rm -rf "$old"
	done
}

# cached_main [ARGUMENT]: the command line of the script.
cached_main() {
	local mode=make key path

	cache=$sluice_cache/$name
	case ${1-} in
	"") ;;
	--print-path | --key) mode=${1#--} ;;
	--help)
		usage
		exit 0
		;;
	*)
		usage >&2
		exit 2
		;;
	esac

	key=$(cat "${sources[@]}" | sha256sum | cut -c1-16)
	if [ "$mode" = key ]; then
		printf '%s\n' "$key"
		return
	fi
	mkdir -p "$cache"
	exec 9>"$cache/lock"
	if ! flock -n 9; then
		say "waiting for another tests/vm/$name that works in $cache"
		flock 9
	fi
	path=$cache/$key$suffix
	if [ -e "$path" ]; then
		touch "$path"
		[ "$mode" = print-path ] || say "up to date: $path"
	else
		make_new "$key"
		old_remove
		say "done: $path"
	fi
	[ "$mode" != print-path ] || printf '%s\n' "$path"
}
