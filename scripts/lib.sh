# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What the scripts here share: where things are, what they need, how they speak.
# Every script begins with:  . "${0%/*}/lib.sh"

set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
KVER=${KVER:-6.12}
JOBS=${JOBS:-$(nproc)}
O=$(realpath -m "${O:-$ROOT/build/$KVER}")
PATCHES=$ROOT/patches/$KVER
# The folders of this repository that become folders of a kernel tree, and those
# whose files join others in a folder that the kernel has.
# shellcheck disable=SC2034
OVERLAY=(kernel/bc include/bc Documentation/bc tools/testing/selftests/bc)
# shellcheck disable=SC2034
SHARED=(kernel/cgroup kernel/sched mm)
export KVER JOBS O KSRC=${KSRC:-}
export LC_ALL=C
# What make was told is for us, not for the makes that we call.
unset MAKEFLAGS MFLAGS MAKEOVERRIDES

# What a healthy kernel never says. Fault injection's traces are none of it.
# shellcheck disable=SC2034
splat='BUG: |Oops|WARNING: |Kernel panic|general protection fault'
splat+='|possible (recursive|circular|irq lock inversion|deadlock)|INFO: '
splat+='|suspicious RCU usage|inconsistent lock state|held lock|lock held when'
splat+='|KASAN|UBSAN|KCSAN|kmemleak: [0-9]+ new|scheduling while atomic'
splat+='|sleeping function called|soft lockup|hard LOCKUP|self-detected stall'
splat+='|detected stalls|blocked for more than|ODEBUG|list_(add|del) corruption'
splat+='|refcount_t: |percpu ref .* <= 0|Out of memory: |segfault at .*init'

say() { printf '%s\n' "== $*" >&2; }
die() { printf '%s\n' "${0##*/}: $*" >&2; exit 1; }

# stage NAME COMMAND...: says how long the command took, on the clock and of CPUs.
stage()
{
	local TIMEFORMAT="== $1: %0R s (CPU: %0U s, and %0S s in the kernel)"

	time "${@:2}"
}

# need THING:PACKAGE...: installs the packages whose THING (a command, or a file
# if it has a slash) is missing; says how to where it may not.
need()
{
	local pair thing missing=()

	for pair in "$@"; do
		thing=${pair%%:*}
		case $thing in
		*/*) [ -e "$thing" ] ;;
		*)   command -v "$thing" >/dev/null ;;
		esac || missing+=("${pair#*:}")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	local cmd=(apt-get install -y --no-install-recommends "${missing[@]}")

	command -v apt-get >/dev/null ||
		die "missing; this is no Debian-like system, please install: ${missing[*]}"
	[ "$(id -u)" = 0 ] ||
		die "missing packages; as root: apt-get update && ${cmd[*]}"
	say "installing ${missing[*]}"
	export DEBIAN_FRONTEND=noninteractive
	{ apt-get update -q && "${cmd[@]}" -q; } >&2 || die "failed: ${cmd[*]}"
}

# What it takes to build a kernel, an initramfs and the tests.
need_build()
{
	need gcc:gcc make:make flex:flex bison:bison bc:bc perl:perl \
		python3:python3 rsync:rsync xz:xz-utils patch:patch cmp:diffutils \
		/usr/include/libelf.h:libelf-dev /usr/include/stdio.h:libc6-dev
}

# The package of the tools, built where a source is newer.
need_tools()
{
	local deb

	deb=$(ls "$O"/deb-tools/*.deb 2> /dev/null || true)
	if [ -z "$deb" ] || [ -n "$(find "$ROOT/tools/bc" -type f -newer "$deb")" ]; then
		"$ROOT/scripts/deb-tools" >&2
	fi
}

# The patches of the series in order, as file names.
patches()
{
	awk -v dir="$PATCHES/" 'NF && !/^#/ { print dir $1 }' "$PATCHES/series"
}

# The options that the series adds.
options()
{
	{
		cat "$ROOT/kernel/bc/Kconfig"
		sed -n 's/^+//p' "$PATCHES"/*.patch
	} | sed -n 's/^config \([A-Z0-9_]*\)$/\1/p'
}

# The existing kernel files that the named patches change.
touched()
{
	[ $# -eq 0 ] || sed -n 's,^+++ b/\([^\t]*\).*,\1,p' "$@" | sort -u
}
