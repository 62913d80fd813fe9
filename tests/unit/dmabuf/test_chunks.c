/* SPDX-License-Identifier: BSD-3-Clause */
/* Chunks against a model of who needs what, and of what the kernel has handed out. */
#include "unit.h"

#include "dmabuf/chunks.h"

enum { SHIFT = 12, CHUNK = 1 << SHIFT, CHUNKS = 64, HELD = 200 };

static struct area area = { .size = 1 << 20 };
static const uint64_t begin = 256 << 10;

struct model {
	struct chunks chunks;
	struct span held[HELD];
	unsigned n_held;
	uint32_t refs[CHUNKS], owed[CHUNKS];
};

static void refs_add(struct model *m, const struct span *span, uint32_t n)
{
	uint64_t first = (span->offset - begin) / CHUNK;
	uint64_t last = (span->offset + span->len - 1 - begin) / CHUNK;

	for (uint64_t i = first; i <= last; i++)
		m->refs[i] += n;
}

static void model_check(const struct model *m)
{
	uint64_t held = 0;

	for (unsigned i = 0; i < CHUNKS; i++)
		held += m->owed[i] > 0;
	assert_int_equal(m->chunks.held, held);
}

static struct span random_fragment(struct unit_random *r)
{
	uint32_t offset = unit_random_below(r, CHUNK), len = 1 + unit_random_below(r, CHUNK - offset);

	return (struct span){ &area, begin + unit_random_below(r, CHUNKS) * CHUNK + offset, len };
}

/* A chunk comes back when nobody needs it, with all its fragments, and never before. */
static void give_back(struct model *m, struct unit_random *r)
{
	uint32_t index, n, most = 1 + unit_random_below(r, 3);

	while ((n = chunks_take_idle(&m->chunks, most, &index))) {
		assert_in_range(n, 1, most);
		assert_int_equal(m->refs[index], 0);
		assert_true(n <= m->owed[index]);
		m->owed[index] -= n;
		assert_true(!m->owed[index] || n == most);
		model_check(m);
	}
	for (unsigned i = 0; i < CHUNKS; i++)
		assert_true(m->refs[i] || !m->owed[i]);
}

static void against_the_model(void **state)
{
	struct unit_random r = { 7 };
	static struct model m;

	(void)state;
	assert_int_equal(chunks_init(&m.chunks, &area, begin, CHUNKS * CHUNK, SHIFT), 0);
	for (unsigned step = 0; step < 200000; step++) {
		uint32_t what = unit_random_below(&r, 10);

		if (what < 4 && m.n_held < HELD) {
			struct span fragment = random_fragment(&r);

			chunks_received(&m.chunks, &fragment);
			m.owed[chunks_index(&m.chunks, fragment.offset)]++;
			refs_add(&m, &fragment, 1);
			m.held[m.n_held++] = fragment;
		} else if (what < 6 && m.n_held && m.n_held < HELD) {
			struct span span = m.held[unit_random_below(&r, m.n_held)];

			chunks_get(&m.chunks, &span);
			refs_add(&m, &span, 1);
			m.held[m.n_held++] = span;
		} else if (what < 9 && m.n_held) {
			unsigned i = unit_random_below(&r, m.n_held);
			struct span span = m.held[i];

			chunks_put(&m.chunks, &span);
			refs_add(&m, &span, (uint32_t)-1);
			m.held[i] = m.held[--m.n_held];
		} else {
			give_back(&m, &r);
		}
		model_check(&m);
	}
	while (m.n_held)
		chunks_put(&m.chunks, &m.held[--m.n_held]);
	memset(m.refs, 0, sizeof(m.refs));
	give_back(&m, &r);
	assert_int_equal(m.chunks.held, 0);
	chunks_fini(&m.chunks);
}

/* What several chunks hold side by side may be one span. */
static void spans_over_chunks(void **state)
{
	struct span all = { &area, begin + 100, 3 * CHUNK };
	struct chunks chunks;
	uint32_t index, seen = 0;

	(void)state;
	assert_int_equal(chunks_init(&chunks, &area, begin, CHUNKS * CHUNK, SHIFT), 0);
	for (unsigned i = 0; i < 4; i++) {
		struct span fragment = { &area, begin + i * CHUNK + 100, CHUNK - 100 };

		chunks_received(&chunks, &fragment);
	}
	chunks_get(&chunks, &all);
	for (unsigned i = 0; i < 4; i++) {
		struct span fragment = { &area, begin + i * CHUNK + 100, CHUNK - 100 };

		chunks_put(&chunks, &fragment);
	}
	assert_int_equal(chunks_take_idle(&chunks, 9, &index), 0);
	chunks_put(&chunks, &all);
	while (chunks_take_idle(&chunks, 9, &index))
		seen |= 1u << index;
	assert_int_equal(seen, 15);
	assert_false(chunks_have(&chunks, &(struct span){ &area, begin - 1, 1 }));
	assert_false(chunks_have(&chunks, &(struct span){ &area, begin + CHUNKS * CHUNK, 1 }));
	assert_true(chunks_have(&chunks, &(struct span){ &area, begin + CHUNKS * CHUNK - 1, 1 }));
	chunks_fini(&chunks);
}

/* Whatever order they come back in, so that those side by side stay together. */
static void from_the_last_on(void **state)
{
	static const unsigned order[] = { 70, 3, 199, 4, 71, 0, 5, 128 };
	static const unsigned sorted[] = { 199, 128, 71, 70, 5, 4, 3, 0 };
	static struct area large = { .size = 1 << 20 };
	struct chunks chunks;
	uint32_t index;

	(void)state;
	assert_int_equal(chunks_init(&chunks, &large, 0, 200 * CHUNK, SHIFT), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(order); i++) {
		struct span fragment = { &large, order[i] * CHUNK, CHUNK };

		chunks_received(&chunks, &fragment);
		chunks_put(&chunks, &fragment);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(sorted); i++) {
		assert_int_equal(chunks_take_idle(&chunks, 9, &index), 1);
		assert_int_equal(index, sorted[i]);
	}
	assert_int_equal(chunks_take_idle(&chunks, 9, &index), 0);
	chunks_fini(&chunks);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(against_the_model),
		cmocka_unit_test(spans_over_chunks),
		cmocka_unit_test(from_the_last_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
