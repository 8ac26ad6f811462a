# What the long campaigns share: workers side by side, and one closing line. Source it, then: campaign KIND
# WORKERS SCENE...
#
#	SCENES="small merge"	which scenes (all); tests/crash/ordeal_scenes.c and ordeal_client.c have them
#	FIRST=1 LAST=500	only these points of each; so it goes on where it was stopped
#	STRIDE=7		every so manieth
#	WORKERS=2		how many at once; each tries its share of every scene
set -u
: "${srcdir:=.}" "${builddir:=.}"
export srcdir builddir

all_scenes="small big several stdin mixed tries files delete cancel retry held stream stop stop-busy start validate upload create
	create-not list poll fetch collect merge start-busy migrate wide huge
	client-submit client-stdin client-results client-force client-output"
# What needs too long for every error and allocation: it is big, not different.
cheap_scenes=$(echo $all_scenes | sed 's/ wide huge//')

stop_workers()
{
	for pid in $workers_pids; do
		kill "$pid" 2>/dev/null
	done
	wait
}

campaign()
{
	kind=$1 workers=$2 part=0 workers_pids= ended=0
	shift 2
	sums=$(mktemp -d "${TMPDIR:-/tmp}/batchd-campaign.XXXXXX") || exit 1
	trap 'rm -rf "$sums"' EXIT
	trap 'stop_workers; exit 130' INT TERM HUP
	while [ "$part" -lt "$workers" ]; do
		PART=$part PARTS=$workers SUM=$sums/$part sh "$srcdir/tests/crash/worker.sh" "$kind" "$@" &
		workers_pids="$workers_pids $!"
		part=$((part + 1))
	done
	for pid in $workers_pids; do
		wait "$pid" && ended=$((ended + 1))
	done
}

# Adds up the closing lines of the workers: points, pairs, violations, crashes.
total()
{
	cat "$sums"/* | awk -F ', ' -v column="$1" '{ sum += $column } END { print sum + 0 }'
}

# Every worker came to its end, tried something, and found nothing wrong.
is_clean()
{
	[ "$(total 3)" -eq 0 ] && [ "$(total 1)" -gt 0 ] && [ "$ended" -eq "$workers" ]
}
