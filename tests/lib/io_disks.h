/* SPDX-License-Identifier: BSD-3-Clause */
/* Namespaces of every kind for the tests of I/O commands, good and bad. */
#ifndef SLUICE_TESTS_LIB_IO_DISKS_H
#define SLUICE_TESTS_LIB_IO_DISKS_H

#include "io_rig.h"

#include <unistd.h>

/*
 * 1: memory that transports may use; 2: through buffers (no rule ever strikes); 3: file; 4: errors
 * by block; 5: 4 KiB blocks; 6: read-only; 7: masked; 8: stuck or slow by block; 9: flush fails.
 */
#define CONFIG                                                                             \
	"[listener one]\naddress = 127.0.0.1\nport = 4420\n"                               \
	"[subsystem " IO_NQN "]\nallow_any_host = yes\nmax_transfer = 64K\n"               \
	"[namespace " IO_NQN "/1]\nbackend = ram\nsize = 64M\n"                            \
	"[namespace " IO_NQN "/2]\nbackend = ram\nsize = 64M\n"                            \
	"fault = flush error=EIO after=1000000\n"                                          \
	"[namespace " IO_NQN "/3]\nbackend = file\npath = %s\nsize = 16M\n"                \
	"[namespace " IO_NQN "/4]\nbackend = ram\nsize = 1M\n"                             \
	"fault = any error=EIO lba=10-10\nfault = any error=ENODATA lba=11-11\n"           \
	"fault = any error=ENOSPC lba=12-12\nfault = any error=ENODEV lba=13-13\n"         \
	"fault = any error=EOPNOTSUPP lba=14-14\nfault = read error=ENODATA lba=300-300\n" \
	"[namespace " IO_NQN "/5]\nbackend = ram\nsize = 64M\nblock_size = 4096\n"         \
	"[namespace " IO_NQN "/6]\nbackend = ram\nsize = 1M\nread_only = yes\n"            \
	"[namespace " IO_NQN "/7]\nbackend = ram\nsize = 1M\n"                             \
	"allow_host = nqn.2014-08.io.example:other\n"                                      \
	"[namespace " IO_NQN "/8]\nbackend = ram\nsize = 16M\n"                            \
	"fault = any stuck lba=0-0\nfault = read stuck lba=5000-5000\n"                    \
	"[namespace " IO_NQN "/9]\nbackend = file\npath = %s.9\nsize = 1M\n"               \
	"fault = flush error=EIO count=2\n"

enum { NS1_BLOCKS = 64 << 20 >> 9 };

static char path[] = "/var/tmp/sluice-unit-io-XXXXXX";
static uint8_t a[IO_MAX], b[IO_MAX]; /* what is written, and what is read back */

static inline int group_setup(void **state)
{
	char text[4096];
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	snprintf(text, sizeof(text), CONFIG, path, path);
	fake_target_start(text, 2);
	/* As a backend that cannot do it natively would say. */
	io_ns(2)->backend->limits.write_zeroes = false;
	return 0;
}

static inline int group_teardown(void **state)
{
	char name[64];

	(void)state;
	fake_target_stop();
	unlink(path);
	snprintf(name, sizeof(name), "%s.9", path);
	unlink(name);
	return 0;
}

static inline int setup(void **state)
{
	(void)state;
	io_attach();
	memset(b, 0xee, sizeof(b));
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	io_detach();
	io_assert_clean();
	return 0;
}

static inline uint16_t read_at(uint32_t nsid, uint64_t slba, uint32_t nlb, void *out)
{
	return io_run(
		(struct io){ NVME_IO_READ, .nsid = nsid, .slba = slba, .nlb = nlb, .out = out });
}

static inline uint16_t write_at(uint32_t nsid, uint64_t slba, uint32_t nlb, const void *in)
{
	return io_run(
		(struct io){ NVME_IO_WRITE, .nsid = nsid, .slba = slba, .nlb = nlb, .in = in });
}

#endif
