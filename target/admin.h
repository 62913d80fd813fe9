/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Parsers of admin and Fabrics commands. Each looks at cmd->sqe, decides (cmd_need(), or sets
 * cmd->execute through it) and returns 0, or the status to complete with; one file a topic. They
 * run on the worker of the admin queue, so that they may touch admin state of cmd->queue->ctrl.
 */
#ifndef SLUICE_TARGET_ADMIN_H
#define SLUICE_TARGET_ADMIN_H

#include "target/cmd.h"

struct config;
struct ctrl;
struct ns;
struct queue;

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

/* ------------------------------------------------------------------------------------- admin.c */

/*
 * Effects of admin command @opcode as the commands supported and effects log has them; 0: the
 * command does not exist for this kind of controller.
 */
uint32_t admin_effects(const struct ctrl *ctrl, uint8_t opcode);

/* Bytes that one command may move: what MDTS says. */
uint32_t ctrl_max_transfer(const struct ctrl *ctrl);

/* ------------------------------------------------------------------------------- async_event.c */

/* OAES: the notices that this kind of controller sends. */
uint32_t async_event_supported(const struct ctrl *ctrl);
/* Feature 0Bh: only the notices of @mask are sent from now on. */
void async_event_enable(struct ctrl *ctrl, uint32_t mask);
/* The host read log page @page: the event that it answers may be sent again. */
void async_event_cleared(struct ctrl *ctrl, uint8_t page);
/* Completes outstanding requests as aborted: the controller is disabled or gone. */
void async_event_abort_all(struct ctrl *ctrl);
/* Takes @cmd out of the outstanding requests; true if it was one. */
bool async_event_remove(struct ctrl *ctrl, struct cmd *cmd);

/* ---------------------------------------------------------------------------------- features.c */

/* Power-on values of all features. */
void features_init(struct ctrl *ctrl);
/* Entry of @fid in the feature identifiers effects log; 0: there is no such feature. */
uint32_t feature_effects(const struct ctrl *ctrl, uint8_t fid);

/* --------------------------------------------------------------------------------- discovery.c */

/*
 * Takes the referrals and the discovery NQN from @config, which must outlive their use. Before listeners
 * open, and while workers are paused.
 */
void discovery_init(const struct config *config);
/* The unique name of this discovery service when it has one, else the well-known name. */
const char *discovery_nqn(void);
/*
 * A listener opened or closed: moves the generation counter and tells discovery controllers. Any
 * thread.
 */
void discovery_changed(void);
/*
 * What the log says of subsystems or referrals differs: as discovery_changed(). Main thread, while
 * workers are paused, so that no log is built of both.
 */
void discovery_renew(void);
/* Generation counter of the discovery log: differs whenever what it says differs. Any thread. */
uint64_t discovery_genctr(void);
/*
 * Builds the log page that the host of @queue's controller sees into fresh memory *@log of *@len
 * bytes, to be freed by the caller. 0 or -ENOMEM.
 */
int discovery_build_log(const struct queue *queue, void **log, size_t *len);
/* Most that it takes, for the bound announced. */
size_t discovery_log_bytes(void);

/* ---------------------------------------------------------------------------------- identify.c */

/* Serial, model and firmware names, padded with spaces as Identify wants. */
void identify_strings(const struct ctrl *ctrl, char sn[20], char mn[40], char fr[8]);

/* ------------------------------------------------------------------------------------- smart.c */

/*
 * Starts the thread that asks drives for their health, which may block. 0 or negative errno. While
 * it does not run, SMART logs hold Sluice's own counters alone.
 */
int smart_start(void);
/* Waits for the thread. No command is in flight any more. */
void smart_stop(void);
/*
 * Keeps the thread from looking at the table of namespaces until smart_unlock(): for who changes it.
 * Main thread.
 */
void smart_lock(void);
void smart_unlock(void);
/* Does the thread ask the drive of @ns at the moment? Main thread. */
bool smart_asks(const struct ns *ns);
/* What was known of the drive of @ns goes with it. Main thread. */
void smart_forget(const struct ns *ns);
/* Get Log Page of the SMART log: answers at once, or when the drives have told how they are. */
void smart_execute(struct cmd *cmd);

/* ---------------------------------------------------------------------------------- log_page.c */

bool log_page_supported(const struct ctrl *ctrl, uint8_t page);
/* Ends the command with the part of @log of @len bytes that the host asked for. */
void log_page_reply(struct cmd *cmd, const void *log, size_t len);

#endif
