/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading a drive's health log needs CAP_SYS_ADMIN whenever it is read, and the daemon is to have no
 * capability while it serves. So a helper process keeps that one: it reads the health log of the
 * descriptors it is handed, and does nothing else.
 */
#ifndef SLUICE_TARGET_BACKEND_DRIVE_HELPER_H
#define SLUICE_TARGET_BACKEND_DRIVE_HELPER_H

/*
 * Starts the helper. Call while there is one thread and no ring: it is a fork. 0 or negative errno;
 * without it drives are asked by this process, which works as long as it may.
 */
int drive_helper_start(void);

/* Ends the helper, also while it waits for a drive. Harmless when it was not started. */
void drive_helper_stop(void);

/* drive_smart() through the helper, or directly when there is none. One caller at a time. May block. */
int drive_helper_smart(int fd, void *log);

#endif
