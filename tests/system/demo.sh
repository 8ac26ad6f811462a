#!/bin/sh
# The main job, shown: twelve requests through batchd and an API on this machine, the daemon killed in the middle.
# What it makes lies in ./demo and stays, so that it can be looked at.
: "${srcdir:=.}" "${builddir:=.}"
. "$srcdir/tests/system/lib.sh"

show()
{
	printf '\n$ batchctl'
	for word in "$@"; do
		printf ' %s' "${word##*/}"
	done
	printf '\n'
	ctl "$@"
}

kept=$builddir/demo
rm -rf "$kept"
mkdir -p "$kept"
cp "$srcdir/tests/data/sample.jsonl" "$folder/sample.jsonl"

echo "An API to test against and a daemon, both on this machine alone."
start_sim --run-ms 1500
write_config "poll_longest = 200ms"
start_batchd

show validate "$folder/sample.jsonl" || exit
show submit "$folder/sample.jsonl" | tee "$folder/number"
job=$(tail -n 1 "$folder/number")
show status
show list
echo
echo "Now the daemon is killed (kill -9), as a power cut would, and started again."
kill_batchd
start_batchd
show wait "$job" || exit
show show "$job"
show log "$job"
show results "$job" -o "$kept/results.jsonl" || exit
cp "$folder/sample.jsonl" "$folder/batchd.conf" "$folder/batchd.log" "$kept/"
echo
echo "The first two answers, in the order of the input:"
head -n 2 "$kept/results.jsonl"
echo
echo "batches made at the API: $(sim_get /sim/ledger | sed -n 's/.*"batches_created":[ ]*\([0-9]*\).*/\1/p')"
stop_batchd
echo "Results: $kept/results.jsonl, the daemon's log: $kept/batchd.log"
