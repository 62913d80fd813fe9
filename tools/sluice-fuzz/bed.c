/* SPDX-License-Identifier: BSD-3-Clause */
#include "bed.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { SETTLE_LOOK_US = 20000, MIB = 1 << 20, ERROR_LEN = 512 };

bool bed_heal(struct bed *bed, struct finding *finding)
{
	const struct fuzz_options *o = bed->options;
	struct canary_options options = { .addr = o->addr,
					  .addr_len = o->addr_len,
					  .peer = o->peer,
					  .subnqn = o->nqn,
					  .nsid = o->nsid,
					  .timeout_ms = o->patience_ms };
	char error[ERROR_LEN];

	if (bed->canary)
		canary_stop(bed->canary);
	bed->canary = canary_start(&options, &bed->guard, error, sizeof(error));
	if (!bed->canary)
		return finding_set(finding, FINDING_GONE, "the well-behaved host cannot attach: %s",
				   error);
	return true;
}

bool bed_open(struct bed *bed, const struct fuzz_options *o, struct finding *finding)
{
	int rc;

	*bed = (struct bed){
		.options = o,
		.play_options = { .addr = o->addr,
				  .addr_len = o->addr_len,
				  .subnqn = o->nqn,
				  .patience_ms = o->patience_ms },
	};
	bed->play_options.guard = &bed->guard;
	if (!bed_heal(bed, finding))
		return false;
	bed->play = play_new(&bed->play_options);
	if (!bed->play)
		return finding_set(finding, FINDING_HERE, "no memory");
	rc = o->pid ? watch_start(&bed->watch, o->pid) : 0;
	if (rc)
		return finding_set(finding, FINDING_HERE,
				   "--pid %d: %s; it takes the same user or root", (int)o->pid,
				   strerror(-rc));
	return true;
}

void bed_close(struct bed *bed)
{
	if (bed->canary)
		canary_stop(bed->canary);
	if (bed->play)
		play_free(bed->play);
}

static bool memory_check(const struct bed *bed, struct finding *finding)
{
	const struct watch *w = &bed->watch;

	if (!w->pid || w->rss_now <= w->rss_start + bed->options->rss_growth)
		return true;
	return finding_set(finding, FINDING_GROWTH,
			   "the target's process takes %llu MiB of memory, %llu MiB at the start",
			   (unsigned long long)w->rss_now / MIB,
			   (unsigned long long)w->rss_start / MIB);
}

bool bed_run(struct bed *bed, const struct session *session, struct finding *finding)
{
	bool fine = play_session(bed->play, session);
	bool lives = watch_look(&bed->watch);

	*finding = (struct finding){ .kind = FINDING_NONE };
	if (!lives)
		return finding_set(finding, FINDING_GONE, "process %d has ended",
				   (int)bed->options->pid);
	if (!fine) {
		*finding = bed->play->finding;
		return false;
	}
	if (!canary_check(bed->canary)) {
		/* A process that dies needs a moment. */
		if (!watch_look(&bed->watch))
			return finding_set(finding, FINDING_GONE, "process %d has ended",
					   (int)bed->options->pid);
		return finding_set(finding, FINDING_CANARY, "%s", canary_error(bed->canary));
	}
	return memory_check(bed, finding);
}

bool bed_settled(struct bed *bed, struct finding *finding)
{
	uint64_t until = play_now_ns() + (uint64_t)bed->options->patience_ms * 1000000;
	struct watch *w = &bed->watch;

	if (!w->pid)
		return true;
	while (watch_look(w) && w->fds_now > w->fds_start && play_now_ns() < until)
		usleep(SETTLE_LOOK_US);
	if (!w->rss_now)
		return finding_set(finding, FINDING_GONE, "process %d has ended", (int)w->pid);
	if (w->fds_now > w->fds_start)
		return finding_set(finding, FINDING_GROWTH,
				   "the target's process has %u descriptors open, %u at the start",
				   w->fds_now, w->fds_start);
	return memory_check(bed, finding);
}
