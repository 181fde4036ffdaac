/*-------------------------------------------------------------------------
 *
 * output.c
 *		What waits to be sent to one client: references to frames.
 *
 * Most of the time a client takes what it gets at once and its queue is
 * empty, so a few references are kept in place and memory is taken only for
 * more, and given back when the queue is empty again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "gateway/output.h"

static inline Frame **
slot(const OutputQueue *queue, uint32 index)
{
	return &queue->frames[(queue->first + index) & (queue->size - 1)];
}

void
OutputInit(OutputQueue *queue)
{
	memset(queue, 0, sizeof(*queue));
	queue->frames = queue->inlined;
	queue->size = OUTPUT_INLINE;
}

/* Count a frame in or out. */
static inline void
count_in(OutputQueue *queue, const Frame *frame)
{
	Size	   *total = frame->exempt ? &queue->exempt_bytes : &queue->bytes;

	*total += frame->length + FRAME_COST;
}

static inline void
count_out(OutputQueue *queue, const Frame *frame)
{
	Size	   *total = frame->exempt ? &queue->exempt_bytes : &queue->bytes;

	*total -= frame->length + FRAME_COST;
}

static bool
grow(OutputQueue *queue)
{
	uint32		size = queue->size * 2;
	Frame	  **frames;

	if (queue->size > PG_UINT32_MAX / 2 / sizeof(Frame *))
		return false;
	frames = malloc(size * sizeof(Frame *));
	if (frames == NULL)
		return false;
	for (uint32 i = 0; i < queue->count; i++)
		frames[i] = *slot(queue, i);
	if (queue->frames != queue->inlined)
		free(queue->frames);
	queue->frames = frames;
	queue->first = 0;
	queue->size = size;
	return true;
}

bool
OutputAppend(OutputQueue *queue, Frame *frame)
{
	if (queue->count == queue->size && !grow(queue))
		return false;
	*slot(queue, queue->count) = FrameRetain(frame);
	queue->count++;
	count_in(queue, frame);
	return true;
}

/* How many frames have been begun, or must be next. */
static uint32
begun(const OutputQueue *queue)
{
	Size		bytes = (Size) queue->sent + queue->promised;
	uint32		n = 0;

	while (bytes > 0)
	{
		Assert(n < queue->count);
		bytes -= Min(bytes, (*slot(queue, n))->length);
		n++;
	}
	return n;
}

bool
OutputPrepend(OutputQueue *queue, Frame *frame)
{
	uint32		place = begun(queue);

	if (queue->count == queue->size && !grow(queue))
		return false;
	queue->first = (queue->first - 1) & (queue->size - 1);
	queue->count++;
	count_in(queue, frame);
	for (uint32 i = 0; i < place; i++)
		*slot(queue, i) = *slot(queue, i + 1);
	*slot(queue, place) = FrameRetain(frame);
	return true;
}

int
OutputVectors(const OutputQueue *queue, struct iovec *vectors, int max)
{
	int			n = (int) Min(queue->count, (uint32) max);

	for (int i = 0; i < n; i++)
	{
		Frame	   *frame = *slot(queue, i);
		uint32		skip = i == 0 ? queue->sent : 0;

		vectors[i].iov_base = frame->bytes + skip;
		vectors[i].iov_len = frame->length - skip;
	}
	return n;
}

static void
release_memory(OutputQueue *queue)
{
	if (queue->frames != queue->inlined)
		free(queue->frames);
	queue->frames = queue->inlined;
	queue->size = OUTPUT_INLINE;
	queue->first = 0;
}

static void
drop_first(OutputQueue *queue)
{
	Frame	   *frame = *slot(queue, 0);

	count_out(queue, frame);
	queue->first = (queue->first + 1) & (queue->size - 1);
	queue->count--;
	queue->sent = 0;
	FrameRelease(frame);
}

void
OutputAdvance(OutputQueue *queue, size_t written)
{
	while (queue->count > 0)
	{
		size_t		left = (*slot(queue, 0))->length - queue->sent;

		if (written < left)
		{
			queue->sent += (uint32) written;
			return;
		}
		written -= left;
		drop_first(queue);
	}
	Assert(written == 0);
	release_memory(queue);
}

void
OutputClear(OutputQueue *queue)
{
	while (queue->count > 0)
		drop_first(queue);
	release_memory(queue);
}
