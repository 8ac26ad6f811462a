#include "daemon/base/cleanup.h"
#include "tests/crash/faults_tables.h"

#define STATUS(status) "'action':'status','status':" #status
#define DONE(status) "'action':'lost_answer','status':" #status
#define MOVED(status) "'action':'redirect','status':" #status ",'location':'http://127.0.0.1:9/v1/elsewhere'"
#define BODY(text) "'action':'body','text':'" text "'"
#define WORK (ON_UPLOAD | ON_CREATE)
/* A clear refusal for good: of the rows, or of a look that would have settled a doubt. */
#define IF_REFUSED { { WORK, COST_FAILED }, { ON_LIST, COST_PERSON | COST_ORPHANS } }
#define IF_NO_LIST { { ON_LIST, COST_PERSON | COST_ORPHANS } }

/* clang-format off */
const struct happening happenings[] = {
	/* it does not arrive */
	{ "connection refused",       ON_ALL, NULL, false, { { 0, 0 } } },
	{ "reset before it was read", ON_ALL, "'action':'drop_before'", false, { { 0, 0 } } },

	/* it is not done, and an answer says so */
	{ "400",                 ON_ALL, STATUS(400), false, IF_REFUSED },
	{ "401",                 ON_ALL, STATUS(401), false, { { 0, 0 } } },
	{ "402",                 ON_ALL, STATUS(402), false, { { 0, 0 } } },
	{ "403",                 ON_ALL, STATUS(403), false, { { 0, 0 } } },
	{ "404",                 ON_ALL, STATUS(404), false, IF_NO_LIST },
	{ "405",                 ON_ALL, STATUS(405), false, { { ON_CREATE, COST_FAILED }, { ON_LIST, COST_PERSON | COST_ORPHANS } } },
	{ "407",                 ON_ALL, STATUS(407), false, { { 0, 0 } } },
	{ "408",                 ON_ALL, STATUS(408), false, { { 0, 0 } } },
	{ "409",                 ON_ALL, STATUS(409), false, { { 0, 0 } } },
	{ "410",                 ON_ALL, STATUS(410), false, IF_NO_LIST },
	{ "413",                 ON_ALL, "'action':'too_large'", false, { { ON_CREATE, COST_UPLOADS } } },
	{ "422",                 ON_ALL, STATUS(422), false, IF_REFUSED },
	{ "425",                 ON_ALL, STATUS(425), false, { { 0, 0 } } },
	{ "429",                 ON_ALL, "'action':'rate_limit'", false, { { 0, 0 } } },
	{ "429, Retry-After",    ON_ALL, "'action':'rate_limit','retry_after':'7'", false, { { 0, 0 } } },
	{ "429, a date",         ON_ALL, "'action':'rate_limit','retry_after_date':90", false, { { 0, 0 } } },
	{ "429, milliseconds",   ON_ALL, "'action':'rate_limit','retry_after_ms':'1500'", false, { { 0, 0 } } },
	{ "429, a fraction",     ON_ALL, "'action':'rate_limit','retry_after':'1.5'", false, { { 0, 0 } } },
	{ "429, hours",          ON_ALL, "'action':'rate_limit','retry_after':'7200'", false, { { 0, 0 } } },
	{ "429, no number",      ON_ALL, "'action':'rate_limit','retry_after':'soon'", false, { { 0, 0 } } },
	{ "429, quota",          ON_ALL, "'action':'quota'", false, { { 0, 0 } } },
	{ "500",                 ON_ALL, STATUS(500), false, { { 0, 0 } } },
	{ "500, HTML",           ON_ALL, STATUS(500) ",'body':'html'", false, { { 0, 0 } } },
	{ "500, plain text",     ON_ALL, STATUS(500) ",'body':'text'", false, { { 0, 0 } } },
	{ "500, detail",         ON_ALL, STATUS(500) ",'body':'detail'", false, { { 0, 0 } } },
	{ "500, failure",        ON_ALL, STATUS(500) ",'body':'failure'", false, { { 0, 0 } } },
	{ "500, code a number",  ON_ALL, STATUS(500) ",'body':'int_code'", false, { { 0, 0 } } },
	{ "500, empty",          ON_ALL, STATUS(500) ",'body':'empty'", false, { { 0, 0 } } },
	{ "502",                 ON_ALL, STATUS(502), false, { { 0, 0 } } },
	{ "503",                 ON_ALL, STATUS(503), false, { { 0, 0 } } },
	{ "503, Retry-After",    ON_ALL, STATUS(503) ",'retry_after':'20'", false, { { 0, 0 } } },
	{ "504",                 ON_ALL, STATUS(504), false, { { 0, 0 } } },
	{ "599",                 ON_ALL, STATUS(599), false, { { 0, 0 } } },
	{ "301",                 ON_ALL, MOVED(301), false, { { 0, 0 } } },
	{ "302",                 ON_ALL, MOVED(302), false, { { 0, 0 } } },
	{ "303",                 ON_ALL, MOVED(303), false, { { 0, 0 } } },
	{ "307",                 ON_ALL, MOVED(307), false, { { 0, 0 } } },
	{ "308",                 ON_ALL, MOVED(308), false, { { 0, 0 } } },
	{ "302 to nowhere",      ON_ALL, STATUS(302), false, { { 0, 0 } } },
	{ "200, a login page",   ON_ALL & ~ON_DELETE, STATUS(200) ",'body':'html'", false, { { 0, 0 } } },

	/* it is done, and the answer is lost or cannot be used */
	{ "408, done",           WORK | ON_CANCEL | ON_DELETE, DONE(408), true, { { 0, 0 } } },
	{ "409, done",           WORK | ON_CANCEL | ON_DELETE, DONE(409), true, { { 0, 0 } } },
	{ "500, done",           WORK | ON_CANCEL | ON_DELETE, DONE(500), true, { { 0, 0 } } },
	{ "502, done",           WORK | ON_CANCEL | ON_DELETE, DONE(502), true, { { 0, 0 } } },
	{ "503, done",           WORK | ON_CANCEL | ON_DELETE, DONE(503), true, { { 0, 0 } } },
	{ "504, done",           WORK | ON_CANCEL | ON_DELETE, DONE(504), true, { { 0, 0 } } },
	{ "reset, done",         ON_ALL, "'action':'drop_after'", true, { { 0, 0 } } },
	{ "cut after the headers", ON_ALL, "'action':'cut_headers'", true, { { 0, 0 } } },
	{ "cut after a byte",    ON_ALL, "'action':'cut_body','cut_at':1", true, { { 0, 0 } } },
	{ "cut in the middle",   ON_ALL, "'action':'cut_body','cut_percent':50", true, { { 0, 0 } } },
	{ "cut before its end",  ON_ALL, "'action':'cut_body','cut_percent':99", true, { { 0, 0 } } },
	{ "cut, chunked",        ON_ALL, "'action':'cut_body','cut_percent':50,'chunked':1", true, { { 0, 0 } } },
	{ "too late",            ON_ALL, "'action':'delay','ms':130000", true, { { 0, 0 } } },
	{ "stalled at once",     ON_ALL, "'action':'stall','stall_at':0,'stall_ms':130000", true, { { 0, 0 } } },
	{ "stalled in the body", ON_ALL, "'action':'stall','stall_at':20,'stall_ms':130000", true, { { 0, 0 } } },
	{ "longer than it is",   ON_ALL, "'action':'wrong_length','length_off':10", true, { { 0, 0 } } },
	{ "shorter than it is",  ON_ALL, "'action':'wrong_length','length_off':-10", true, { { 0, 0 } } },
	{ "truncated",           ON_ALL, "'action':'shorten','by':10", true, { { 0, 0 } } },
	{ "garbage",             ON_ALL, "'action':'garbage'", true, { { 0, 0 } } },
	{ "much garbage",        ON_ALL, "'action':'garbage','size':200000", true, { { 0, 0 } } },
	{ "empty",               ON_ALL, BODY(""), true, { { 0, 0 } } },
	{ "null",                ON_ALL, BODY("null"), true, { { 0, 0 } } },
	{ "a number",            ON_ALL, BODY("5"), true, { { 0, 0 } } },
	{ "a string",            ON_ALL, BODY("\\'done\\'"), true, { { 0, 0 } } },
	{ "an array",            ON_ALL, BODY("[]"), true, { { 0, 0 } } },
	{ "an empty object",     ON_ALL, BODY("{}"), true, { { 0, 0 } } },
	{ "id is a number",      ON_ALL & ~ON_LIST, BODY("{\\'id\\':5,\\'status\\':5,\\'bytes\\':\\'x\\'}"), true, { { ON_CREATE, COST_PERSON | COST_ORPHANS } } },
	{ "id of nobody",        ON_CREATE, BODY("{\\'id\\':\\'batch_of_nobody\\',\\'status\\':\\'validating\\'}"), true, { { ON_CREATE, COST_PERSON | COST_ORPHANS } } },
	{ "id is null",          ON_ALL & ~ON_LIST, BODY("{\\'id\\':null,\\'status\\':null}"), true, { { 0, 0 } } },
	{ "id is empty",         ON_ALL & ~ON_LIST, BODY("{\\'id\\':\\'\\',\\'status\\':\\'\\'}"), true, { { 0, 0 } } },
	{ "data is a number",    ON_LIST | ON_FILES, BODY("{\\'data\\':7,\\'has_more\\':\\'x\\'}"), true, { { 0, 0 } } },
	{ "data of numbers",     ON_LIST | ON_FILES, BODY("{\\'data\\':[7,null,[]],\\'has_more\\':false}"), true, { { 0, 0 } } },
	{ "packed, it says",     ON_ALL, "'action':'encoding'", true, { { 0, 0 } } },
	{ "a byte-order mark",   ON_ALL, "'action':'bom'", true, { { 0, 0 } } },

	/* it is whole, in another form */
	{ "slow",                ON_ALL, "'action':'delay','ms':200", false, { { 0, 0 } } },
	{ "a pause in it",       ON_ALL, "'action':'stall','stall_at':20,'stall_ms':200", false, { { 0, 0 } } },
	{ "in small pieces",     ON_ALL, "'action':'pieces','piece':3", false, { { 0, 0 } } },
	{ "no length",           ON_ALL, "'action':'no_length'", false, { { 0, 0 } } },
	{ "chunks of one byte",  ON_ALL, "'action':'no_length','piece':1", false, { { 0, 0 } } },
	{ "gzip",                ON_ALL, "'action':'gzip'", false, { { 0, 0 } } },
	{ "blank lines",         ON_ALL, "'action':'blank_lines'", false, { { 0, 0 } } },
	{ "CRLF",                ON_ALL, "'action':'crlf'", false, { { 0, 0 } } },
};
/* clang-format on */

const size_t happening_count = ARRAY_SIZE(happenings);
