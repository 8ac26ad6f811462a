#!/bin/sh
# The folders are floors: base < model < io < work < door < main. Includes go downward only, none in
# a circle, and each outside library has one home.
set -u
cd "${srcdir:-.}" || exit 1
. tests/tap.sh
plain=$tap_folder/plain code=$tap_folder/code includes=$tap_folder/includes found=$tap_folder/found

find daemon client -name '*.[ch]' | LC_ALL=C sort >"$tap_folder/files"
[ -s "$tap_folder/files" ] || { echo "Bail out! no sources in $PWD"; exit 1; }
xargs awk -f tests/plain.awk <"$tap_folder/files" >"$plain"
xargs awk -v strings=0 -f tests/plain.awk <"$tap_folder/files" >"$code"
# FILE:LINE NAME-WITH-ITS-BRACKETS
sed -n 's/^\([^:]*:[0-9]*\):[ \t]*#[ \t]*include[ \t]*\([<"][^>"]*[>"]\).*/\1 \2/p' "$plain" >"$includes"

awk '
function floor(path, part) {
	if (path == "daemon/main.c") return 6
	if (path == "daemon/protocol.h") return 0
	split(path, part, "/")
	return level[part[2]]
}
BEGIN { split("base model io work door", name, " "); for (i in name) level[name[i]] = i + 0 }
{
	file = $1; sub(/:[0-9]+$/, "", file)
	if ($2 !~ /^"/) next
	target = substr($2, 2, length($2) - 2)
	if (target !~ /\//) { print $1 " includes " $2 "; ours are named from the root"; next }
	if (file ~ /^client\//) {
		if (target !~ /^(client|daemon\/base|daemon\/model)\// && target != "daemon/protocol.h")
			print $1 " includes " target "; the client may use daemon/protocol.h, base and model"
	} else if (target !~ /^daemon\//)
		print $1 " includes " target " from outside of daemon/"
	else if (!floor(file) && file != "daemon/protocol.h")
		print file " stands on no floor"
	else if (floor(target) > floor(file))
		print $1 " includes " target ", which stands above it"
}' "$includes" >"$found"
tap_result "includes go downward only" "$found"

awk '$2 ~ /^"/ { file = $1; sub(/:[0-9]+$/, "", file); print file, substr($2, 2, length($2) - 2) }' \
	"$includes" | tsort 2>&1 >/dev/null | sed -n 's/^tsort: \([a-z].*\.[ch]\)$/\1/p' >"$found"
tap_result "no includes in a circle" "$found"

# home LIBRARY-PATTERN HOME-PATTERN: one home for each outside library (extended regular expressions).
home()
{
	awk -v library="^[<\"]($1)" -v home="^($2)\$" '{
		file = $1; sub(/:[0-9]+$/, "", file)
		if ($2 ~ library && file !~ home) print $1 " includes " $2
	}' "$includes" >"$found"
	tap_result "home of $1" "$found"
}
home 'event2/|event\.h' 'daemon/io/loop\.c'
home 'curl/' 'daemon/io/http(\.c|_.*\.[ch])|client/connection\.c'
home 'microhttpd\.h' 'daemon/io/server(\.c|_.*\.[ch])'
home 'sqlite3\.h' 'daemon/io/store(\.c|_.*\.[ch])'
home 'ini\.h' 'daemon/io/config\.c'
home 'archive(_entry)?\.h' 'daemon/io/tar\.c'
home 'zlib\.h|zstd(_errors)?\.h' 'daemon/base/unpack\.c'
home 'systemd/sd-daemon\.h' 'daemon/io/notify\.c'
home 'systemd/sd-journal\.h' 'daemon/base/log\.c'
home 'xxhash\.h|openssl/' 'daemon/base/hash\.c'
home 'json-c/|json\.h' '(daemon/(io|work|door)|client)/.*|daemon/base/tree\.[ch]'
home 'pthread\.h|threads\.h' 'nowhere'

grep -E '(^|[^A-Za-z0-9_])(time|clock_gettime|gettimeofday|timespec_get|ftime)[ \t]*\(' "$code" |
	grep -Ev '^(daemon/io/loop\.c|client/[^:]*):' >"$found"
tap_result "the time comes from the loop alone" "$found"

grep -E '(^|[^A-Za-z0-9_])(sleep|usleep|nanosleep|clock_nanosleep|poll|select|epoll_wait|fork|system|popen)[ \t]*\(' \
	"$code" | grep -E '^daemon/' | grep -Ev '^daemon/io/loop\.c:|poll\(.*, 0\)' >"$found"
tap_result "nothing in the daemon sleeps or waits but the loop" "$found"

grep -E '"[^"]*(SELECT [^"]* FROM |INSERT (OR [A-Z]+ )?INTO |UPDATE [a-z_]+ SET |DELETE FROM |CREATE (TABLE|UNIQUE|INDEX)|PRAGMA |BEGIN IMMEDIATE)' \
	"$plain" | grep -Ev '^daemon/io/store[^/:]*:' >"$found"
tap_result "SQL stands in the store alone" "$found"

tap_done
