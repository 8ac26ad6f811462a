#!/bin/sh
# No function over 60 lines, no file over 600. It reads our own brace style: a function's braces stand
# alone in the first column, and its head follows a line that is empty or ends something.
set -u
cd "${srcdir:-.}" || exit 1
. tests/tap.sh
functions=$tap_folder/functions found=$tap_folder/found

find daemon client tests -name '*.[ch]' | LC_ALL=C sort >"$tap_folder/files"
xargs awk '
FNR == 1 { head = 0 }
/^{$/ { first = head ? head : FNR; inside = 1; next }
/^}/ && inside {
	print FILENAME ":" first, FNR - first + 1, title
	inside = 0
	head = 0
	next
}
inside { next }
/^[ \t]*$/ || /^[}#\/ ]/ || /[;}]$/ || /\*\/$/ { head = 0; next }
/^[A-Za-z_]/ && !head { head = FNR; title = $0; sub(/\(.*/, "", title); sub(/.*[ *]/, "", title) }
' <"$tap_folder/files" >"$functions"
[ -s "$functions" ] || echo "no function was found" >"$found"

awk '$2 > 60 { print $1 ": " $3 " has " $2 " lines" }' "$functions" >>"$found"
tap_result "no function over 60 lines" "$found"
awk '{ all++; if ($2 <= 40) short++ } END {
	printf "# %d functions, %.1f %% of up to 40 lines\n", all, all ? 100 * short / all : 0 }' "$functions"
awk '$2 > 40 && $2 <= 60 { print "# " $1 ": " $3 " has " $2 " lines" }' "$functions"

grep -E '^(daemon|client)/' "$tap_folder/files" | while read -r file; do
	lines=$(wc -l <"$file")
	[ "$lines" -le 600 ] || echo "$file has $lines lines"
done >"$found"
tap_result "no file over 600 lines" "$found"

tap_done
