#!/bin/sh
# Every call that can fail fails, once and from then on: EIO, ENOSPC, EDQUOT, EMFILE, ENFILE, ENOMEM, EINTR,
# and reads and writes of half of the bytes. What was accepted stays; a full disk and a lack of descriptors
# end by themselves, without a restart; after EIO the restart is clean; interruptions and short counts are not
# seen at all. The client says a sentence, and leaves no half file.
#
#	ERROR="ENOSPC on"	one kind alone; "on": from then on
#
# tests/crash/campaign.sh has the other variables. Much of it is waiting, so that there may be more workers
# than processors.
. "${srcdir:=.}/tests/crash/campaign.sh"

campaign errors "${WORKERS:-6}" ${SCENES:-$cheap_scenes}
echo "$(total 1) call errors tried, $(total 3) violations"
is_clean
