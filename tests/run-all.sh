#!/bin/sh
# Runs every program and script given and closes with one line: "N passed, N failed" (", N skipped").
#
# A script (.sh, .test) speaks TAP; any other program is a unit test that closes with the line
# "NAME: N passed, N failed". Who dies without having said its last word has failed once more, and so has
# who returns an error without having told a failure. The output of a failure is shown, the rest is kept
# in $builddir/tests/logs. TEST_TIMEOUT (seconds, 300) bounds each; TEST_JOBS (one for each processor) run at once.
set -u

builddir=${builddir:-.}
srcdir=${srcdir:-.}
builddir=$(cd "$builddir" && pwd) || exit 1
srcdir=$(cd "$srcdir" && pwd) || exit 1
export srcdir builddir
logs=$builddir/tests/logs
mkdir -p "$logs" || exit 1

# count_unit LOG, count_tap LOG: print "passed failed skipped finished".
count_unit()
{
	awk '
	/^[A-Za-z0-9_-]+: [0-9]+ passed, [0-9]+ failed(, [0-9]+ skipped)?$/ {
		passed = $2; failed = $4; skipped = $6 + 0; closed = 1
	}
	END { print passed + 0, failed + 0, skipped + 0, closed + 0 }' "$1"
}

count_tap()
{
	awk '
	/^1\.\.[0-9]+/ { plan = substr($1, 4) + 0; planned = 1; if (plan == 0) skipped++ }
	/^ok([ \t]|$)/ { if (toupper($0) ~ /# SKIP/) skipped++; else passed++; told++ }
	/^not ok([ \t]|$)/ { failed++; told++ }
	/^Bail out!/ { bailed = 1 }
	END { print passed + 0, failed + 0, skipped + 0, planned && told + 0 == plan && !bailed }' "$1"
}

# Says how it went, in one piece, and leaves its counts beside its log.
run_one()
{
	name=${1##*tests/}
	log=$logs/$(printf '%s' "$name" | tr / -).log
	case $1 in
	*.sh | *.test) kind=tap ;;
	*) kind=unit ;;
	esac
	timeout -k 10 "${TEST_TIMEOUT:-300}" "$1" >"$log" 2>&1 </dev/null
	status=$?
	set -- $(count_$kind "$log")
	why=
	if [ "$4" -ne 1 ]; then
		why="ended before its last line (status $status)"
	elif [ "$status" -ne 0 ] && [ "$2" -eq 0 ]; then
		why="returned $status without a failed test"
	fi
	[ "$status" -eq 124 ] && why="took longer than ${TEST_TIMEOUT:-300} s"
	[ -z "$why" ] || set -- "$1" "$(($2 + 1))" "$3"
	echo "$1 $2 $3" >"$log.counts"
	if [ "$2" -eq 0 ]; then
		printf '  ok    %s (%s%s)\n' "$name" "$1" "$([ "$3" -eq 0 ] || printf ', %s skipped' "$3")"
	else
		printf '  FAIL  %s: %s of %s failed%s\n%s\n' "$name" "$2" "$(($1 + $2))" "${why:+; it $why}" \
			"$(sed 's/^/        | /' "$log")"
	fi
}

if [ "${1-}" = --one ]; then
	run_one "$2"
	exit 0
fi

rm -f "$logs"/*.counts
[ $# -eq 0 ] || printf '%s\n' "$@" | xargs -P "${TEST_JOBS:-$(nproc)}" -I TEST sh "$0" --one TEST
set -- $(cat "$logs"/*.counts 2>/dev/null | awk -v tests=$# '
	{ passed += $1; failed += $2; skipped += $3 }
	END { print passed + 0, failed + tests - NR, skipped + 0 }')
passed=$1 failed=$2 skipped=$3
if [ "$passed" -eq 0 ] && [ "$failed" -eq 0 ]; then
	echo "no test was run" >&2
	failed=1
fi
summary="$passed passed, $failed failed"
[ "$skipped" -eq 0 ] || summary="$summary, $skipped skipped"
echo "$summary"
[ "$failed" -eq 0 ]
