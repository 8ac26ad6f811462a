#!/bin/sh
# make bench: what batchd does a second, beside what others do with the same bytes in the same run.
#	BENCH_LINES (50000), BENCH_LINE_BYTES (3500): the input of most scenes
#	BENCH_ROUNDS (5): of each figure, best, median and worst are printed
#	BENCH_SCENES (scan way_in local_work front_door): which scenes; each stands in a function of this name
# Nothing is asserted: a figure is a figure of this machine, at this moment. Contenders take turns, for a machine has moods. It needs
# about 10 GB of disk in TMPDIR, and as much memory again, or the page cache is what is measured.
set -u
: "${srcdir:=.}" "${builddir:=.}"
lines=${BENCH_LINES:-50000} line_bytes=${BENCH_LINE_BYTES:-3500} rounds=${BENCH_ROUNDS:-5}
scenes=${BENCH_SCENES:-scan way_in local_work front_door}
. "$srcdir/tests/system/lib.sh"
figures=$folder/figures
submit_path='/v1/batches?endpoint=%2Fv1%2Fchat%2Fcompletions'
mkdir "$figures" "$folder/peers"

# make_input LINES BYTES_A_LINE
make_input()
{
	awk -v lines="$1" -v size="$2" 'BEGIN {
		text = "The tide rises because the moon pulls at the sea, and the harbour master writes it down in his book. "
		while (length(text) < size) text = text text
		text = substr(text, 1, size - 175)
		for (i = 1; i <= lines; i++)
			printf "{\"custom_id\":\"request-%07d\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":{\"model\":\"gpt-4o-mini\",\"messages\":[{\"role\":\"user\",\"content\":\"%s\\n\"}]}}\n", i, text
	}'
}

# timed NAME COMMAND...: one more figure of NAME.
timed()
{
	name=$1
	shift
	begin=$(date +%s.%N)
	if "$@" >"$folder/out" 2>"$folder/err"; then
		echo "$begin $(date +%s.%N)" | awk '{ print $2 - $1 }' >>"$figures/$name"
	else
		sed 's/^/  ! /' "$folder/err" >&2
	fi
}

# table BYTES NAME=WORDS...: a row for each contender, all by the median of the first one.
table()
{
	bytes=$1
	shift
	printf '  %-52s %8s %8s %8s %9s %7s\n' '' 'best s' 'median' 'worst' 'MB/s' 'ratio'
	for row in "$@"; do
		[ -s "$figures/${row%%=*}" ] || continue
		sort -g "$figures/${row%%=*}" | tr '\n' ' '
		echo "|${row#*=}"
	done | awk -F'|' -v bytes="$bytes" '{
		n = split($1, s, " ")
		median = s[int((n + 1) / 2)]
		if (!first) first = median
		printf "  %-52s %8.3f %8.3f %8.3f %9.1f %7.2f\n", $2, s[1], median, s[n], bytes / median / 1e6, first / median
	}'
}

# start_sink NAME OPTION...: a bare libmicrohttpd at $folder/NAME.sock
start_sink()
{
	sink=$1
	shift
	rm -f "$folder/sink.ready"
	mkfifo "$folder/sink.ready"
	"$builddir/tests/bench/bench_sink" "$@" "$folder/$sink.sock" >"$folder/sink.ready" &
	sinks="$sinks $!"
	read -r _ <"$folder/sink.ready"
}

stop_sinks()
{
	for pid in $sinks; do
		kill "$pid" && wait "$pid"
	done 2>/dev/null
	sinks=
}
sinks=

# fresh_batchd: the daemon with nothing in its queue, and a provider that is not there: nothing is sent meanwhile.
fresh_batchd()
{
	rm -rf "$folder/state"
	sim_url=http://127.0.0.1:9/v1
	write_config "retry_first = 1h" "retry_longest = 1h"
	start_batchd
}

peak()
{
	awk '/VmHWM/ { printf "  batchd, peak memory: %.1f MiB\n", $2 / 1024 }' "/proc/$batchd_pid/status"
}

scan()
{
	echo "The scanner alone, in memory, beside json-c reading the same lines strictly (ratio to json-c):"
	"$builddir/tests/bench/bench_scan" | sed 's/^/  /'
	echo
	echo "Reading a file of $lines lines, $input_bytes bytes, in the page cache; one process each:"
	for _ in $(seq "$rounds"); do
		timed scan-wc wc -l "$input"
		timed scan-validate ctl validate "$input"
		timed scan-jsonc "$builddir/tests/bench/bench_jsonc" "$input"
		! command -v python3 >/dev/null || timed scan-python python3 -c '
import json, sys
for line in open(sys.argv[1], "rb"):
    json.loads(line)["custom_id"]' "$input"
		! command -v jq >/dev/null || timed scan-jq jq -c .custom_id "$input"
	done
	table "$input_bytes" scan-validate="batchctl validate (strict, ids compared)" scan-wc="wc -l (the floor)" \
		scan-jsonc="json-c, strict, a tree for each line" scan-python="python3, json.loads for each line" \
		scan-jq="jq -c .custom_id"
}

way_in()
{
	fresh_batchd
	echo "One input of $lines lines, $input_bytes bytes, over a Unix socket; files are new in each round:"
	start_sink drop
	start_sink keep64 -w "$folder/peers/keep64"
	start_sink keep1024 -m 1048576 -w "$folder/peers/keep1024"
	for turn in $(seq "$rounds"); do
		timed in-cat sh -c 'cat "$1" >"$2" && sync "$2"' sh "$input" "$folder/peers/cat.$turn"
		for sink in drop keep64 keep1024; do
			"$builddir/tests/bench/bench_post" "$folder/$sink.sock" / "$input" >>"$figures/in-$sink"
			[ "$sink" = drop ] || mv "$folder/peers/$sink" "$folder/peers/$sink.$turn"
		done
		"$builddir/tests/bench/bench_post" -v "$folder/b.sock" "$submit_path" "$input" >"$folder/out"
		awk '{ print $1 }' "$folder/out" >>"$figures/in-stored"
		awk '{ print $2 }' "$folder/out" >>"$figures/in-valid"
		timed in-ctl ctl submit "$input"
	done
	table "$input_bytes" in-stored="batchd: stored, durable" in-valid="batchd: stored, durable and validated" \
		in-ctl="batchctl submit (the same, as a user sees it)" in-cat="cat >file; fsync" \
		in-keep64="bare libmicrohttpd, 64 KiB, write, fsync" \
		in-keep1024="bare libmicrohttpd, 1 MiB, write, fsync" in-drop="bare libmicrohttpd, 64 KiB, thrown away"
	peak
	stop_sinks
	stop_batchd
	rm -rf "$folder/state" "$folder/peers"/*
}

# work_rows NAME OPTION...: figures of bench_work
work_rows()
{
	kind=$1
	shift
	for _ in $(seq "$work_rounds"); do
		mkdir "$folder/work"
		"$builddir/tests/bench/bench_work" "$@" "$folder/work" >"$folder/out"
		rm -rf "$folder/work"
		while read -r phase bytes seconds _ longest; do
			echo "$seconds" >>"$figures/work-$kind-$phase"
			echo "$longest" >>"$figures/longest-$phase"
			echo "$bytes" >"$folder/bytes-$phase"
		done <"$folder/out"
		awk '$1 == "collect" || $1 == "merge" { sum += $3 } END { print sum }' "$folder/out" >>"$figures/work-$kind-both"
	done
}

local_work()
{
	work_rounds=$(((rounds + 1) / 2))
	echo "A job of 100,000 requests of 1 KB with answers of 4 KB in another order, in two shards, without a socket:"
	work_rows warm -n 100000
	work_rows cold -n 100000 -c
	for kind in warm cold; do
		echo "  $kind ($(cat "$folder/bytes-collect") bytes of answers, $(cat "$folder/bytes-validate") of input):"
		table "$(cat "$folder/bytes-collect")" "work-$kind-both=collect and merge" "work-$kind-collect=collect" \
			"work-$kind-merge=merge" "work-$kind-copy=the answers read, written, fsync"
		table "$(cat "$folder/bytes-validate")" "work-$kind-validate=validate" "work-$kind-cut=cut"
	done
	printf '  longest slices, ms (worst of all rounds):'
	for phase in validate cut collect merge; do
		printf ' %s %s' "$phase" "$(sort -g "$figures/longest-$phase" | tail -n 1)"
	done
	echo
}

# door_row WORDS COMMAND...: how quick the door is while a command runs
door_row()
{
	words=$1
	shift
	"$builddir/tests/bench/bench_door" "$folder/b.sock" /v1/daemon >"$folder/door.out" &
	door_pid=$!
	begin=$(date +%s.%N)
	"$@" >"$folder/out" 2>&1 || tail -n 3 "$folder/out"
	seconds=$(echo "$begin $(date +%s.%N)" | awk '{ print $2 - $1 }')
	kill "$door_pid"
	wait "$door_pid" 2>/dev/null
	awk -v words="$words" -v seconds="$seconds" '{
		printf "  %-44s %7.1f s %8d %8.2f %8.2f %8.2f\n", words, seconds, $1, $2, $3, $4 }' "$folder/door.out"
}

three_in_turn()
{
	for _ in 1 2 3; do
		"$builddir/tests/bench/bench_post" -v "$folder/b.sock" "$submit_path" "$folder/big.jsonl" || return 1
	done
}

eight_at_once()
{
	pids=
	for _ in 1 2 3 4 5 6 7 8; do
		"$builddir/tests/bench/bench_post" -v "$folder/b.sock" "$submit_path" "$input" &
		pids="$pids $!"
	done
	for pid in $pids; do
		wait "$pid" || return 1
	done
}

front_door()
{
	fresh_batchd
	make_input 250000 4000 >"$folder/big.jsonl"
	make_input 250000 300 >"$folder/small.jsonl"
	echo "GET /v1/daemon 50 times a second on one connection, counted from when each was due:"
	printf '  %-44s %9s %8s %8s %8s %8s\n' '' '' 'asked' 'p50 ms' 'p99 ms' 'worst ms'
	door_row "idle" sleep 3
	door_row "three jobs of 1 GB each taken in, one by one" three_in_turn
	door_row "eight of $input_bytes bytes at once" eight_at_once
	stop_batchd
	rm -rf "$folder/state" "$folder/big.jsonl"
	start_sim --validate-ms 0 --run-ms 0 --finalize-ms 0 --answer-bytes 4000
	write_config
	start_batchd
	door_row "250,000 requests sent, 1 GB fetched, merged" ctl submit --wait "$folder/small.jsonl"
	peak
	stop_batchd
}

echo "machine: $(nproc) cores, $(uname -sr), load $(cut -d' ' -f1-3 /proc/loadavg); best, median and worst of $rounds; MB/s of the"
echo "median; ratio: the median of the first row of a table to that of a row"
input=$folder/input.jsonl
make_input "$lines" "$line_bytes" >"$input"
input_bytes=$(wc -c <"$input")
for scene in $scenes; do
	echo
	"$scene"
done
