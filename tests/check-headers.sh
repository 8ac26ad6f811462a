#!/bin/sh
# Every header compiles alone, and twice, without a warning: with each compiler that is here.
set -u
cd "${srcdir:-.}" || exit 1
. tests/tap.sh
found=$tap_folder/found
flags="-std=gnu17 -D_GNU_SOURCE -I. -Wall -Wextra -Wshadow -Wconversion -Werror ${CPPFLAGS:-}"

headers=$(find daemon client tests -name '*.h' | LC_ALL=C sort)
[ -n "$headers" ] || { echo "Bail out! no headers in $PWD"; exit 1; }
for compiler in gcc clang; do
	if ! command -v "$compiler" >/dev/null 2>&1; then
		tap_skip "headers with $compiler" "there is no $compiler"
		continue
	fi
	for header in $headers; do
		: >"$found"
		# shellcheck disable=SC2086
		printf '#include "%s"\n#include "%s"\n' "$header" "$header" |
			"$compiler" $flags -Wno-unused-function -fsyntax-only -x c - >"$found" 2>&1
		tap_result "$header alone with $compiler" "$found"
	done
done
tap_done
