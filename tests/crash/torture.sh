#!/bin/sh
# The long campaign: kill -9 just before, and just after, every call that the daemon makes to the world, whatever it is doing: taking
# a job in, doing it, cancelling it, starting on what is there. The ordinary daemon then goes on, and the job must be whole, in order,
# sent once. Every scenario runs until its last call.
#
#	FIRST=1 LAST=500	only these kill points of each scenario; so it goes on where it was stopped
#	SCENARIOS="small big cancel restart again tries"	which
#	CALLS=write,fsync	which calls count
#
# The closing line says how many kill points were tried and how many broke a promise; so does the exit status.
: "${srcdir:=.}" "${builddir:=.}"
. "$srcdir/tests/crash/scene.sh"

: "${FIRST:=1}" "${LAST:=1000000}" "${SCENARIOS:=small big cancel restart again tries}"
: "${CALLS:=write,writev,pwrite64,fsync,fdatasync,ftruncate,rename,renameat,unlink,unlinkat,mkdirat,open,openat,connect,send,sendto,sendmsg,sendfile,recv,recvfrom,recvmsg}"
tried=0 violations=0

killable()
{
	start_killable BATCHD_KILL_CALLS="$CALLS" BATCHD_KILL_AT="$at" BATCHD_KILL_AFTER="$after"
}

ordinary()
{
	start_ordinary
	submit "$input"
	follow
	complaints
	stop_batchd
}

whole_job()
{
	fresh_start
	killable
	submit "$input" && follow
	end_killable
}

small()
{
	whole_job
}

big()
{
	whole_job
}

# The daemon stops in the middle of a job; the next start dies.
restart()
{
	fresh_start
	sim_post /sim/script '{"call":"create","action":"delay","ms":60000}' >/dev/null
	start_ordinary
	submit "$input"
	sim_get '/sim/wait?call=create' >/dev/null
	kill_batchd
	sim_post '/sim/script?reset=1' >/dev/null
	killable
	submit "$input" && follow
	end_killable
}

# Killed while it recovers from a kill in the middle of the local steps.
again()
{
	fresh_start
	start_killable BATCHD_KILL_CALLS=renameat BATCHD_KILL_AT=1 BATCHD_KILL_MATCH='jobs/1/shard-1.done'
	submit "$input" && follow
	end_killable
	killable
	submit "$input" && follow
	end_killable
}

# Returns when the batch is made, or the daemon dead.
await_batch()
{
	rm -f "$folder/history"
	mkfifo "$folder/history"
	door -N 'http://d/v1/batches/batch_1/events?follow=1' >"$folder/history" &
	while read -r line; do
		case $line in
		*'"shard.created"'*) break ;;
		esac
	done <"$folder/history"
}

# A batch that would never end by itself, cancelled by a client that asks once more when nobody answered.
cancel()
{
	fresh_start
	sim_post /sim/script '{"action":"durations","validate_ms":60000}' >/dev/null
	killable
	if submit "$input"; then
		await_batch
		door -o "$folder/cancelled" -X POST http://d/v1/batches/batch_1/cancel && follow
	fi
	end_killable
}

ordinary_cancel()
{
	start_ordinary
	submit "$input"
	door -o "$folder/cancelled" -X POST http://d/v1/batches/batch_1/cancel
	follow
	results "$folder/got"
	ids "$folder/got" | cmp "$folder/ids.asked" - 2>&1
	states | tail -n 1 | grep -v '^job.cancelled'
	gaps
	litter
	sim_get /sim/ledger | grep -Ev '"batches_created":[01],"requests_answered":0,'
	stop_batchd
}

trouble='[{"call":"create","nth":1,"action":"expire","percent":50},{"call":"create","nth":2,"action":"file_not_found"}]'

# Two shards; the first batch expires half done, the second does not find its file, and every tenth request fails once.
tries()
{
	fresh_start
	sim_post /sim/script "$trouble" >/dev/null
	killable
	submit "$input" && follow
	end_killable
}

answers()
{
	sim_get /sim/ledger/requests | sed 's/"batches":[0-9]*,//' | LC_ALL=C sort
}

kinds()
{
	states | cut -d' ' -f1 | LC_ALL=C sort
}

tries_undisturbed()
{
	fresh_start
	sim_post /sim/script "$trouble" >/dev/null
	start_ordinary
	submit "$input"
	follow
	results "$folder/wanted"
	answers >"$folder/wanted.answers"
	kinds >"$folder/wanted.kinds"
	stop_batchd
}

# Which shard is which differs from run to run; what became of each request does not.
ordinary_tries()
{
	start_ordinary
	submit "$input"
	follow
	results "$folder/got"
	cmp "$folder/wanted" "$folder/got" 2>&1
	answers | diff "$folder/wanted.answers" - | head -n 3
	kinds | diff "$folder/wanted.kinds" -
	gaps
	litter
	stop_batchd
}

# campaign SCENARIO INPUT RECOVERY
campaign()
{
	input=$2 at=$FIRST
	while [ "$at" -le "$LAST" ]; do
		for after in 0 1; do
			"$1"
			was_killed || break 2
			place=$(killed_at)
			"$3" >"$folder/found" 2>&1
			tried=$((tried + 1))
			[ -s "$folder/found" ] || continue
			violations=$((violations + 1))
			sed "s,^,$1 $at $([ "$after" -eq 1 ] && echo after || echo before) $place: ," "$folder/found"
		done
		at=$((at + 1))
	done
	echo "# $1: up to kill point $((at - 1)); so far $tried tried, $violations violations"
}

make_input "$folder/all.jsonl"
head -n 700 "$folder/all.jsonl" >"$folder/big.jsonl"
head -n 3 "$folder/all.jsonl" >"$folder/small.jsonl"
awk 'NR % 10 == 0 { sub(/"content": *"/, "&sim:status=500 sim:times=1 ") } { print }' "$folder/big.jsonl" >"$folder/tries.jsonl"
start_sim --validate-ms 2 --run-ms 2 --finalize-ms 2 --cancel-ms 2
for scenario in $SCENARIOS; do
	size=big recovery=ordinary
	quick_config
	case $scenario in
	small) size=small ;;
	cancel) size=small recovery=ordinary_cancel ;;
	tries)
		quick_config "max_requests = 400"
		input=$folder/tries.jsonl
		tries_undisturbed
		campaign tries "$input" ordinary_tries
		continue
		;;
	esac
	run_undisturbed "$folder/$size.jsonl" >"$folder/found"
	grep -A 5 '^not ok' "$folder/found"
	campaign "$scenario" "$folder/$size.jsonl" "$recovery"
done
echo "$tried kill points tried, $violations violations"
[ "$violations" -eq 0 ] && [ "$tried" -gt 0 ]
