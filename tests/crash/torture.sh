#!/bin/sh
# kill -9 just before, and just after, every call that the daemon makes to the world, whatever it is doing,
# and the client likewise. The ordinary daemon then goes on, and the job must be whole, in order, sent once;
# the client is told the same again, and nothing half may lie there. And pairs: a death, and another one in
# the recovery from it.
#
#	PAIRS=100 SEED=1	how many pairs of each scene, by which dice
#
# tests/crash/campaign.sh has the other variables. The scene "huge" (200 MB) is sampled: STRIDE=1 SCENES=huge
# tries all of it.
. "${srcdir:=.}/tests/crash/campaign.sh"
: "${PAIRS:=100}" "${SEED:=1}"
export PAIRS SEED

campaign deaths "${WORKERS:-2}" ${SCENES:-$all_scenes}
echo "$(total 1) kill points tried, $(total 2) pairs sampled, $(total 3) violations"
is_clean
