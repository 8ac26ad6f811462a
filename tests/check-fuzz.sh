#!/bin/sh
# Everything that a fuzzer once found goes through its target again, a test for each file: tests/fuzz/corpus/TARGET.
set -u
builddir=$(cd "${builddir:-.}" && pwd) || exit 1
cd "${srcdir:-.}" || exit 1
. tests/tap.sh
found=$tap_folder/found log=$tap_folder/log

for source in tests/fuzz/fuzz_*.c; do
	target=${source#tests/fuzz/fuzz_}
	target=${target%.c}
	"$builddir/tests/fuzz/replay_$target" "tests/fuzz/corpus/$target" >"$log" 2>"$tap_folder/words"
	status=$?
	told=$(grep -c . "$log")
	: >"$found"
	[ "$status" -eq 0 ] || { tail -n 30 "$tap_folder/words"; echo "status $status"; } >"$found"
	[ "$told" -ge 10 ] || echo "its corpus has $told files" >>"$found"
	tap_result "fuzz_$target runs through its corpus" "$found"
	while read -r line; do
		: >"$found"
		[ "${line%% *}" = ok ] || echo "$line" >"$found"
		tap_result "fuzz_$target: ${line##* }" "$found"
	done <"$log"
done
tap_done
