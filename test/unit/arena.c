/*-------------------------------------------------------------------------
 *
 * arena.c
 *		palloc() without a server: one arena, emptied as a whole.
 *
 * These definitions come before libpgcommon's in the link, and replace them.
 *
 *-------------------------------------------------------------------------
 */
#include "wire/wire.h"

#include "arena.h"

typedef struct Block
{
	struct Block *next;
	struct Block *previous;
	size_t		size;
	size_t		unused;			/* keeps the size a multiple of 16 */
} Block;

static Block blocks = {&blocks, &blocks, 0, 0};
static size_t used;

static void
insert(Block *block, size_t size)
{
	if (block == NULL)
	{
		fprintf(stderr, "out of memory\n");
		abort();
	}
	block->size = size;
	block->next = blocks.next;
	block->previous = &blocks;
	blocks.next->previous = block;
	blocks.next = block;
	used += size;
}

static Block *
take_out(void *pointer)
{
	Block	   *block = (Block *) pointer - 1;

	block->next->previous = block->previous;
	block->previous->next = block->next;
	used -= block->size;
	return block;
}

void
ArenaReset(void)
{
	while (blocks.next != &blocks)
		pfree(blocks.next + 1);
}

size_t
ArenaUsed(void)
{
	return used;
}

void *
palloc_extended(Size size, int flags)
{
	Block	   *block = malloc(sizeof(Block) + size);

	insert(block, size);
	if (flags & MCXT_ALLOC_ZERO)
		memset(block + 1, 0, size);
	return block + 1;
}

void *
palloc(Size size)
{
	return palloc_extended(size, 0);
}

void *
palloc0(Size size)
{
	return palloc_extended(size, MCXT_ALLOC_ZERO);
}

void
pfree(void *pointer)
{
	free(take_out(pointer));
}

void *
repalloc(void *pointer, Size size)
{
	Block	   *block;

	if (pointer == NULL)
		return palloc(size);
	block = realloc(take_out(pointer), sizeof(Block) + size);
	insert(block, size);
	return block + 1;
}

char *
pnstrdup(const char *in, Size size)
{
	size_t		length = strnlen(in, size);
	char	   *copy = palloc(length + 1);

	memcpy(copy, in, length);
	copy[length] = '\0';
	return copy;
}

char *
pstrdup(const char *in)
{
	return pnstrdup(in, strlen(in));
}

/* libpgcommon's own code uses these names as well */
void *
pg_malloc(size_t size)
{
	return palloc(size);
}

void *
pg_malloc0(size_t size)
{
	return palloc0(size);
}

void *
pg_malloc_extended(size_t size, int flags)
{
	return palloc_extended(size, flags);
}

void *
pg_realloc(void *pointer, size_t size)
{
	return repalloc(pointer, size);
}

char *
pg_strdup(const char *in)
{
	return pstrdup(in);
}

void
pg_free(void *pointer)
{
	if (pointer != NULL)
		pfree(pointer);
}
