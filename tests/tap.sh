# The little of TAP that the checks need; source it.
#	tap_result NAME FILE	one test: passed if FILE is empty, else its lines say what is wrong
#	tap_skip NAME WHY	one test that could not be run
#	tap_done		the plan; the status is 0 if nothing failed
tap_count=0 tap_failed=0
tap_folder=$(mktemp -d "${TMPDIR:-/tmp}/batchd-check.XXXXXX") || exit 1
trap 'rm -rf "$tap_folder"' EXIT
trap 'exit 130' INT TERM HUP

tap_result()
{
	tap_count=$((tap_count + 1))
	if [ -s "$2" ]; then
		tap_failed=$((tap_failed + 1))
		echo "not ok $tap_count - $1"
		sed 's/^/# /' "$2"
	else
		echo "ok $tap_count - $1"
	fi
}

tap_skip()
{
	tap_count=$((tap_count + 1))
	echo "ok $tap_count - $1 # SKIP $2"
}

tap_done()
{
	echo "1..$tap_count"
	[ "$tap_failed" -eq 0 ]
}
