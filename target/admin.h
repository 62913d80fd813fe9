/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Parsers of admin and Fabrics commands. Each looks at cmd->sqe, decides (cmd_need(), or sets
 * cmd->execute through it) and returns 0, or the status to complete with; one file a topic. They run
 * on the worker of the admin queue, so that they may touch admin state of cmd->queue->ctrl.
 */
#ifndef SLUICE_TARGET_ADMIN_H
#define SLUICE_TARGET_ADMIN_H

#include "target/cmd.h"

struct ctrl;

uint16_t connect_parse(struct cmd *cmd);      /* connect.c; before there is a controller */
uint16_t fabrics_parse(struct cmd *cmd);      /* connect.c: Property Get/Set, Disconnect, ... */
uint16_t property_get_parse(struct cmd *cmd); /* property.c */
uint16_t property_set_parse(struct cmd *cmd);
uint16_t admin_parse(struct cmd *cmd);        /* admin.c: by opcode; Abort, Keep Alive */
uint16_t identify_parse(struct cmd *cmd);     /* identify.c */
uint16_t log_page_parse(struct cmd *cmd);     /* log_page.c */
uint16_t set_features_parse(struct cmd *cmd); /* features.c */
uint16_t get_features_parse(struct cmd *cmd);
uint16_t async_event_parse(struct cmd *cmd);  /* async_event.c */

/* --------------------------------------------------------------------------------- async_event.c */

/* Delivers what other threads noted by ctrl_notify(); runs on the admin worker. */
void async_event_deliver(struct ctrl *ctrl);
/* The host read log page @page: the event may be sent again. */
void async_event_cleared(struct ctrl *ctrl, uint8_t page);
/* Completes outstanding requests as aborted (controller disabled); or forgets @cmd when it is aborted. */
void async_event_abort_all(struct ctrl *ctrl);
/* Takes @cmd out of the outstanding requests; true if it was one. */
bool async_event_remove(struct ctrl *ctrl, struct cmd *cmd);

/* ----------------------------------------------------------------------------------- features.c */

/* Power-on values of all features. */
void features_init(struct ctrl *ctrl);

/* ---------------------------------------------------------------------------------- discovery.c */

/* Generation counter of the discovery log: moves with every visible change. Any thread. */
void discovery_changed(void);
uint64_t discovery_genctr(void);
/*
 * Builds the log page that @ctrl's host sees into fresh memory *@log of *@len bytes, to be freed by
 * the caller. 0 or -ENOMEM.
 */
int discovery_build_log(struct ctrl *ctrl, void **log, size_t *len);

/* Names of this controller's subsystem, padded with spaces as Identify wants (serial, model, firmware). */
void identify_strings(const struct ctrl *ctrl, char sn[20], char mn[40], char fr[8]);

/* ------------------------------------------------------------------------------------- effects */

/* Commands and log pages that exist, in one place: log_page.c derives both logs and admin.c refuses the rest. */
bool log_page_supported(const struct ctrl *ctrl, uint8_t page);

#endif
