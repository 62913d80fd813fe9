# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Packages from another Debian suite, without touching the machine's own apt state. Sourced by
# kernel/build and tests/vm/cached.sh.

debian_keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# Where everything that is expensive to make is kept; outside the tree, so that a fresh clone has it.
# shellcheck disable=SC2034 # for the scripts that source this
sluice_cache=${SLUICE_CACHE:-$HOME/.cache/sluice}

# debian_mirror SCRATCH
# Prints the address of the Debian archive that this machine's own apt sources name. apt answers from
# its package lists; a machine that has none yet gets a private copy of them in SCRATCH.
debian_mirror() {
	local scratch=$1 uri
	local query=(indextargets --format "\$(REPO_URI)"
		"Created-By: Packages" "Origin: Debian" "Label: Debian" "Component: main")

	uri=$(apt-get "${query[@]}" | sed -n 1p)
	if [ -z "$uri" ]; then
		mkdir -p "$scratch/host-lists/partial"
		apt-get -o Dir::State::lists="$scratch/host-lists" -o APT::Sandbox::User=root \
			-qq update >&2 || return 1
		uri=$(apt-get -o Dir::State::lists="$scratch/host-lists" "${query[@]}" | sed -n 1p)
	fi
	if [ -z "$uri" ]; then
		echo "the apt sources of this machine name no Debian archive: add one, or run this on Debian" >&2
		return 1
	fi
	printf '%s\n' "${uri%/}"
}

# debian_apt_open DIR SUITE
# Makes DIR an apt configuration of its own for SUITE and reads the suite's signed package lists.
# Afterwards: APT_CONFIG=DIR/apt.conf apt-get download ...
debian_apt_open() {
	local dir=$1 suite=$2 mirror

	if [ ! -r "$debian_keyring" ]; then
		echo "$debian_keyring is missing: install the package debian-archive-keyring" >&2
		return 1
	fi
	mirror=$(debian_mirror "$dir") || return 1
	mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial" "$dir/none"
	: >"$dir/status"
	printf 'deb [signed-by=%s] %s %s main\n' "$debian_keyring" "$mirror" "$suite" >"$dir/sources.list"
	{
		# Proxies and the like come along; hooks do not: they act on the machine's own state.
		apt-config dump Acquire
		cat <<-CONF
			Dir::Etc::parts "$dir/none";
			Dir::Etc::sourcelist "$dir/sources.list";
			Dir::Etc::sourceparts "$dir/none";
			Dir::Etc::preferencesparts "$dir/none";
			Dir::State "$dir";
			Dir::State::lists "$dir/lists";
			Dir::State::status "$dir/status";
			Dir::Cache "$dir/cache";
			APT::Sandbox::User "root";
		CONF
	} >"$dir/apt.conf"
	if ! APT_CONFIG="$dir/apt.conf" apt-get -qq update >&2; then
		echo "cannot read the suite $suite of $mirror: see apt's message above" >&2
		return 1
	fi
}
