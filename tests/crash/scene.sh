# What the tests with a dying daemon share, on top of tests/system/lib.sh, which it sources.
#
#	make_input FILE			the 1,319 requests of gsm8k where they lie beside the tree, else as many of our own
#	fresh_start			a state folder as on the first day, and an API that remembers nothing
#	start_killable VARIABLE=VALUE...	the daemon that dies at a call (tests/crash/trouble.h); returns when it is ready, or dead
#	start_ordinary			the daemon as it is; returns likewise
#	end_killable			its end, by SIGTERM if it lives; was_killed says how, killed_at where
#	submit FILE			one job, always with the same idempotency key: job 1
#	follow				job 1's history, until it ends or the daemon does
#	quick_config [LINE...]		as write_config, with waits of a few milliseconds, and a list that is trusted though it may be empty
#	run_undisturbed FILE		what all others are compared with; its own test is that nothing is missing or out of order
#	gaps, litter			what its history lacks; what is left over in the state folder
#	complaints			all that is wrong with job 1 now that it has ended; nothing, if nothing is
. "$srcdir/tests/system/lib.sh"

killable_status=0
# What a history may have besides its states, if there was a doubt or a second try.
besides='"type":"(shard\.(doubt|adopted|note|retry)|job\.(note|retry))"'

make_input()
{
	if [ -r "$srcdir/../shared/data/gsm8k.batch.jsonl" ]; then
		cp "$srcdir/../shared/data/gsm8k.batch.jsonl" "$1"
		return
	fi
	awk 'BEGIN {
		for (i = 1; i <= 1319; i++) {
			words = ""
			for (j = 0; j < 12 + i % 50; j++)
				words = words " " i * j % 97 " apples"
			printf "{\"custom_id\":\"question-%d\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",", i
			printf "\"body\":{\"model\":\"gpt-4o-mini\",\"messages\":[{\"role\":\"user\","
			printf "\"content\":\"How many are%s?\"}],\"max_tokens\":400}}\n", words
		}
	}' >"$1"
}

quick_config()
{
	write_config "$@" "poll_first = 5ms" "poll_longest = 10ms" "retry_first = 5ms" "retry_longest = 20ms" \
		"settle = 5ms" "trust_list = yes"
}

fresh_start()
{
	rm -rf "$folder/state"
	: >"$folder/batchd.log"
	sim_post /sim/reset >/dev/null
}

# start_listening COMMAND...: its words tell when it is ready, their end that it is dead: faster than to ask again and again.
start_listening()
{
	rm -f "$folder/words"
	mkfifo "$folder/words"
	"$@" --config "$folder/batchd.conf" 2>"$folder/words" &
	batchd_pid=$!
	exec 3<"$folder/words"
	while read -r line <&3; do
		printf '%s\n' "$line" >>"$folder/batchd.log"
		case $line in
		"batchd: ready "*) break ;;
		esac
	done
	cat <&3 >>"$folder/batchd.log" &
	listener=$!
	exec 3<&-
}

start_killable()
{
	rm -f "$folder/kill.log"
	start_listening env BATCHD_KILL_LOG="$folder/kill.log" "$@" "$builddir/batchd-killable"
}

start_ordinary()
{
	start_listening "$batchd_program"
}

end_killable()
{
	[ -s "$folder/kill.log" ] || kill "$batchd_pid" 2>/dev/null
	wait "$batchd_pid" 2>/dev/null
	killable_status=$?
	batchd_pid=
	wait "$listener"
}

was_killed()
{
	[ "$killable_status" -eq 137 ]
}

killed_at()
{
	sed "s,$folder/,," "$folder/kill.log" 2>/dev/null
}

submit()
{
	door -o "$folder/submitted" -X POST -H 'Content-Type: application/jsonl' -H 'Idempotency-Key: one' \
		--data-binary "@$1" 'http://d/v1/batches?endpoint=/v1/chat/completions&completion_window=24h'
}

follow()
{
	door -N -o "$folder/events" 'http://d/v1/batches/batch_1/events?follow=1'
}

states()
{
	grep -Ev "$besides" "$folder/events" | sed 's/.*"shard":\([^,]*\),.*"type":"\([^"]*\)".*/\2 \1/'
}

files()
{
	(cd "$folder/state" && find . -type f ! -name 'batchd.db-*' | LC_ALL=C sort)
}

results()
{
	door -o "$1" 'http://d/v1/batches/batch_1/results?form=lines'
}

run_undisturbed()
{
	fresh_start
	start_ordinary
	submit "$1"
	follow
	results "$folder/wanted"
	states >"$folder/wanted.states"
	files >"$folder/wanted.files"
	shards=$(grep -c '^shard.created' "$folder/wanted.states")
	stop_batchd
	ids "$1" >"$folder/ids.asked"
	ids "$folder/wanted" >"$folder/ids.answered"
	ok "the undisturbed run has an answer for each of $(wc -l <"$1") requests, in their order" \
		cmp "$folder/ids.asked" "$folder/ids.answered"
}

ids()
{
	sed 's/.*"custom_id": *"\([^"]*\)".*/\1/' "$1"
}

gaps()
{
	sed 's/.*"seq":\([0-9]*\).*/\1/' "$folder/events" | awk '$1 != NR { print "a gap in the history before " $1; exit }'
}

litter()
{
	ls "$folder/state/tmp" | sed 's/^/left in tmp: /'
}

complaints()
{
	results "$folder/got"
	cmp "$folder/wanted" "$folder/got" 2>&1
	states | diff "$folder/wanted.states" - | sed 's/^/history: /'
	files | diff "$folder/wanted.files" - | sed 's/^/files: /'
	gaps
	sim_get /sim/ledger | sed 's/.*"batches_created":\([0-9]*\).*/\1/' |
		awk -v wanted="$shards" '$1 != wanted { print "batches made: " $1 ", wanted: " wanted }'
	sim_get /sim/ledger/requests | awk -v wanted="$(wc -l <"$folder/wanted")" '
		!/"batches":1,"answered":1}$/ { if (!wrong++) print "answered more than once, or never: " $0 }
		END { if (NR != wanted) print "requests at the API: " NR ", wanted: " wanted }'
}
