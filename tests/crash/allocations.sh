#!/bin/sh
# Every allocation of the daemon and of the client fails, once and from then on: it ends, or the one request
# fails; never is anything lost, or anything wrong told. By default some hundred points of each scene are
# tried, and the output says every how manieth; STRIDE=1 tries all.
#
# tests/crash/campaign.sh has the other variables. "Crashes" are those of libraries that do not look whether
# they got memory; they count as violations only where the next start, or the repeat, is not clean.
. "${srcdir:=.}/tests/crash/campaign.sh"

campaign allocations "${WORKERS:-4}" ${SCENES:-$cheap_scenes}
echo "$(total 1) failed allocations tried, $(total 4) crashes, $(total 3) violations"
is_clean
