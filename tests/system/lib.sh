# What system tests share: the real programs in a folder of their own, TAP out. Source it first.
#
#	start_sim [OPTION...]		the API, on a Unix socket and a free port of loopback; $sim_url
#	sim_get PATH, sim_post PATH [BODY]	its control door
#	write_config [LINE...]		$folder/batchd.conf: a provider "sim" with short waits; LINEs go first into its section
#	start_batchd, stop_batchd, kill_batchd	the daemon; it is ready, or gone, when they return
#	ctl ARGUMENT...			batchctl on our socket
#	door ARGUMENT...		curl on our socket; the URL begins with http://d
#	is NAME WANTED GOT		one test: two texts are equal
#	ok NAME COMMAND...		one test: a command succeeds
#	exits NAME STATUS COMMAND...	one test: a command ends with this status
#	skip NAME WHY
#	finish				the plan, and the exit status
#
# Nothing here sleeps: what must be waited for is waited for by a program that is told when it happens.
set -u

: "${srcdir:=.}" "${builddir:=.}"
srcdir=$(cd "$srcdir" && pwd) && builddir=$(cd "$builddir" && pwd) || exit 1
folder=$(mktemp -d "${TMPDIR:-/tmp}/batchd-test.XXXXXX") || exit 1
count=0 failed=0 sim_pid= batchd_pid=
batchd_program=$builddir/batchd

cleanup()
{
	for pid in $sim_pid $batchd_pid; do
		kill -9 "$pid" 2>/dev/null
		wait "$pid" 2>/dev/null
	done
	if [ "$failed" -ne 0 ]; then
		sed 's/^/# batchd: /' "$folder"/batchd.log 2>/dev/null | tail -n 40
	fi
	rm -rf "$folder"
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

start_sim()
{
	rm -f "$folder/sim.ready"
	mkfifo "$folder/sim.ready"
	"$builddir/batch-api-sim" --listen-unix "$folder/sim.sock" --port 0 --port-file "$folder/port" \
		--validate-ms 20 --run-ms 60 --finalize-ms 20 --cancel-ms 20 "$@" \
		>"$folder/sim.ready" 2>"$folder/sim.log" &
	sim_pid=$!
	# Its first line says that it listens; the rest is read to the end by nobody.
	read -r _ <"$folder/sim.ready" || echo "# the sim did not start: $(cat "$folder/sim.log")"
	sim_url=http://127.0.0.1:$(cat "$folder/port")/v1
}

sim_get()
{
	curl -s --max-time 60 --unix-socket "$folder/sim.sock" "http://sim$1"
}

sim_post()
{
	curl -s --max-time 60 --unix-socket "$folder/sim.sock" -X POST --data-binary "${2-}" "http://sim$1"
}

write_config()
{
	{
		echo "[daemon]"
		echo "state_folder = $folder/state"
		echo "socket = $folder/b.sock"
		echo "[provider sim]"
		echo "base_url = $sim_url"
		for line in "$@" "poll_first = 20ms" "poll_longest = 100ms" "retry_first = 20ms" \
			"retry_longest = 200ms" "settle = 100ms"; do
			echo "$line"
		done | awk '!seen[$1]++'
	} >"$folder/batchd.conf"
}

start_batchd()
{
	"$batchd_program" --config "$folder/batchd.conf" >>"$folder/batchd.log" 2>&1 &
	batchd_pid=$!
	ctl ping --wait 20s >/dev/null 2>&1 || echo "# batchd did not start: $(tail -n 3 "$folder/batchd.log")"
}

end_batchd()
{
	kill "-$1" "$batchd_pid" 2>/dev/null
	wait "$batchd_pid" 2>/dev/null
	batchd_status=$?
	batchd_pid=
}

stop_batchd()
{
	end_batchd TERM
}

kill_batchd()
{
	end_batchd KILL
}

ctl()
{
	"$builddir/batchctl" -s "$folder/b.sock" "$@"
}

door()
{
	curl -s --max-time 60 --unix-socket "$folder/b.sock" "$@"
}

tell()
{
	count=$((count + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $count - $2"
	else
		failed=$((failed + 1))
		echo "not ok $count - $2"
	fi
}

is()
{
	if [ "$2" = "$3" ]; then
		tell 0 "$1"
	else
		tell 1 "$1"
		printf '%s\n' "$2" | sed 's/^/#  wanted: /'
		printf '%s\n' "$3" | sed 's/^/#     got: /'
	fi
}

ok()
{
	name=$1
	shift
	if "$@" >"$folder/out" 2>&1; then
		tell 0 "$name"
	else
		tell 1 "$name"
		sed 's/^/# /' "$folder/out"
	fi
}

exits()
{
	name=$1 wanted=$2
	shift 2
	"$@" >"$folder/out" 2>"$folder/err" </dev/null
	got=$?
	is "$name" "$wanted" "$got"
	[ "$got" -eq "$wanted" ] || sed 's/^/# /' "$folder/err"
}

skip()
{
	count=$((count + 1))
	echo "ok $count - $1 # SKIP $2"
}

finish()
{
	echo "1..$count"
	[ "$failed" -eq 0 ]
	exit
}
