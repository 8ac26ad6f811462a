#include "daemon/door/decode.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdlib.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/door/visit.h"
#include "daemon/io/loop.h"
#include "daemon/io/server.h"
#include "daemon/protocol.h"

#define PIECE (64 * 1024) /* of what comes out */
#define TURN_BUDGET_US 1000
/* Of all together: one with the largest window there is, or a thousand ordinary ones. */
#define MAX_MEMORY (192 << 20)

struct decoder {
	struct visit *visit;
	struct unpack *unpack; /* NULL once nobody wants the rest */
	void (*on_data)(struct visit *visit, const char *data, size_t size);
	struct decoder *next; /* in the door's list */
	struct buffer packed; /* what was fed */
	int64_t received;     /* packed bytes, in all */
	bool has_work;
};

static void decoder_unlink(struct decoder *decoder)
{
	struct decoder **link = &decoder->visit->door->decoders;

	while (*link != decoder)
		link = &(*link)->next;
	*link = decoder->next;
}

/* Those with work stand in front, in the order of their turns. */
static void decoder_link(struct decoder *decoder)
{
	struct decoder **link = &decoder->visit->door->decoders;

	while (*link && (!decoder->has_work || (*link)->has_work))
		link = &(*link)->next;
	decoder->next = *link;
	*link = decoder;
}

static size_t decoder_memory(const struct decoder *decoder)
{
	return (decoder->unpack ? unpack_memory(decoder->unpack) : 0) + decoder->packed.capacity;
}

/* Known only once the content has begun; what a window reserves is no memory before it is written to. */
static bool is_too_much(const struct door *door)
{
	size_t memory = 0;

	for (const struct decoder *decoder = door->decoders; decoder; decoder = decoder->next)
		memory += decoder_memory(decoder);
	return memory > MAX_MEMORY;
}

static void refuse_memory(struct visit *visit)
{
	exchange_add_header(visit->exchange, "Retry-After", "5");
	visit_error(visit, 429, PROTOCOL_CODE_TOO_MANY, NULL,
		    "Too many packed bodies are being received; "
		    "one that was packed with a smaller window needs less memory.");
}

/* One piece. Returns whether there may be more. */
static bool decode_piece(struct decoder *decoder)
{
	static char piece[PIECE];
	struct visit *visit = decoder->visit;
	size_t before = unpack_memory(decoder->unpack), size = 0;
	struct error err = { 0 };

	if (unpack_read(decoder->unpack, piece, sizeof(piece), &size, &err))
		visit_error(visit, 400, PROTOCOL_CODE_ENCODING, NULL, "The body cannot be unpacked: %s.", err.text);
	else if (unpack_memory(decoder->unpack) > before && is_too_much(visit->door))
		refuse_memory(visit);
	else if (size)
		decoder->on_data(visit, piece, size);
	return size && !visit->is_answered;
}

/* Its packed bytes are used up, or nobody wants them any more. */
static void decoder_rest(struct decoder *decoder)
{
	/* An answer may take its time to leave; until then the window need not be held. */
	if (decoder->visit->is_answered)
		unpack_free(take(decoder->unpack));
	buffer_clear(&decoder->packed);
	exchange_go_on(decoder->visit->exchange);
}

static void on_decode(void *context)
{
	struct door *door = context;
	int64_t end = loop_monotonic_us(door->parts.loop) + TURN_BUDGET_US;
	struct decoder *decoder;

	while ((decoder = door->decoders) && decoder->has_work) {
		decoder->has_work = decode_piece(decoder);
		decoder_unlink(decoder);
		decoder_link(decoder);
		if (!decoder->has_work)
			decoder_rest(decoder);
		if (loop_monotonic_us(door->parts.loop) >= end)
			break;
	}
	if (door->decoders && door->decoders->has_work)
		loop_timer_set(door->decode_timer, 0);
}

struct decoder *decoder_new(struct visit *visit, enum unpack_form form,
			    void (*on_data)(struct visit *visit, const char *data, size_t size))
{
	struct decoder *decoder = xcalloc(1, sizeof(*decoder));

	decoder->visit = visit;
	decoder->unpack = unpack_new(form);
	decoder->on_data = on_data;
	decoder_link(decoder);
	return decoder;
}

void decoder_free(struct decoder *decoder)
{
	if (!decoder)
		return;
	decoder_unlink(decoder);
	unpack_free(decoder->unpack);
	buffer_release(&decoder->packed);
	free(decoder);
}

void decoder_add(struct decoder *decoder, const char *data, size_t size)
{
	struct visit *visit = decoder->visit;

	buffer_add(&decoder->packed, data, size);
	decoder->received += (int64_t)size;
	unpack_feed(decoder->unpack, decoder->packed.data, decoder->packed.size);
	decoder_unlink(decoder);
	decoder->has_work = true;
	decoder_link(decoder);
	exchange_pause(visit->exchange);
	loop_timer_set(visit->door->decode_timer, 0);
}

bool decoder_finish(struct decoder *decoder)
{
	if (unpack_is_whole(decoder->unpack))
		return true;
	visit_error(decoder->visit, 400, PROTOCOL_CODE_ENCODING, NULL,
		    "The body cannot be unpacked: it ends too early, after %" PRId64 " bytes.", decoder->received);
	return false;
}

void decode_start(struct door *door)
{
	door->decode_timer = loop_timer_new(door->parts.loop, on_decode, door);
}

void decode_stop(struct door *door)
{
	loop_timer_free(door->decode_timer);
}
