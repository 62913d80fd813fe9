/* SPDX-License-Identifier: BSD-3-Clause */
/* Where sessions run: the player, the canary beside it, and the watch over the target's process. */
#ifndef SLUICE_FUZZ_BED_H
#define SLUICE_FUZZ_BED_H

#include "canary.h"
#include "options.h"
#include "play.h"
#include "watch.h"

struct bed {
	const struct fuzz_options *options;
	struct model_guard guard;
	struct play_options play_options;
	struct play *play;
	struct canary *canary;
	struct watch watch;
};

/* Begins; the canary is connected afterwards. False: @finding says why it cannot. */
bool bed_open(struct bed *bed, const struct fuzz_options *options, struct finding *finding);
void bed_close(struct bed *bed);

/* Connects the canary anew after it was hurt. */
bool bed_heal(struct bed *bed, struct finding *finding);

/* Runs @session and looks at everything afterwards; false: @finding. */
bool bed_run(struct bed *bed, const struct session *session, struct finding *finding);

/* After the last session: what the target took, it has given back. */
bool bed_settled(struct bed *bed, struct finding *finding);

#endif
