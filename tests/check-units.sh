#!/bin/sh
# The units say nothing wrong (any word of systemd-analyze verify is a failure: it returns 0 for an unknown
# key) and the service's exposure stays below 2.0.
set -u
builddir=$(cd "${builddir:-.}" && pwd) || exit 1
cd "${srcdir:-.}" || exit 1
. tests/tap.sh
found=$tap_folder/found

# What make has made of the units, where configure was told to install them.
if [ -e "$builddir/systemd/batchd.service" ]; then
	grep -n '@[a-z]*@' "$builddir/systemd/batchd.service" "$builddir/systemd/batchd.socket" >"$found"
	grep -q '^ExecStart=/.*/batchd --config /.*/batchd\.conf$' "$builddir/systemd/batchd.service" ||
		grep -n '^ExecStart' "$builddir/systemd/batchd.service" >>"$found"
	tap_result "nothing is left to fill in" "$found"
else
	tap_skip "nothing is left to fill in" "no units are built"
fi

if ! command -v systemd-analyze >/dev/null 2>&1; then
	tap_skip "units are valid" "there is no systemd-analyze"
	tap_skip "exposure of the service is below 2.0" "there is no systemd-analyze"
	tap_done
	exit
fi

units=$tap_folder/units
mkdir "$units"
printf '#!/bin/sh\n' >"$units/batchd"
chmod 755 "$units" "$units/batchd" "$tap_folder"
for unit in service socket; do
	sed "s,@sbindir@,$units,g; s,@sysconfdir@,/etc,g" "systemd/batchd.$unit.in" >"$units/batchd.$unit"
done

(cd "$units" && systemd-analyze verify --man=no ./batchd.service ./batchd.socket) >"$found" 2>&1
status=$?
[ "$status" -eq 0 ] || echo "status $status" >>"$found"
tap_result "units are valid" "$found"

(cd "$units" && systemd-analyze security --no-pager --offline=true --threshold=20 ./batchd.service) \
	>"$tap_folder/security" 2>&1 && : >"$found" || tail -n 1 "$tap_folder/security" >"$found"
echo "# $(tail -n 1 "$tap_folder/security" | tr -cd ' -~')"
tap_result "exposure of the service is below 2.0" "$found"

tap_done
