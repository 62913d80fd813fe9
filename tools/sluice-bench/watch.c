/* SPDX-License-Identifier: BSD-3-Clause */
/* What goes on beside the I/O: keep alive, asynchronous events, time-outs. */
#include <errno.h>
#include <string.h>

#include "internal.h"

static bool own_submit(struct own_cmd *own)
{
	if (own->busy || initiator_submit(own->in, 0, &own->cmd))
		return false;
	own->busy = true;
	return true;
}

static void keep_alive_done(struct initiator_cmd *cmd)
{
	struct own_cmd *own = container_of(cmd, struct own_cmd, cmd);
	char text[96];

	own->busy = false;
	if (cmd->outcome == INITIATOR_DONE && cmd->status)
		initiator_fail(own->in, true, "Keep Alive failed: %s",
			       nvme_status_text(cmd->status, text, sizeof(text)));
}

static void event_log_done(struct initiator_cmd *cmd)
{
	struct own_cmd *own = container_of(cmd, struct own_cmd, cmd);
	char text[96];

	own->busy = false;
	if (cmd->outcome != INITIATOR_DONE)
		return;
	if (cmd->status) {
		initiator_fail(own->in, false, "log page %02xh that an event named: %s",
			       le32_get(cmd->sqe.cdw10) & 0xff,
			       nvme_status_text(cmd->status, text, sizeof(text)));
		return;
	}
	own_submit(&own->in->event);
}

/* An event is answered by reading the log page that it names; that clears it (Base 5.1.2). */
static void event_done(struct initiator_cmd *cmd)
{
	struct own_cmd *own = container_of(cmd, struct own_cmd, cmd);
	struct initiator *in = own->in;
	uint8_t page = (uint8_t)(cmd->result >> 16);
	/* The changed namespace list is read whole; of the others the header is enough. */
	uint32_t len = page == NVME_LOG_CHANGED_NS ? sizeof(in->event_data) : 16;
	char text[96];

	own->busy = false;
	if (cmd->outcome != INITIATOR_DONE)
		return;
	if (cmd->status) {
		initiator_fail(in, false, "Asynchronous Event Request failed: %s",
			       nvme_status_text(cmd->status, text, sizeof(text)));
		return;
	}
	in->counters.events++;
	memset(&in->event_log.cmd, 0, sizeof(in->event_log.cmd));
	in->event_log.cmd.sqe.opcode = NVME_ADMIN_GET_LOG_PAGE;
	in->event_log.cmd.sqe.nsid = le32(NVME_NSID_ALL);
	in->event_log.cmd.sqe.cdw10 = le32(page | (len / 4 - 1) << 16);
	in->event_log.cmd.data = in->event_data;
	in->event_log.cmd.len = len;
	in->event_log.cmd.done = event_log_done;
	own_submit(&in->event_log);
}

static void own_init(struct initiator *in, struct own_cmd *own, uint8_t opcode,
		     void (*done)(struct initiator_cmd *cmd))
{
	memset(own, 0, sizeof(*own));
	own->in = in;
	own->cmd.sqe.opcode = opcode;
	own->cmd.done = done;
}

void initiator_watch(struct initiator *in)
{
	own_init(in, &in->keep_alive, NVME_ADMIN_KEEP_ALIVE, keep_alive_done);
	own_init(in, &in->event, NVME_ADMIN_ASYNC_EVENT, event_done);
	own_init(in, &in->event_log, NVME_ADMIN_GET_LOG_PAGE, event_log_done);
	in->watching = true;
	in->keep_alive_ns = in->now_ns;
	in->traffic = in->counters.rx_bytes;
	if (le32_get(in->id.oaes))
		own_submit(&in->event);
}

/*
 * Every half of KATO. With traffic based keep alive, none where something else came in between; it is
 * looked at twice as often then, for what came may have come right after the last look.
 */
static void keep_alive_tick(struct initiator *in)
{
	bool tbkas = le32_get(in->id.ctratt) & NVME_CTRATT_TBKAS;
	uint64_t interval_ns = in->options.kato_ms * 1000000ull / (tbkas ? 4 : 2);

	if (in->options.kato_ms == 0 || in->now_ns - in->keep_alive_ns < interval_ns)
		return;
	in->keep_alive_ns = in->now_ns;
	if (tbkas && in->traffic != in->counters.rx_bytes) {
		in->traffic = in->counters.rx_bytes;
		return;
	}
	if (own_submit(&in->keep_alive))
		in->counters.keep_alives++;
}

void initiator_tick(struct initiator *in)
{
	struct initiator_cmd *cmd = NULL;

	if (in->watching)
		keep_alive_tick(in);
	for (unsigned i = 0; i <= in->n_io; i++) {
		const struct queue *q = in->queues[i];
		uint32_t limit_ms = i ? in->options.io_timeout_ms : in->options.connect_timeout_ms;
		uint64_t age_ns = q->open ? queue_oldest_ns(q, in->now_ns, &cmd) : 0;

		if (age_ns > limit_ms * 1000000ull) {
			initiator_fail(in, true,
				       "queue %u: no answer to opcode %02xh (CID %04xh) in %u ms",
				       i, cmd->sqe.opcode, le16_get(cmd->sqe.cid), limit_ms);
			return;
		}
	}
}
