#!/bin/sh
# make big: a job of a million requests, through the API of tests/sim and back, and every answer recomputed.
#	BIG_REQUESTS (1000000), BIG_BYTES (1000): how many, and how long about
#	BIG_STORM (no): with "yes" the API expires 30 % of the batches half done, loses 0.1 % of the answers, gives 1 % of them
#		twice, all in another order; and 2 % of the requests fail with 500 once, 1 % with 400 for good
# Three models, two urls. Nothing is timed that is asserted; what is asserted is that every request is accounted for.
set -u
: "${srcdir:=.}" "${builddir:=.}"
. "$srcdir/tests/system/lib.sh"
requests=${BIG_REQUESTS:-1000000} size=${BIG_BYTES:-1000} storm=${BIG_STORM:-no}

# Requests of about $size bytes; every third one is an embedding. In a storm some ask the API to fail.
make_input()
{
	awk -v requests="$requests" -v size="$size" -v storm="$storm" 'BEGIN {
		text = "The tide rises because the moon pulls at the sea, and the harbour master writes it down in his book. "
		while (length(text) < size) text = text text
		text = substr(text, 1, size > 190 ? size - 180 : 10)
		for (i = 1; i <= requests; i++) {
			wish = storm != "yes" ? "" : i % 100 == 7 ? "sim:status=400 " : i % 50 == 3 ? "sim:status=500 sim:times=1 " : ""
			if (i % 3 == 0)
				printf "{\"custom_id\":\"r-%08d\",\"method\":\"POST\",\"url\":\"/v1/embeddings\",\"body\":{\"model\":\"text-embedding-3-small\",\"input\":\"%s%s %d\"}}\n", i, wish, text, i
			else
				printf "{\"custom_id\":\"r-%08d\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":{\"model\":\"%s\",\"messages\":[{\"role\":\"user\",\"content\":\"%s%s %d\"}]}}\n", i, i % 3 == 1 ? "gpt-4o-mini" : "gpt-4o", wish, text, i
		}
	}'
}

# How long the job was on each part of its way, from its history.
phases()
{
	ctl -j log "$1" | jq -rs --argjson bytes "$bytes" '
		(map(select(.type == "job.accepted"))[0].created_at_ms) as $start |
		def last(t): map(select(.type == t).created_at_ms) | max;
		def first(t): map(select(.type == t).created_at_ms) | min;
		[["validated", $start, last("job.valid")], ["cut", last("job.valid"), last("job.cut")],
		 ["uploaded", last("job.cut"), last("shard.uploaded")], ["all ended there", last("shard.uploaded"), last("shard.ended")],
		 ["fetched and collected", first("shard.ended"), last("shard.collected")],
		 ["merged", last("shard.collected"), last("job.completed")], ["all, from acceptance", $start, last("job.completed")]][] |
		select(.[1] and .[2]) | "  \(.[0]): \((.[2] - .[1]) / 1000) s"'
}

# The successes are, in the order of the input, the recomputed answers but those of the requests that the errors file has.
judge()
{
	awk -v good="$1" -v bad="$2" '
		function id_of(line) { match(line, /"custom_id":"[^"]*"/); return substr(line, RSTART + 13, RLENGTH - 14) }
		function next_good() { good_line = ""; if ((getline good_line <good) > 0) goods++ }
		function next_bad() { bad_line = ""; if ((getline bad_line <bad) > 0) bads++ }
		BEGIN { next_good(); next_bad() }
		$0 == good_line { next_good(); next }
		bad_line != "" && id_of(bad_line) == id_of($0) { next_bad(); next }
		{ print "request " NR " has neither its answer nor an error in its place: " substr($0, 1, 120); wrong = 1; exit }
		END {
			if (!wrong && (good_line != "" || bad_line != "")) { print "there are lines beyond the last request"; wrong = 1 }
			print goods " answers and " bads " errors, each in its place" > "/dev/stderr"
			exit wrong
		}' "$3"
}

peak()
{
	awk '/VmHWM/ { printf "%.1f MiB", $2 / 1024 }' "/proc/$1/status"
}

echo "machine: $(nproc) cores, $(uname -sr), load $(cut -d' ' -f1-3 /proc/loadavg)"
make_input >"$folder/input.jsonl"
bytes=$(wc -c <"$folder/input.jsonl")
echo "input: $requests requests, $bytes bytes, three models, two urls; storm: $storm"
# What fails once succeeds when it is asked again; what always fails has its error.
"$builddir/batch-api-sim" --attempt 2 --answers "$folder/input.jsonl" >"$folder/answers.jsonl"
start_sim --seed 7
if [ "$storm" = yes ]; then
	sim_post /sim/script '[
		{"action": "expire", "percent": 50, "probability": 0.3, "seed": 11, "count": 40},
		{"action": "row_missing", "probability": 0.001, "seed": 12},
		{"action": "row_twice", "probability": 0.01, "seed": 13}]' >/dev/null
fi
write_config "probe_lost = 1s" "poll_first = 250ms" "poll_longest = 1s"
start_batchd
begin=$(date +%s.%N)
job=$(ctl submit "$folder/input.jsonl") || exit 1
echo "  submitted and found right: $(awk -v a="$begin" -v b="$(date +%s.%N)" 'BEGIN { printf "%.2f s", b - a }')"
ctl -q wait "$job"
status=$?
phases "$job"
echo "  disk used by batchd: $(du -sm "$folder/state" | cut -f1) MB; peak of batchd: $(peak "$batchd_pid"); of the API: $(peak "$sim_pid")"
if [ "$storm" = yes ]; then
	is "the job completed, some requests failed" 5 "$status"
else
	is "the job completed, every request ok" 0 "$status"
fi
begin=$(date +%s.%N)
exits "the successes" "$status" ctl -q results -f -o "$folder/good.jsonl" "$job"
exits "the failures" "$status" ctl -q results -f --errors-only -o "$folder/bad.jsonl" "$job"
echo "  results read: $(awk -v a="$begin" -v b="$(date +%s.%N)" 'BEGIN { printf "%.2f s", b - a }'), $(cat "$folder/good.jsonl" "$folder/bad.jsonl" | wc -c) bytes"
counts=$(ctl -j show "$job" | jq -c .batchd.counts)
echo "  counts: $counts"
ctl show "$job" | sed 's/^/  | /' | head -n 40
ok "every request has its answer, or an error, in its place" judge "$folder/good.jsonl" "$folder/bad.jsonl" "$folder/answers.jsonl"
is "all are accounted for" "$requests" "$(echo "$counts" | jq '.ok + .failed + .cancelled + .expired')"
if [ "$storm" = yes ]; then
	# Paid twice: what was answered ok twice, by the API's own ledger, and what batchd says of it.
	paid=$(sim_get /sim/ledger/requests | jq -s '[.[] | select(.answered > 1)] | length')
	failing=$(grep -c 'sim:status=500' "$folder/input.jsonl")
	echo "  answered more than once by the API: $paid, of which asked again for their 500: at most $failing; batchd counts $(echo "$counts" | jq .resent) as sent again after a loss"
fi
finish
