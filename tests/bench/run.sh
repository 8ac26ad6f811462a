#!/bin/sh
# make bench: what batchd does a second, beside what others do with the same bytes in the same run.
#	BENCH_LINES (50000), BENCH_LINE_BYTES (3500): the size of the input; BENCH_ROUNDS (5): worst and best are printed
# Nothing is asserted: a figure is a figure of this machine, at this moment.
set -u
: "${srcdir:=.}" "${builddir:=.}"
lines=${BENCH_LINES:-50000} line_bytes=${BENCH_LINE_BYTES:-3500} rounds=${BENCH_ROUNDS:-5}
. "$srcdir/tests/system/lib.sh"

now()
{
	date +%s.%N
}

# figure NAME SECONDS: a row of the table.
figure()
{
	awk -v name="$1" -v seconds="$2" -v bytes="$bytes" \
		'BEGIN { printf "  %-44s %8.3f s %9.1f MB/s\n", name, seconds, bytes / seconds / 1e6 }'
}

# timed COMMAND...: its seconds.
timed()
{
	begin=$(now)
	"$@" >"$folder/out" 2>"$folder/err" || sed 's/^/  ! /' "$folder/err" >&2
	awk -v begin="$begin" -v end="$(now)" 'BEGIN { print end - begin }'
}

# round NAME COMMAND...: the best and the worst of several.
round()
{
	name=$1 best= worst=
	shift
	for _ in $(seq "$rounds"); do
		seconds=$(timed "$@")
		best=$(printf '%s\n%s\n' "${best:-$seconds}" "$seconds" | sort -g | head -n 1)
		worst=$(printf '%s\n%s\n' "${worst:-$seconds}" "$seconds" | sort -g | tail -n 1)
	done
	figure "$name, best of $rounds" "$best"
	figure "$name, worst" "$worst"
}

echo "machine: $(nproc) cores, $(uname -sr), load $(cut -d' ' -f1-3 /proc/loadavg)"
echo
echo "the scanner alone (in memory):"
"$builddir/tests/bench/bench_scan" | sed 's/^/  /'

awk -v lines="$lines" -v size="$line_bytes" 'BEGIN {
	text = "The tide rises because the moon pulls at the sea, and the harbour master writes it down in his book. "
	while (length(text) < size) text = text text
	text = substr(text, 1, size - 175)
	for (i = 1; i <= lines; i++)
		printf "{\"custom_id\":\"request-%07d\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":{\"model\":\"gpt-4o-mini\",\"messages\":[{\"role\":\"user\",\"content\":\"%s\\n\"}]}}\n", i, text
}' >"$folder/input.jsonl"
bytes=$(wc -c <"$folder/input.jsonl")

echo
echo "an input of $lines lines, $bytes bytes, all in the page cache:"
# A provider that is not there: what is measured is the way in, and nothing is sent meanwhile.
sim_url=http://127.0.0.1:9/v1
write_config "retry_first = 1h" "retry_longest = 1h"
start_batchd
round "wc -l (the floor)" wc -l "$folder/input.jsonl"
round "cat >file, sync file" sh -c 'cat "$1" >"$1.copy" && sync "$1.copy"' sh "$folder/input.jsonl"
round "json-c strict, one thread" "$builddir/tests/bench/bench_jsonc" "$folder/input.jsonl"
if command -v jq >/dev/null; then
	round "jq -c .custom_id" jq -c .custom_id "$folder/input.jsonl"
else
	echo "  jq is not here, so it is not compared"
fi
round "batchctl validate (strict, ids compared)" ctl validate "$folder/input.jsonl"
round "batchctl submit (validated, stored, durable)" ctl submit "$folder/input.jsonl"
round "batchctl submit --no-wait (stored, durable)" ctl submit --no-wait "$folder/input.jsonl"
awk '/VmHWM/ { printf "  batchd, peak memory                          %8.1f MiB\n", $2 / 1024 }' "/proc/$batchd_pid/status"
stop_batchd
