/* SPDX-License-Identifier: BSD-3-Clause */
#include "target/status.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "base/nvme.h"

/*
 * Devices report by the kernel's table of block layer errors, file systems by their own few. The
 * rule for DNR is the one by which Linux decides whether another path is worth a try: what the
 * medium, the target or the amount of space refuses is refused everywhere, all else may be the way
 * there. A path related status makes a multipath host fail over at once, so it stands for "this
 * device is out of reach from here", never for a fault of the data.
 */
static const struct errno_row {
	int error;
	uint16_t reading; /* Read, Compare, Verify */
	uint16_t writing;
	bool final; /* DNR */
} errno_rows[] = {
	/* The medium. EILSEQ is a protection check inside the drive. */
	{ ENODATA, NVME_SC_UNRECOVERED_READ, NVME_SC_WRITE_FAULT, true },
	{ EILSEQ, NVME_SC_GUARD_CHECK, NVME_SC_GUARD_CHECK, true },
	/* Space: a thin device, a file system or a quota is full. */
	{ ENOSPC, NVME_SC_CAPACITY_EXCEEDED, NVME_SC_CAPACITY_EXCEEDED, true },
	{ EDQUOT, NVME_SC_CAPACITY_EXCEEDED, NVME_SC_CAPACITY_EXCEEDED, true },
	{ EFBIG, NVME_SC_CAPACITY_EXCEEDED, NVME_SC_CAPACITY_EXCEEDED, true },
	/* The device is gone, or its own path failed. */
	{ ENODEV, NVME_SC_INTERNAL_PATH_ERROR, NVME_SC_INTERNAL_PATH_ERROR, false },
	{ ENXIO, NVME_SC_INTERNAL_PATH_ERROR, NVME_SC_INTERNAL_PATH_ERROR, false },
	{ ENOMEDIUM, NVME_SC_INTERNAL_PATH_ERROR, NVME_SC_INTERNAL_PATH_ERROR, false },
	{ ESHUTDOWN, NVME_SC_INTERNAL_PATH_ERROR, NVME_SC_INTERNAL_PATH_ERROR, false },
	{ ESTALE, NVME_SC_INTERNAL_PATH_ERROR, NVME_SC_INTERNAL_PATH_ERROR, false },
	{ ENOLINK, NVME_SC_INTERNAL_PATH_ERROR, NVME_SC_INTERNAL_PATH_ERROR, false },
	{ ETIMEDOUT, NVME_SC_INTERNAL_PATH_ERROR, NVME_SC_INTERNAL_PATH_ERROR, false },
	/* Short of something: the same command will do later. */
	{ ENOMEM, NVME_SC_COMMAND_INTERRUPTED, NVME_SC_COMMAND_INTERRUPTED, false },
	{ ENOBUFS, NVME_SC_COMMAND_INTERRUPTED, NVME_SC_COMMAND_INTERRUPTED, false },
	{ EAGAIN, NVME_SC_COMMAND_INTERRUPTED, NVME_SC_COMMAND_INTERRUPTED, false },
	{ EBUSY, NVME_SC_COMMAND_INTERRUPTED, NVME_SC_COMMAND_INTERRUPTED, false },
	{ EINTR, NVME_SC_COMMAND_INTERRUPTED, NVME_SC_COMMAND_INTERRUPTED, false },
	{ ETIME, NVME_SC_COMMAND_INTERRUPTED, NVME_SC_COMMAND_INTERRUPTED, false },
	{ ECANCELED, NVME_SC_ABORT_REQUESTED, NVME_SC_ABORT_REQUESTED, false },
	/* Refused for good. A write to a device that is set read-only gets EPERM. */
	{ EBADE, NVME_SC_RESERVATION_CONFLICT, NVME_SC_RESERVATION_CONFLICT, true },
	{ EROFS, NVME_SC_INTERNAL, NVME_SC_NS_WRITE_PROTECTED, true },
	{ EPERM, NVME_SC_INTERNAL, NVME_SC_NS_WRITE_PROTECTED, true },
	{ EACCES, NVME_SC_ACCESS_DENIED, NVME_SC_ACCESS_DENIED, true },
	{ EOPNOTSUPP, NVME_SC_INVALID_OPCODE, NVME_SC_INVALID_OPCODE, true },
	{ EREMOTEIO, NVME_SC_INTERNAL, NVME_SC_INTERNAL, true },
	{ EINVAL, NVME_SC_INTERNAL, NVME_SC_INTERNAL, true },
	{ EFAULT, NVME_SC_INTERNAL, NVME_SC_INTERNAL, true },
};

uint16_t io_status_from_errno(int error, uint8_t opcode)
{
	bool reads =
		opcode == NVME_IO_READ || opcode == NVME_IO_COMPARE || opcode == NVME_IO_VERIFY;

	if (!error)
		return NVME_SC_SUCCESS;
	for (size_t i = 0; i < ARRAY_SIZE(errno_rows); i++) {
		const struct errno_row *row = &errno_rows[i];

		if (row->error == -error)
			return (uint16_t)((reads ? row->reading : row->writing) |
					  (row->final ? NVME_STATUS_DNR : 0));
	}
	/* EIO is what is left when a driver knows no better; it may go away, as may all others. */
	return NVME_SC_INTERNAL;
}
