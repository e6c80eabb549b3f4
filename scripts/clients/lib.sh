# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034
#
# What the tests in the guest share. Each begins with:  . ./lib.sh; plan N

nr=0
dist=$(sed -n 's/^VERSION_ID="\(.*\)"/\1/p' /etc/os-release)
cg=/sys/fs/cgroup
hybrid=''
[ -e $cg/cgroup.controllers ] || hybrid=1

# plan N: so many results. A program that ends before that has failed.
plan() { echo "1..$1"; }

# check TEXT COMMAND...: the result is the command's status.
check()
{
	local text=$1 said

	shift
	nr=$((nr + 1))
	if said=$("$@" 2>&1); then
		echo "ok $nr $text"
	else
		printf '%s:\n%s\n' "$*" "$said" | sed 's/^/# /' | tail -n 15
		echo "not ok $nr $text"
		return 1
	fi
}

# is TEXT GOT WANTED
is()
{
	nr=$((nr + 1))
	if [ "$2" = "$3" ]; then
		echo "ok $nr $1"
	else
		printf 'got: %s\nwanted: %s\n' "$2" "$3" | sed 's/^/# /'
		echo "not ok $nr $1"
		return 1
	fi
}

# refused TEXT GOT MOST ERROR: "97 Too many open files" is right where MOST is 100: the
# program itself and what it runs in have some of them.
refused()
{
	local got=${2##*$'\n'}

	nr=$((nr + 1))
	if [[ $got =~ ^([0-9]+)\ $4 ]] && [ "${BASH_REMATCH[1]}" -le "$3" ] &&
	   [ "${BASH_REMATCH[1]}" -ge $(($3 * 4 / 5)) ]; then
		echo "ok $nr $1 (got $got)"
	else
		printf 'got: %s\nwanted: at most %s, and %s\n' "$2" "$3" "$4" | sed 's/^/# /'
		echo "not ok $nr $1"
		return 1
	fi
}

# skip N TEXT REASON: N results that cannot be had here.
skip()
{
	local i

	for ((i = 0; i < $1; i++)); do
		nr=$((nr + 1))
		echo "ok $nr $2 # SKIP $3"
	done
}

# not_here N: the whole test, on a hybrid hierarchy.
v2_only()
{
	[ -n "$hybrid" ] || return 0
	plan "$1"
	skip "$1" "everything" "needs cgroup v2: systemd makes no groups for v1's controllers"
	exit 0
}

# until_true SECONDS COMMAND...
until_true()
{
	local end=$((SECONDS + $1))

	shift
	until "$@" > /dev/null 2>&1; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 1
	done
}

group_of() { echo "$cg$(systemctl show -P ControlGroup "$1")"; }
event() { sed -n "s/^$2 //p" "$1"; }

# An image for containers: a static busybox and the program that takes.
rootfs()
{
	local dir=/var/tmp/rootfs applet

	[ ! -e $dir/bin/take ] || return 0
	mkdir -p $dir/{bin,dev,etc,proc,sys,tmp,usr,run,root}
	cp /bin/busybox /run/bc/take $dir/bin/
	for applet in sh sleep cat ls echo true; do ln -sf busybox $dir/bin/$applet; done
	echo root:x:0:0:root:/root:/bin/sh > $dir/etc/passwd
	echo root:x:0: > $dir/etc/group
	tar -C $dir -cf /var/tmp/rootfs.tar .
	chmod 755 $dir
	chmod 644 /var/tmp/rootfs.tar
}
