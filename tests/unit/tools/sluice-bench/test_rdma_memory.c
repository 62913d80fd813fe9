/* SPDX-License-Identifier: BSD-3-Clause */
/* Where the data of commands over RDMA lies: in a region of the caller's, or copied through a chunk. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "guard.h"
#include "rdma.h"

struct rig {
	struct initiator in;
	struct hrdma_assoc assoc;
	struct ibv_mr region_mr[2], bounce_mr;
	uint8_t memory[3 * 8192];
};

/* Two regions with a gap between them that belongs to neither. */
static struct rig *rig_open(void)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	assert_non_null(rig);
	rig->in.rdma = &rig->assoc;
	rig->in.regions[1] = (struct region){ rig->memory, 8192 };
	rig->in.regions[3] = (struct region){ rig->memory + 2 * 8192, 8192 };
	rig->assoc.regions[1] = &rig->region_mr[0];
	rig->assoc.regions[3] = &rig->region_mr[1];
	rig->assoc.bounce_mr = &rig->bounce_mr;
	rig->assoc.bounce = malloc((size_t)RDMA_BOUNCES * (INITIATOR_BOUNCE + GUARD_LEN));
	assert_non_null(rig->assoc.bounce);
	for (uint16_t i = 0; i < RDMA_BOUNCES; i++)
		rig->assoc.bounce_free[rig->assoc.n_bounce_free++] = i;
	return rig;
}

static void rig_close(struct rig *rig)
{
	free(rig->assoc.bounce);
	free(rig);
}

static void test_regions(void **state)
{
	struct rig *rig = rig_open();
	struct hrdma_place place;
	struct initiator_cmd cmd = { .data = rig->memory, .len = 8192 };

	(void)state;
	assert_int_equal(hrdma_place_find(&rig->in, &cmd, &place), 0);
	assert_ptr_equal(place.addr, rig->memory);
	assert_ptr_equal(place.mr, &rig->region_mr[0]);
	assert_int_equal(place.bounce, RDMA_BOUNCE_NONE);

	cmd = (struct initiator_cmd){ .data = rig->memory + sizeof(rig->memory) - 1, .len = 1 };
	assert_int_equal(hrdma_place_find(&rig->in, &cmd, &place), 0);
	assert_ptr_equal(place.mr, &rig->region_mr[1]);

	/* One byte too many belongs to no region, and is too long to be copied. */
	cmd = (struct initiator_cmd){ .data = rig->memory, .len = 8193 };
	assert_int_equal(hrdma_place_find(&rig->in, &cmd, &place), -EINVAL);
	cmd = (struct initiator_cmd){ .data = rig->memory + 8191, .len = 2 };
	assert_int_equal(hrdma_place_find(&rig->in, &cmd, &place), 0);
	assert_ptr_equal(place.mr, &rig->bounce_mr);
	hrdma_bounce_put(&rig->assoc, place.bounce);
	rig_close(rig);
}

static void test_bounce(void **state)
{
	struct rig *rig = rig_open();
	struct hrdma_place places[RDMA_BOUNCES], place;
	uint8_t data[INITIATOR_BOUNCE];
	struct initiator_cmd out = { .data = data, .len = sizeof(data), .to_ctrl = true };
	struct initiator_cmd back = { .data = data, .len = 20 };
	struct initiator_cmd dropped = { .len = 512 };

	(void)state;
	memset(data, 0x3c, sizeof(data));
	for (unsigned i = 0; i < RDMA_BOUNCES; i++) {
		assert_int_equal(hrdma_place_find(&rig->in, &out, &places[i]), 0);
		assert_memory_equal(places[i].addr, data, sizeof(data));
	}
	assert_int_equal(hrdma_place_find(&rig->in, &out, &place), -EAGAIN);
	for (unsigned i = 0; i < RDMA_BOUNCES; i++)
		hrdma_bounce_put(&rig->assoc, places[i].bounce);

	/* What was copied out before is not there to be read. */
	assert_int_equal(hrdma_place_find(&rig->in, &back, &place), 0);
	for (unsigned i = 0; i < back.len + GUARD_LEN; i++)
		assert_int_equal(place.addr[i], GUARD_BYTE);
	memset(place.addr, 0x55, back.len);
	assert_true(hrdma_bounce_take(&rig->assoc, place.bounce, &back));
	assert_int_equal(data[back.len - 1], 0x55);
	assert_int_equal(data[back.len], 0x3c);
	/* A controller that writes on behind what the command reads is found out. */
	place.addr[back.len] = 0;
	assert_false(hrdma_bounce_take(&rig->assoc, place.bounce, &back));
	hrdma_bounce_put(&rig->assoc, place.bounce);

	assert_int_equal(hrdma_place_find(&rig->in, &dropped, &place), 0);
	assert_true(hrdma_bounce_take(&rig->assoc, place.bounce, &dropped));
	hrdma_bounce_put(&rig->assoc, place.bounce);
	rig_close(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_regions),
		cmocka_unit_test(test_bounce),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
