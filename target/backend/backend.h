/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * PORT. A backend stores a namespace's blocks. One file each, listed in registry.c. A backend is
 * opened once, by the main thread, at start before privileges are dropped; attached to every worker's
 * loop; then takes I/O from all workers at once. Its limits are constant from then on, but for the size.
 */
#ifndef SLUICE_TARGET_BACKEND_H
#define SLUICE_TARGET_BACKEND_H

#include "base/loop.h"
#include "base/nvme.h"
#include "config/config.h"
#include "dmabuf/span.h"
#include "target/backend/drive.h"
#include "target/datapath.h"

struct backend;
struct bounce;
struct pool;

enum backend_opcode {
	BACKEND_READ,
	BACKEND_WRITE,
	BACKEND_FLUSH,
	BACKEND_WRITE_ZEROES,
	BACKEND_DISCARD,
	BACKEND_OPCODES
};

enum backend_io_flags {
	BACKEND_IO_FUA = 1 << 0,     /* write is durable when it completes */
	BACKEND_IO_UNMAP = 1 << 1,   /* write zeroes may deallocate */
};

enum {
	BACKEND_ERROR_MAX = 512, /* room for any message of open */
};

/*
 * One I/O. The submitter fills in the first part and keeps all of it until `done`. Offset and length
 * are multiples of the block size and inside the device; the submitter has checked that.
 */
struct backend_io {
	enum backend_opcode opcode;
	unsigned flags;
	uint64_t offset; /* bytes */
	uint64_t len;    /* bytes; READ and WRITE at most limits.max_transfer */
	const struct spanv *data; /* READ and WRITE: first @len bytes of it */
	/* Called once, on the loop's thread, possibly before submit returns. @error: 0 or negative errno. */
	void (*done)(struct backend_io *io, int error);

	/* The backend's own while the I/O is in flight. */
	struct backend *backend;
	struct loop *loop;
	struct op op;
	struct list link;
	struct timer timer;
	uint64_t moved;  /* bytes done, when it goes in several pieces */
	uint32_t epoch;  /* of the registered dma-buf that the request names */
	int fell;        /* the error that cost it a rung and is not explained yet; 0: none */
	uint8_t stage;   /* of what goes in several requests */
	uint8_t retries; /* since it last made progress */
	uint8_t rung;    /* enum datapath_storage, of the request in flight */
	int8_t piece;    /* of the bounce buffers, -1: none */
	bool cancelled;  /* nothing more is sent for it */
};

/* The memory that I/O on one loop uses; it outlives every attachment to that loop. */
struct backend_memory {
	struct area *areas[LOOP_AREAS]; /* by area.slot; NULL: there is none */
	struct pool *pool;     /* gives room for a block when one is needed to try something; NULL: none */
	struct bounce *bounce; /* for memory that cannot be pinned; NULL: all can be */
	unsigned namespaces;   /* that the configuration had at start, for messages */
};

/* Facts about an open backend. */
struct backend_limits {
	uint64_t size;          /* bytes, a multiple of the block size; see backend_size() */
	uint8_t block_shift;    /* logical block, 9..16 */
	uint8_t phys_shift;     /* physical block or preferred granularity, >= block_shift */
	uint32_t mem_align;     /* of address and length of each span, bytes; the kernel refuses others */
	uint32_t piece_align;   /* the same, where data is in several spans: more than mem_align where a
				   drive takes scattered memory by whole pages only */
	uint32_t max_transfer;  /* bytes in one READ or WRITE */
	uint32_t max_segments;  /* spans that go to the kernel at once; an I/O of more goes in parts */
	uint32_t stream_min;    /* bytes of a WRITE that is faster from a buffer that the caches hold than
				   straight to memory that map() lends; 0: none is */
	bool direct;            /* bypasses the page cache */
	bool fixed;             /* takes fixed buffers */
	bool volatile_cache;    /* FLUSH means something */
	bool write_zeroes;      /* natively; else the core writes zeroes */
	bool discard;
	bool discard_zeroes;    /* deallocated blocks read as zero */
	bool read_only;
	bool rotational;
};

struct backend_ops {
	const char *name; /* as in [namespace] backend */
	/*
	 * Opens what @config names and fills in backend->limits and backend->identity. May block.
	 * Allocates and returns the backend in *@out (embedding struct backend first). 0, or negative
	 * errno with nothing left open and @err (a sentence: thing, fault, remedy) written.
	 */
	int (*open)(const struct config_namespace *config, struct backend **out, char *err, size_t errlen);
	/*
	 * Makes the backend usable from @loop; @index is the backend's own place in the table of fixed
	 * files, the same on every loop. Called before the loop runs or on its thread, one call at a time.
	 * May block for as long as it takes to map memory for a device.
	 * 0 or negative errno. NULL: nothing to do.
	 */
	int (*attach)(struct backend *backend, struct loop *loop, unsigned index,
		      const struct backend_memory *memory);
	/* Starts @io on @loop. Never blocks, never fails: errors go to io->done. */
	void (*submit)(struct backend *backend, struct loop *loop, struct backend_io *io);
	/*
	 * Asks that @io, submitted on @loop and not done yet, ends early; its `done` still comes, maybe
	 * from here, with -ECANCELED when that worked. On the loop's thread. NULL: all I/O ends by
	 * itself in bounded time.
	 */
	void (*cancel)(struct backend *backend, struct loop *loop, struct backend_io *io);
	/*
	 * Memory that holds @len bytes at @offset itself, so that transports move data without a
	 * buffer: 0 and *@span, or -ENOTSUP. NULL: it lends none; that may change while workers are
	 * paused. The memory lives as long as the backend.
	 * What is mapped for writing belongs to this range alone: it may be read back and checked.
	 */
	int (*map)(struct backend *backend, uint64_t offset, uint32_t len, bool for_write, struct span *span);
	/*
	 * How I/O on @loop with the memory of @area goes at present: sets the storage facts of @facts
	 * that it knows better than that it has none of them, and adds the bytes of READ and WRITE
	 * that went by each rung to @bytes. Any thread, while attached. NULL: nothing to say.
	 */
	void (*path)(struct backend *backend, const struct loop *loop, unsigned index,
		     const struct area *area, struct datapath_facts *facts,
		     uint64_t bytes[DATAPATH_STORAGE_RUNGS]);
	/*
	 * Asks the drive for its health log into @log, passed on as it is. May block for milliseconds;
	 * called from a helper thread, never from a loop. 0 or negative errno. NULL: has no such log.
	 */
	int (*health)(struct backend *backend, struct nvme_smart_log *log);
	/*
	 * Looks whether size or presence changed: updates limits.size (atomically visible) and returns
	 * 1 when it did, 0 when not, -ENODEV when the device is gone. Does not block. NULL: cannot change.
	 */
	int (*refresh)(struct backend *backend);
	/*
	 * Does the path of @config, as which it was opened, lead elsewhere by now, or nowhere? Main thread;
	 * may block. NULL: it cannot be told, or does not matter.
	 */
	bool (*moved)(const struct backend *backend, const struct config_namespace *config);
	/*
	 * Undoes attach, on the loop's thread. No I/O in flight, but for what `fault` holds back: that
	 * ends here with -ECANCELED. May be NULL.
	 */
	void (*detach)(struct backend *backend, struct loop *loop, unsigned index);
	/*
	 * After detach, on the loop's thread: has the ring nothing more of the backend's own? NULL: it
	 * never has.
	 */
	bool (*settled)(const struct backend *backend, const struct loop *loop);
	/*
	 * Makes it config->size bytes large, while it is in use; with @check_only it only says whether that
	 * may be. 0 with limits.size changed, or negative errno and @err (a sentence: thing, fault, remedy).
	 * Main thread; may block. NULL: it cannot.
	 */
	int (*resize)(struct backend *backend, const struct config_namespace *config,
		      bool check_only, char *err, size_t errlen);
	/*
	 * Takes back what open, or resize after it, has just made or made larger, of which no host knows
	 * yet. It may be attached; @config is what that was called with. Main thread. NULL: nothing to do.
	 */
	void (*undo)(struct backend *backend, const struct config_namespace *config);
	/* Closes and frees. No I/O in flight, detached everywhere, settled or the rings are gone. */
	void (*close)(struct backend *backend);
};

/* First member of every backend's own structure. */
struct backend {
	const struct backend_ops *ops;
	struct backend_limits limits;
	struct backend_identity identity;
	uint64_t memory_bytes; /* that it holds for blocks and loops; part of what the daemon announces */
	char path[256];   /* what people know it by: "/dev/nvme0n1", "ram 1 GiB" */
	char detail[128]; /* anything notable for `sluicectl namespaces`, such as why not O_DIRECT */
};

/* The size in bytes; any thread, while refresh may change it. */
static inline uint64_t backend_size(const struct backend *backend)
{
	return __atomic_load_n(&backend->limits.size, __ATOMIC_RELAXED);
}

/* All backends; NULL-terminated. */
extern const struct backend_ops *const backend_registry[];

/* The backend called @name, or NULL. */
const struct backend_ops *backend_find(const char *name);

/*
 * Opens the backend that @config names, wrapped by `fault` when the configuration has fault rules.
 * As backend_ops.open; here @err begins with file, line and namespace. For three seconds what is in use
 * is asked for again: the kernel may not be done with closing it.
 */
int backend_open(const struct config_namespace *config, struct backend **out, char *err, size_t errlen);

/*
 * All that is opened between the two has half a second together instead, and @turn is taken between the
 * tries. Main thread.
 */
void backend_change_begin(void (*turn)(void));
void backend_change_end(void);

static inline void backend_submit(struct backend *backend, struct loop *loop, struct backend_io *io)
{
	io->backend = backend;
	io->loop = loop;
	backend->ops->submit(backend, loop, io);
}

/* Ends @io early where the backend can; its `done` comes in any case. */
static inline void backend_cancel(struct backend *backend, struct loop *loop, struct backend_io *io)
{
	if (backend->ops->cancel)
		backend->ops->cancel(backend, loop, io);
}

#endif
