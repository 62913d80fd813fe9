/* SPDX-License-Identifier: BSD-3-Clause */
#include "memory.h"

#include <err.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

char *memory_create(size_t len_bytes, int huge)
{
	int fd = memfd_create("send", MFD_CLOEXEC | (huge ? MFD_HUGETLB : 0));
	char *base;

	if (fd < 0 || ftruncate(fd, (off_t)len_bytes))
		err(1, "memfd of %zu bytes", len_bytes);
	base = mmap(NULL, len_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (base == MAP_FAILED)
		err(1, "mmap of %zu bytes: are enough huge pages set aside?", len_bytes);
	memset(base, 0x5a, len_bytes);
	close(fd);
	return base;
}
