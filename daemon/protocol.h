/*
 * The words of the front door, shared by the daemon and batchctl: paths, parameters, limits, and
 * the fields that are ours. The rest is the Files and Batch API as its official document has it.
 *
 *	GET    /v1/batches?after=ID&limit=N[&state=S,S]	listBatches; newest first; state is ours: statuses, or "open" / "ended"
 *	POST   /v1/batches	application/json: createBatch	application/jsonl (or x-ndjson): the body is the input, and what createBatch has
 *				as members are parameters in the query: endpoint, completion_window, metadata (a JSON object); ours: filename.
 *				With Content-Encoding: gzip or zstd (on this call alone) the body is packed, and kept unpacked: Idempotency-Key and
 *				max_file mean what came out. 415: another encoding; 400 "invalid_encoding": damaged, or cut
 *				Parameters in the query of both, all ours:
 *				provider=NAME[,NAME...]	at most 16: where its requests go, and, in that order, where those without an answer move on to when one
 *							cannot be used or has no more to try for them; else the routes of their models say, else the first provider
 *				on_invalid=fail|skip	skip: lines that are wrong fail alone, the rest runs; fail, the default: nothing is sent
 *				wrap=1			a line is a bare body: batchd makes the envelope, to endpoint, ids are line-N
 *				model=M			with wrap: of bodies that name none
 *				ids=line		custom_id is line-N, by the line's number from 1, whatever the line says
 *				max_attempts=N		1 to 100, of one request; default: as the configuration has it
 *				priority=N		0 to 100, 50 the default; the higher goes first; above 50: operators alone (403)
 *				begin=TIME		not sent before: Unix seconds, or a time with its zone (2026-12-01T08:00:00Z)
 *				after=ID		not sent before that job has ended, however it does; one of the user's own
 *				deadline=DURATION	6h, 90m, or seconds, a year at most: what has no answer then ends as "expired", and so does the job
 *				hold=1			checked, but not sent until it is released
 *				max_tokens=N, max_cost=AMOUNT	its budgets, of input and output; 0: no bound. What would exceed them waits
 *				labels=JSON		an object of texts: 16 pairs; keys of 1 to 63 letters, digits, ".", "_", "/", "-", values up to 63 characters
 *	GET    /v1/batches/{id}				retrieveBatch; id is batch_57 or 57
 *	POST   /v1/batches/{id}/cancel			cancelBatch
 *	POST   /v1/batches/{id}/hold, /release		no body. Nothing more of it is sent until it is released; what the provider has goes on. The answer is its batch
 *				object, also when it is so already; 409 when it has ended, or is being cancelled
 *	POST   /v1/batches/{id}/set?priority=N&max_tokens=N&max_cost=AMOUNT	no body; any of them; the same answers
 *	POST   /v1/batches/{id}/retry			no body; Idempotency-Key as for POST /v1/batches. Of a job that has ended: a new job of its requests without a success
 *				over the same input (lines that were skipped as wrong are none), with the same priority (not above 50, but for operators) and budgets; the answer is the new job's batch object. Of one that has not ended and that is
 *				held: what is damaged, or ended the daemon again and again, is tried once more; requests whose answers cannot be had:
 *				?lost=resend (the default; pays for them again) or ?lost=accept (goes on without them). The answer is its own batch object. Where there is neither: 409 "nothing_to_retry"
 *	POST   /v1/batches/{id}/resolve?batch=ID|none=1[&shard=N]	no body; Idempotency-Key as for POST /v1/batches. A person's word about a shard that is "uncertain":
 *				the provider's batch of it is ID (1 to 4096 bytes, no control characters), or it has none. Without a shard's number exactly one
 *				must be uncertain: of several, 409 "which_shard" with their numbers. A word that was followed already may be repeated; where nothing is
 *				uncertain, 409 "nothing_to_resolve". The answer is the job's batch object; the word is followed after it: a batch that the
 *				provider does not have, or that is not of this shard, leaves it uncertain, with that reason
 *	GET    /v1/batches/{id}/results?form=lines|combined[&only=ok|errors][&partial=1]	one line per request, in the order of the input; only: a selection of them.
 *				lines: as the provider's result files have them, the default with only; combined, the default without:
 *				{"custom_id":"a","status":"ok|failed|invalid|missing|lost|expired|cancelled|refused","http_status":200 or null,
 *				 "answer":BODY or null,"error":{"code","message"} or null,"attempts":1,"shard":1 or null}; an invalid one has "line" too, of the
 *				input, and may have a null custom_id; code and message may be null where the provider gave none
 *				Before the job ended: 409 with code "not_finished", or with partial=1 what is there
 *	GET    /v1/batches/{id}/events?after=SEQ[&follow=1]	application/x-ndjson, one event a line, oldest first; with follow=1 the
 *				answer stays open until the job's last event (blank lines in between mean nothing)
 *	POST   /v1/files (multipart/form-data: purpose, file, expires_after[anchor], expires_after[seconds])	GET /v1/files?purpose&limit&order&after	GET, DELETE /v1/files/{id}	GET /v1/files/{id}/content
 *				A file whose time is over is hidden at once; its bytes go when it is the input of no job that goes on. The
 *				jobs that ended with it can then be neither retried (409 nothing_to_retry) nor combined anew (410)
 *	GET    /v1/daemon				the service: see below
 *	POST   /v1/daemon/pause?provider=NAME[&reason=TEXT]	operators: nothing more is sent to the provider, nor asked of it, until it is resumed; a restart
 *				changes nothing about it. TEXT: at most PROTOCOL_MAX_REASON bytes, no control characters. A second pause takes the place of the first
 *	POST   /v1/daemon/resume?provider=NAME	operators: ends that, and at once whatever else batchd waits for at the provider of its own accord: a refused account, calls that
 *				failed, a 429. Where there is nothing to end it is no error. Both answer with { "object": "batchd.provider", "name", ... } as below
 *	GET    /v1/daemon/backup[?partial=1]		operators: the state folder as it is at this moment, as a tar archive to be unpacked into an
 *				empty one; one at a time (429). 409 "incomplete": a file that the store names is missing; partial=1 goes on without
 *	GET    /v1/daemon/verify			operators: looks through the state folder; application/x-ndjson, see below; one at a time (429)
 *	GET    /healthz					200 "ok\n" while jobs are accepted, 503 otherwise; anybody may ask
 *
 * A batch object is the documented one: id object endpoint errors input_file_id completion_window status output_file_id error_file_id created_at
 * in_progress_at expires_at finalizing_at completed_at failed_at expired_at cancelling_at cancelled_at request_counts{total completed failed} metadata; and "batchd":
 *	{ "job": 57, "state": "running", "owner": {"uid": 1000}, "provider": "openai", "providers": ["openai","azure-eu"] or null (it named none), "input_bytes": N, "file_name": "evals.jsonl" or null,
 *	  "labels": {...} or null, "retry_of": 41 or null (the job whose requests these are), "max_attempts": 3 or null (not known: the provider's section is gone),
 *	  "on_invalid": "fail"|"skip", "wrap": bool, "ids": "line" or null, "model": "..." or null,
 *	  "counts": {"total","ok","failed","cancelled","expired","missing","lost","invalid","resent","twice"},	final numbers grow as shards are collected;
 *		failed has missing, lost and invalid in it; resent and twice are no outcomes: requests, and answers, that may have been paid for twice
 *	  "priority": 50, "begin_at": unix seconds or null, "after": 41 or null, "is_on_hold": bool,	expires_at of the batch object is its deadline
 *	  "budget": {"max_tokens": N or null, "max_cost": "2.5" or null, "tokens": N, "cost": "1.9000"},	used, or reserved for what was sent
 *	  "why": "waits for ..." or null,					what it waits for, one phrase without its time; of its shards, what is held comes first; where all
 *		that is open of it waits for its turn, why the first does ("shard 1: enqueued tokens of m: 1.9 M of 2 M used, 3 ahead")
 *	  "until": unix seconds or null,					until when, where that is known
 *	  "eta": seconds or null,						until its last batch has ended, about; null where that is not known: some of it waits to be sent, or too few like it have ended, or it takes longer than any did
 *	  "is_held": true|false,						a step of the job itself is held until a person says retry or cancel; of shards, "due_at" null and a "why" say so
 *	  "errors_total": N,							how many lines were refused; errors.data holds at most PROTOCOL_MAX_ERRORS
 *	  "events": SEQ,							number of the job's last event
 *	  "currency": "USD",							of costs
 *	  "shards_total": N,							and from retrieve (and what answers like it) alone:
 *	  "usage": [ {"model","provider","requests","input_tokens","output_tokens","estimated_tokens" (of the input, as it was sent),"cost": "1.2345" or null} ],	by the answers that were collected; cost: computed here from the
 *		configuration's prices less that provider's batch_discount, four places; null where a price that counts is not known
 *	  "digest": [ {"code": "..." or null,"message","count","lines": [17,203]} ],	what failed, by what was said, most frequent first, at most PROTOCOL_MAX_DIGEST; the
 *		first few lines of each, from 1 (of a retry: counted among its own requests)
 *	  "shards": [ {"shard": 1, "state": "created", "model": "...", "url": "...", "provider": "openai", "requests": N, "bytes": N, "inputs": N, "tokens": N (estimated), "reserved_tokens": N (of the provider's limit, while it is under way), "attempt": 1,
 *		"marker": "..." (in the metadata of its batch there, as "batchd"), "intended_at": unix seconds (a batch may have been created since then) or null,
 *		"batch_id": "..." or null (of an uncertain one: what a person named, and is being asked for), "provider_file_id": ..., "remote_status": "in_progress" or null, "completed": N, "failed": N, "refusal": "..." or null,
 *		"refusal_code": "..." or null, "tally": {"ok","failed","cancelled","expired","missing","lost","again","resent","twice","unknown","unreadable",
 *		"input_tokens","output_tokens"}, "due_at": unix seconds or null, "eta": seconds or null, "changed_at": unix seconds or null, when its batch last told something new, 
 *		"queue": "waiting" (for its turn) | "parked" (its job is on hold) or null, "why": ... or null, "until": unix seconds or null} ] }	at most PROTOCOL_MAX_SHARDS
 *
 * An event: { "object": "batchd.event", "seq": 12, "job": 57, "shard": 1 or null, "created_at": unix seconds, "created_at_ms": N, "type": "shard.created",
 *	"level": "info"|"warning"|"error", "message": "...", "is_last": true only on the job's last one }
 * Types: job.accepted job.valid job.failed job.cut job.hold job.release job.set job.cancelling job.merged job.completed job.cancelled job.expired job.note
 *	shard.uploaded shard.created shard.adopted shard.ended shard.fetched shard.collected shard.dropped shard.cancelled shard.uncertain shard.doubt shard.retry shard.note
 *
 * GET /v1/daemon: { "object": "batchd.daemon", "version", "pid", "started_at", "accepting": true|false, "why": null or why not, "state_folder", "jobs": {"accepted": N, ...all states},
 *	"providers": [ {"name", "base_url", "dialect", "state": "ok"|"limited"|"ill"|"refused"|"paused", "is_paused": true where it is one of the last two,
 *		"why": one phrase or null, "until": unix seconds or null (not known, or any moment now), "since": unix seconds or null, "by": uid of the person who paused it or null,
 *		"calls": N, "failures": N (of the last hour), "shards_in_flight": N, "batch_discount": "50%",
 *		"shards_waiting": N (for a place there; counted up to PROTOCOL_MAX_WAITING), "waiting_why", "waiting_until": what one of the first waits for, and until when, or null (also where it is not yours and you are no operator),
 *		"limits": {"max_requests","max_bytes","max_inputs","max_tokens" (0: none),"bytes_per_token","ideal_bytes" (0: as many as fit; else no more are put together, so that several find room at once; limits of a model by itself are not in it)},	of one batch; the first provider is the default
 *		"allowance": {"max_batches","max_enqueued_tokens","max_enqueued_requests","uploads_per_minute","batches_per_hour","lists_per_minute"} (0: no limit is known),
 *		"in_flight": [ {"model","batches","requests","tokens","max_batches","max_requests","max_tokens","is_learned": bool (max_tokens was)} ],	of it, what was
 *			let go and has not ended, and the limits of each model; null: none is known; at most PROTOCOL_MAX_LEARNED
 *		"learned": [ {"model": "..." or null,"name": "max_enqueued_tokens","value": N,"words": "..." or null (for operators),"at": unix seconds} ],	at most PROTOCOL_MAX_LEARNED
 *		"rates": {"requests": null or {"limit","remaining","reset_at"},"tokens": ...} } ],	as the headers of its newest answers say
 *	"routes": [ {"model": "gpt-4o*","providers": ["openai","azure-eu"]} ],	the first that fits a model counts, as below
 *	"currency": "USD", "models": [ {"name": "gpt-4o*","input_price": "2.5","output_price": "10"} ],	for a million tokens; "0": not known; "*" stands for
 *		any letters, and the first that fits a model counts
 *	"disk_free_bytes": N, "you": {"uid": N, "is_operator": bool} }
 *
 * GET /v1/daemon/verify, a line each: what is wrong, told once it has been seen twice, how far it is, and at last the sums, without which it was cut:
 *	{ "object": "batchd.finding", "level": "damage"|"note", "job": 57 or null, "shard": 1 or null, "file": "jobs/57/shard-1.rows" or null, "message": "..." }
 *		a note is no damage: files that nothing names, which the next start removes
 *	{ "object": "batchd.progress", "bytes": N, "total": N }		total is an estimate
 *	{ "object": "batchd.verified", "jobs": N, "files": N, "bytes": N, "damages": N, "notes": N }
 *
 * Errors: { "error": { "message", "type", "param", "code" } } with the status of the table in reference to the official API; ours besides:
 *	400 invalid_encoding  403 not_permitted  409 idempotency_conflict  409 not_finished  409 nothing_to_retry  409 nothing_to_resolve  409 which_shard  409 incomplete  410 (a result file that was deleted, an input that has expired)  413 too_large  429 too_many (also a limit of the user: which, and how much is open)  503 outcome_unknown | draining (Retry-After)  507 disk_full
 */
#ifndef BATCHD_PROTOCOL_H
#define BATCHD_PROTOCOL_H

#define PROTOCOL_DEFAULT_SOCKET "/run/batchd/batchd.sock"
#define PROTOCOL_SOCKET_VARIABLE "BATCHD_SOCKET"

#define PROTOCOL_BATCHES "/v1/batches"
#define PROTOCOL_FILES "/v1/files"
#define PROTOCOL_DAEMON "/v1/daemon"
#define PROTOCOL_PAUSE "/v1/daemon/pause"
#define PROTOCOL_RESUME "/v1/daemon/resume"
#define PROTOCOL_BACKUP "/v1/daemon/backup"
#define PROTOCOL_VERIFY "/v1/daemon/verify"
#define PROTOCOL_HEALTH "/healthz"

#define PROTOCOL_BATCH_PREFIX "batch_" /* job 57 is batch_57 */
#define PROTOCOL_FILE_PREFIX "file-"   /* file 9 is file-9 */

#define PROTOCOL_IDEMPOTENCY_HEADER "Idempotency-Key"
#define PROTOCOL_MAX_KEY 255 /* bytes of an Idempotency-Key */

#define PROTOCOL_JSON "application/json"
#define PROTOCOL_JSONL "application/jsonl"
#define PROTOCOL_NDJSON "application/x-ndjson"
#define PROTOCOL_TAR "application/x-tar"

#define PROTOCOL_MAX_JSON_BODY (128 * 1024) /* bytes of a JSON body: all the metadata that is allowed fits */
#define PROTOCOL_MAX_METADATA 16	     /* pairs; keys of 64 and values of 512 characters */
#define PROTOCOL_MAX_METADATA_KEY 64
#define PROTOCOL_MAX_METADATA_VALUE 512
#define PROTOCOL_MAX_FILE_NAME 255 /* bytes */
#define PROTOCOL_MAX_REASON 200	   /* bytes: why a provider is paused */
#define PROTOCOL_MAX_LABELS 16	   /* pairs; keys and values of so many characters */
#define PROTOCOL_MAX_LABEL 63
#define PROTOCOL_MAX_ATTEMPTS 100
#define PROTOCOL_MAX_PRIORITY 100
#define PROTOCOL_MAX_TOKENS 1000000000000000 /* of a budget */
#define PROTOCOL_MAX_BATCH_ID 4096 /* bytes of a provider's id */
#define PROTOCOL_MAX_ERRORS 1000   /* refused lines listed in errors.data */
#define PROTOCOL_MAX_SHARDS 1000   /* shards listed in a batch object */
#define PROTOCOL_MAX_LEARNED 100   /* models, and things that were learned, of a provider */
#define PROTOCOL_MAX_WAITING 10000 /* shards that wait for a provider, as far as they are counted */
#define PROTOCOL_MAX_DIGEST 100	   /* messages in a digest */
#define PROTOCOL_LIST_DEFAULT 20
#define PROTOCOL_LIST_MAX 100
#define PROTOCOL_FILES_LIST_MAX 10000

#define PROTOCOL_WINDOW "24h" /* the documented completion_window */

/* Codes of errors that are ours. */
#define PROTOCOL_CODE_CONFLICT "idempotency_conflict"
#define PROTOCOL_CODE_NOT_FINISHED "not_finished"
#define PROTOCOL_CODE_NOTHING_TO_RETRY "nothing_to_retry"
#define PROTOCOL_CODE_NOTHING_TO_RESOLVE "nothing_to_resolve"
#define PROTOCOL_CODE_WHICH_SHARD "which_shard"
#define PROTOCOL_CODE_ENCODING "invalid_encoding"
#define PROTOCOL_CODE_TOO_LARGE "too_large"
#define PROTOCOL_CODE_TOO_MANY "too_many"
#define PROTOCOL_CODE_UNKNOWN "outcome_unknown"
#define PROTOCOL_CODE_DRAINING "draining"
#define PROTOCOL_CODE_DISK "disk_full"
#define PROTOCOL_CODE_INCOMPLETE "incomplete"

#endif
