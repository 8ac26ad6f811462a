#!/bin/sh
# make crowd: what many batches and many jobs cost.
#	CROWD_SECONDS (600): how long the batches under way are looked at; CROWD_BATCHES (10000) of them, and CROWD_OTHERS (40000) that
#		ended or are somebody else's stand between them in the list
#	CROWD_FINISHED (100000), CROWD_RUNNING (10000): jobs in the store of the other scene
#	CROWD_SCENES (in_flight many_jobs): which scenes; each stands in a function of this name
# Nothing is asserted: a figure is a figure of this machine, at this moment.
set -u
: "${srcdir:=.}" "${builddir:=.}"
. "$srcdir/tests/system/lib.sh"
seconds=${CROWD_SECONDS:-600} batches=${CROWD_BATCHES:-10000} others=${CROWD_OTHERS:-40000}
finished=${CROWD_FINISHED:-100000} running=${CROWD_RUNNING:-10000}
rounds=20

# make_input NUMBER: lines of one request each.
make_input()
{
	awk -v lines="$1" 'BEGIN {
		for (i = 1; i <= lines; i++)
			printf "{\"custom_id\":\"r-%06d\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":{\"model\":\"gpt-4o-mini\",\"messages\":[{\"role\":\"user\",\"content\":\"number %d\"}]}}\n", i, i
	}'
}

# ticks: processor time of batchd so far, in hundredths of a second.
ticks()
{
	sed 's/.*) //' "/proc/$batchd_pid/stat" | awk '{ print $12 + $13 }'
}

# calls KIND
calls()
{
	sim_get /sim/ledger | jq ".calls.$1"
}

peak()
{
	awk '/VmHWM/ { printf "  memory, VmHWM: %.1f MiB\n", $2 / 1024 }' "/proc/$batchd_pid/status"
}

# sweeps: how many have ended.
sweeps()
{
	grep -c 'batches were swept' "$folder/batchd.log"
}

# await_sweeps COUNT: until so many more have ended.
await_sweeps()
{
	wanted=$(($(sweeps) + $1))
	while [ "$(sweeps)" -lt "$wanted" ]; do
		sleep 0.2
	done
}

in_flight()
{
	start_sim --validate-ms 0 --run-ms 86400000 --expire-ms 172800000
	write_config "max_requests = 1" "poll_first = 5s" "poll_longest = 1m" "settle = 10m" "max_transfers = 16" \
		"uploads_per_minute = 1000000" "batches_per_hour = 1000000"
	sed -i '1a log_level = debug' "$folder/batchd.conf"
	start_batchd
	make_input $((batches / rounds)) >"$folder/input.jsonl"
	begin=$(date +%s)
	for round in $(seq "$rounds"); do
		sim_post "/sim/foreign?count=$((others / rounds))" >"$folder/out"
		ctl -q submit "$folder/input.jsonl" >"$folder/out"
		sim_get "/sim/wait?call=create&count=$((round * batches / rounds))&timeout_ms=600000" >"$folder/out"
	done
	echo "$batches batches under way among $((batches + others)) in the list (made in $(($(date +%s) - begin)) s):"
	# The first sweep that sees all of them explores. From the end of one sweep to that of another.
	await_sweeps 2
	swept=$(sweeps) lists=$(calls list) retrieves=$(calls retrieve) used=$(ticks) begin=$(date +%s)
	while [ $(($(date +%s) - begin)) -lt "$seconds" ]; do
		await_sweeps 1
	done
	lists=$(($(calls list) - lists)) retrieves=$(($(calls retrieve) - retrieves)) used=$(($(ticks) - used))
	swept=$(($(sweeps) - swept)) seconds=$(($(date +%s) - begin))
	awk -v swept="$swept" -v lists="$lists" -v retrieves="$retrieves" -v batches="$batches" -v used="$used" \
		-v pages=$(((batches + others + 99) / 100)) -v seconds="$seconds" 'BEGIN {
		least = pages < batches ? pages : batches
		printf "  sweeps in %d s: %d; calls a sweep: %.1f lists and %.1f retrieves\n", seconds, swept, lists / swept, retrieves / swept
		printf "  the whole list is %d calls, one retrieve each %d: %.2f times the cheaper\n", pages, batches, (lists + retrieves) / swept / least
		printf "  processor: %.2f s, %.2f %% of a core\n", used / 100, used / seconds
	}'
	peak
	stop_batchd
}

many_jobs()
{
	mkdir -p "$folder/state"
	"$builddir/tests/bench/bench_store" -f "$finished" -r "$running" "$folder/state" || return
	# A provider that nobody asks anything: what is measured is what is here.
	sim_url=http://127.0.0.1:9/v1
	write_config "retry_first = 1h" "retry_longest = 1h"
	echo "$finished jobs that have ended, $running running:"
	begin=$(date +%s.%N)
	start_batchd
	echo "$begin $(date +%s.%N)" | awk '{ printf "  ready after %.3f s\n", $2 - $1 }'
	for what in "list" "list -a -n 100" "list -s completed -n 100" "list -s failed -n 100" "show 1"; do
		begin=$(date +%s.%N)
		ctl $what >"$folder/out"
		echo "$begin $(date +%s.%N) $(wc -l <"$folder/out")" |
			awk -v what="$what" '{ printf "  batchctl %-26s %8.3f s, %d lines\n", what, $2 - $1, $3 }'
	done
	for path in /v1/daemon "/v1/batches?limit=20" /v1/batches/batch_1 /healthz; do
		"$builddir/tests/bench/bench_door" -t 5 "$folder/b.sock" "$path" |
			awk -v path="$path" '{ printf "  GET %-31s p50 %6.2f ms, p99 %6.2f ms, worst %6.2f ms\n", path, $2, $3, $4 }'
	done
	peak
	stop_batchd
}

echo "machine: $(nproc) cores, $(uname -sr), load $(cut -d' ' -f1-3 /proc/loadavg)"
for scene in ${CROWD_SCENES:-in_flight many_jobs}; do
	echo
	"$scene"
	rm -rf "$folder/state"
done
