# SPDX-License-Identifier: ISC
# shellcheck shell=bash
# What quickstart and test share: saying what happens, and installing packages.

say() {
	printf '\n== %s\n' "$*"
}

fail() {
	printf '%s: %s\n' "${0##*/}" "$1" >&2
	[ -z "${2-}" ] || printf 'hint: %s\n' "$2" >&2
	exit 1
}

# From here to `together` one run at a time in this clone; what they build by themselves would mix. A run that was
# killed keeps others waiting only as long as the make that it started still works.
alone() {
	exec {lock}<"$source"
	flock -n "$lock" || {
		say "another run works in $source; waiting until it is through"
		flock "$lock"
	}
}

# What is started from now on may live for long, and must not hold the lock.
together() {
	exec {lock}<&-
}

# The packages of the groups named that are not installed, one a line.
missing_packages() {
	local group package program
	while read -r group package program; do
		[[ " $* " == *" $group "* ]] || continue
		[ -z "$program" ] || ! command -v "$program" >/dev/null 2>&1 || continue
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
			printf '%s\n' "$package"
	done < <(grep -v '^#' "$source/scripts/packages")
}

# Installs what is missing of the groups named: as root, or with sudo, after saying so.
need_packages() {
	local missing as_root=()
	if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
		printf 'This is no Debian or Ubuntu; scripts/packages lists what is needed. Going on.\n'
		return 0
	fi
	mapfile -t missing < <(missing_packages "$@")
	if [ ${#missing[@]} = 0 ]; then
		printf 'Every package that is needed is installed.\n'
		return 0
	fi
	if [ "$(id -u)" != 0 ]; then
		command -v sudo >/dev/null || fail "these packages are missing: ${missing[*]}" \
			"as root: apt-get install --no-install-recommends ${missing[*]}"
		as_root=(sudo)
	fi
	say "installing ${#missing[@]} packages (${as_root[*]:+with sudo; }nothing else needs root): ${missing[*]}"
	"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -q
	"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
		apt-get install -q -y --no-install-recommends "${missing[@]}"
}

# configure_in FOLDER OPTION...: makes ./configure when it is older than its sources, and runs it there
# when it was not run with these options.
configure_in() {
	local build=$source/$1
	shift
	if [ ! -x "$source/configure" ] || [ "$source/configure.ac" -nt "$source/configure" ] ||
		[ "$source/Makefile.am" -nt "$source/Makefile.in" ]; then
		say "./autogen.sh"
		"$source/autogen.sh"
	fi
	mkdir -p "$build"
	if [ -f "$build/Makefile" ] && [ "$build/Makefile" -nt "$source/configure" ] &&
		[ "$(cat "$build/.options" 2>/dev/null)" = "$*" ]; then
		return 0
	fi
	say "./configure $*"
	(cd "$build" && "$source/configure" -q "$@")
	printf '%s\n' "$*" >"$build/.options"
}
