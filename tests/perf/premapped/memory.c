/* SPDX-License-Identifier: BSD-3-Clause */
#include "memory.h"

#include <err.h>
#include <fcntl.h>
#include <linux/udmabuf.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static const size_t huge_page_bytes = 2 * 1024 * 1024;

static int dmabuf_create(int memfd, size_t len_bytes)
{
	struct udmabuf_create create = {
		.memfd = (uint32_t)memfd,
		.flags = UDMABUF_FLAGS_CLOEXEC,
		.size = len_bytes,
	};
	int dev = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
	int fd;

	if (dev < 0)
		err(1, "/dev/udmabuf");
	fd = ioctl(dev, UDMABUF_CREATE, &create);
	if (fd < 0)
		err(1, "/dev/udmabuf: cannot make a dma-buf of %zu bytes", len_bytes);
	close(dev);
	return fd;
}

void memory_open(struct memory *mem, unsigned slots)
{
	int fd = memfd_create("premapped", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB);

	if (fd < 0)
		err(1, "memfd_create");
	mem->len_bytes = (size_t)slots * MEMORY_SLOT_BYTES;
	mem->len_bytes = (mem->len_bytes + huge_page_bytes - 1) & ~(huge_page_bytes - 1);
	if (ftruncate(fd, (off_t)mem->len_bytes))
		err(1, "memfd of %zu bytes", mem->len_bytes);
	/* udmabuf takes only memory that cannot shrink under the device. */
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK))
		err(1, "F_ADD_SEALS");
	mem->base = mmap(NULL, mem->len_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (mem->base == MAP_FAILED)
		err(1, "mmap of %zu bytes of huge pages: are enough set aside in nr_hugepages?",
		    mem->len_bytes);
	memset(mem->base, 0, mem->len_bytes);
	mem->dmabuf_fd = dmabuf_create(fd, mem->len_bytes);
	close(fd);
}

void memory_close(struct memory *mem)
{
	close(mem->dmabuf_fd);
	munmap(mem->base, mem->len_bytes);
}
