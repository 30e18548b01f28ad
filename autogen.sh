#!/bin/sh
# SPDX-License-Identifier: ISC
# Makes ./configure and the Makefile templates from configure.ac and Makefile.am.
set -eu
cd "$(dirname "$0")"
for tool in autoreconf automake aclocal; do
	if ! command -v "$tool" >/dev/null 2>&1; then
		echo "autogen.sh: $tool is missing; on Debian and Ubuntu: apt-get install autoconf automake" >&2
		exit 1
	fi
done
exec autoreconf --install --force --warnings=all,no-portability
