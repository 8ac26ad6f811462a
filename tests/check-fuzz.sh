#!/bin/sh
# Everything that a fuzzer once found goes through its target again: tests/fuzz/corpus/TARGET.
set -u
builddir=$(cd "${builddir:-.}" && pwd) || exit 1
cd "${srcdir:-.}" || exit 1
. tests/tap.sh
found=$tap_folder/found

for source in tests/fuzz/fuzz_*.c; do
	target=${source#tests/fuzz/fuzz_}
	target=${target%.c}
	if [ "$target" = '*' ]; then
		tap_skip "fuzz corpora" "there is no fuzz target"
		continue
	fi
	"$builddir/tests/fuzz/replay_$target" "tests/fuzz/corpus/$target" >"$tap_folder/log" 2>&1
	status=$?
	: >"$found"
	[ "$status" -eq 0 ] || { tail -n 20 "$tap_folder/log"; echo "status $status"; } >"$found"
	tap_result "$target: $(find "tests/fuzz/corpus/$target" -type f 2>/dev/null | wc -l) inputs" "$found"
done
tap_done
