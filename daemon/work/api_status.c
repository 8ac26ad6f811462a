#include "daemon/work/api_status.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

#include "daemon/base/cleanup.h"

/* clang-format off */
static const struct {
	const char *word;
	enum api_status status;
} statuses[] = {
	{ "validating",        API_STATUS_VALIDATING  },
	{ "pending",           API_STATUS_VALIDATING  },
	{ "queued",            API_STATUS_VALIDATING  },
	{ "in_queue",          API_STATUS_VALIDATING  },
	{ "scheduling",        API_STATUS_VALIDATING  },
	{ "pre_schedule",      API_STATUS_VALIDATING  },
	{ "in_progress",       API_STATUS_IN_PROGRESS },
	{ "progress",          API_STATUS_IN_PROGRESS },
	{ "running",           API_STATUS_IN_PROGRESS },
	{ "finalizing",        API_STATUS_FINALIZING  },
	{ "completed",         API_STATUS_COMPLETED   },
	{ "success",           API_STATUS_COMPLETED   },
	{ "succeeded",         API_STATUS_COMPLETED   },
	{ "ended",             API_STATUS_COMPLETED   },
	{ "failed",            API_STATUS_FAILED      },
	{ "expired",           API_STATUS_EXPIRED     },
	{ "timeout_exceeded",  API_STATUS_EXPIRED     },
	{ "cancelling",        API_STATUS_CANCELLING  },
	{ "canceling",         API_STATUS_CANCELLING  },
	{ "cancellation_requested", API_STATUS_CANCELLING },
	{ "cancelled",         API_STATUS_CANCELLED   },
	{ "canceled",          API_STATUS_CANCELLED   },
};

static const struct {
	const char *word;
	enum api_file_state state;
} file_states[] = {
	{ "processed", API_FILE_READY  },
	{ "success",   API_FILE_READY  },
	{ "succeeded", API_FILE_READY  },
	{ "completed", API_FILE_READY  },
	{ "ready",     API_FILE_READY  },
	{ "active",    API_FILE_READY  },
	{ "ok",        API_FILE_READY  },
	{ "error",     API_FILE_BROKEN },
	{ "failed",    API_FILE_BROKEN },
	{ "rejected",  API_FILE_BROKEN },
	{ "deleting",  API_FILE_BROKEN },
	{ "deleted",   API_FILE_BROKEN },
};
/* clang-format on */

/* Whether two words are the same but for case and for what parts them: "in_progress", "InProgress", "IN-PROGRESS". */
static bool is_same_word(const char *a, const char *b)
{
	for (;; a++, b++) {
		a += strspn(a, "_- ");
		b += strspn(b, "_- ");
		if (tolower((unsigned char)*a) != tolower((unsigned char)*b))
			return false;
		if (!*a)
			return true;
	}
}

enum api_status api_status_of(const char *word)
{
	for (size_t i = 0; word && i < ARRAY_SIZE(statuses); i++)
		if (is_same_word(statuses[i].word, word))
			return statuses[i].status;
	return API_STATUS_UNKNOWN;
}

enum api_file_state api_file_state_of(const char *word)
{
	if (!word)
		return API_FILE_READY;
	for (size_t i = 0; i < ARRAY_SIZE(file_states); i++)
		if (is_same_word(file_states[i].word, word))
			return file_states[i].state;
	return API_FILE_UNDER_WAY;
}

bool api_status_is_terminal(enum api_status status)
{
	return status >= API_STATUS_COMPLETED;
}
