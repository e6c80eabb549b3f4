# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# What the tests of the tools share: results as TAP, and a look at outputs.

nr=0
failed=0

ok()
{
	nr=$((nr + 1))
	echo "ok $nr $1"
}

not_ok()
{
	nr=$((nr + 1))
	failed=$((failed + 1))
	echo "not ok $nr $1"
}

# is WHAT GOT WANTED
is()
{
	if [ "$2" = "$3" ]; then
		ok "$1"
	else
		printf '# got:    %s\n# wanted: %s\n' "$2" "$3"
		not_ok "$1"
	fi
}

# expect STATUS WHAT PATTERN COMMAND...: the exit status, and what is said.
expect()
{
	want=$1 what=$2 pattern=$3
	shift 3
	status=0
	said=$("$@" 2>&1) || status=$?
	if [ "$status" = "$want" ] && printf '%s\n' "$said" | grep -qE -e "$pattern"; then
		ok "$what"
	else
		printf '# exit status %s (wanted %s), of: %s\n' "$status" "$want" "$*"
		printf '%s\n' "$said" | sed 's/^/# /'
		printf '# wanted: %s\n' "$pattern"
		not_ok "$what"
	fi
}

done_testing()
{
	echo "1..$nr"
	[ "$failed" = 0 ]
}
