#!/bin/sh
# Whether the checkers see anything at all: faults of our own, each a small patch in tests/crash/planted, are built in one after the
# other, and every one must be found. A checker that finds something in the code as it is has failed too.
#
#	PLANTED="drop-the-intent ..."	only these
#	CHECKERS="units faults ..."	only these, in this order: units faults trials system power torture
#	ALL=yes				goes on after the first checker that found it, and tells of each
#	CLEAN=no			does not try the code as it is first
#
# It works on a copy of the source under TMPDIR. For each fault it prints who found it, how soon and by which words; the closing line
# counts, and the exit status says whether all were found.
set -u

: "${srcdir:=.}" "${CHECKERS:=units faults trials system power torture}" "${ALL:=}" "${CLEAN:=}"
srcdir=$(cd "$srcdir" && pwd) || exit 1
: "${PLANTED:=$(cd "$srcdir/tests/crash/planted" && ls | sed -n 's/\.patch$//p')}"
units="http api spool collect steps lookup account pipeline"
work=$(mktemp -d "${TMPDIR:-/tmp}/batchd-planted.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP
tree=$work/source build=$work/build
found=0 missed=0

# --- the checkers: each ends with another status than 0 when something does not hold ---

check_units()
{
	for unit in $units; do
		"$build/tests/unit/test_$unit" || return
	done
}

check_faults()
{
	"$build/tests/crash/cable_faults" --workers 2 --first 2>/dev/null
}

check_trials()
{
	"$build/batchd-trials" --count 300 --jobs 2 && "$build/batchd-trials" --singles --jobs 2
}

check_power()
{
	# Files beside the store are in few scenes.
	"$build/batchd-power" --scene large --total 2500 && "$build/batchd-power" --total 6000
}

check_system()
{
	for test in accepted lost-answer kill-flush; do
		srcdir=$tree builddir=$build "$tree/tests/system/$test.test" || return
	done
}

check_torture()
{
	srcdir=$tree builddir=$build SCENES=small PAIRS=0 sh "$tree/tests/crash/torture.sh"
}

# What the checkers need, and no more.
programs()
{
	for checker in $CHECKERS; do
		case $checker in
		units) for unit in $units; do echo "tests/unit/test_$unit"; done ;;
		faults) echo tests/crash/cable_faults ;;
		trials) echo batchd-trials ;;
		power) echo batchd-power ;;
		system) echo batchd batchctl batch-api-sim batchd-killable tests/system/talk ;;
		torture) echo batchd batchctl batch-api-sim batchd-killable batchctl-killable tests/crash/ordeal ;;
		esac
	done | tr ' ' '\n' | sort -u
}

# --- the rounds ---

copy_source()
{
	mkdir "$tree" "$build" || return
	(cd "$srcdir" && tar cf - --exclude=.git --exclude='*.o' --exclude='*.a' --exclude=config.status \
		--exclude=./Makefile .) | tar xf - -C "$tree"
	(cd "$build" && "$tree/configure" -q CFLAGS="-O1") >"$work/log" 2>&1
}

build()
{
	# shellcheck disable=SC2046
	make -C "$build" -s -j "$(nproc)" $(programs) >"$work/log" 2>&1
}

seconds_since()
{
	awk -v now="$(date +%s.%N)" -v then="$1" 'BEGIN { printf "%.1f", now - then }'
}

# The words by which a checker tells what it found: the first that are no good news.
complaint()
{
	{
		grep -E -m 1 '^not ok|^# row|^  *1\. |Assertion ' "$work/log" ||
			grep -v -E -m 1 '^ *$|^#|^ok|^1\.\.|CUnit|^Suite|^  Test' "$work/log"
	} | sed "s,$tree/,," | cut -c 1-160
}

# round NAME: runs the checkers; 0 when one of them found something.
round()
{
	caught=1
	for checker in $CHECKERS; do
		began=$(date +%s.%N)
		if ! run_checker "$checker"; then
			echo "$1: found by $checker after $(seconds_since "$began") s: $(complaint)"
			caught=0
			[ -n "$ALL" ] || return 0
		elif [ -n "$ALL" ] || [ "$1" = "nothing planted" ]; then
			echo "$1: not found by $checker in $(seconds_since "$began") s"
		fi
	done
	return "$caught"
}

run_checker()
{
	"check_$1" >"$work/log" 2>&1 </dev/null
}

plant()
{
	patch=$tree/tests/crash/planted/$1.patch
	if ! patch -d "$tree" -p1 -s --dry-run <"$patch" >/dev/null 2>&1; then
		echo "$1: the patch no longer applies; make it anew"
		missed=$((missed + 1))
		return
	fi
	patch -d "$tree" -p1 -s --no-backup-if-mismatch <"$patch"
	if ! build; then
		echo "$1: what it makes of the source does not compile: $(grep -m 1 error: "$work/log")"
		missed=$((missed + 1))
	elif round "$1"; then
		found=$((found + 1))
	else
		echo "$1: NOT FOUND"
		missed=$((missed + 1))
	fi
	patch -d "$tree" -p1 -s -R --no-backup-if-mismatch <"$patch"
}

copy_source && build || {
	echo "the source as it is does not build:"
	tail -n 20 "$work/log"
	exit 1
}
if [ "$CLEAN" != no ] && round "nothing planted"; then
	missed=$((missed + 1))
fi
for name in $PLANTED; do
	plant "$name"
done
echo "$found planted faults found, $missed failures"
[ "$missed" -eq 0 ] && [ "$found" -gt 0 ]
