/* SPDX-License-Identifier: BSD-3-Clause */
/* The buddy pool against a model: a map of pages that says who has each. */
#include "unit.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dmabuf/pool.h"

enum { PAGE = 1 << POOL_MIN_SHIFT, MAX_HELD = 4096 };

static struct area area = { .size = UINT64_C(1) << 40 };

static uint32_t pages_of(uint32_t len)
{
	uint32_t pages = 1;

	while (pages * PAGE < len)
		pages *= 2;
	return pages;
}

struct model {
	struct pool pool;
	uint64_t offset;
	uint32_t pages;
	uint8_t *taken;
	struct span held[MAX_HELD];
	unsigned n_held;
	uint64_t free_pages;
};

static void model_init(struct model *m, uint64_t offset, uint32_t pages)
{
	assert_int_equal(pool_init(&m->pool, &area, offset, (uint64_t)pages * PAGE), 0);
	m->offset = offset;
	m->pages = pages;
	m->taken = calloc(pages, 1);
	m->n_held = 0;
	m->free_pages = pages;
}

static void model_mark(struct model *m, const struct span *span, bool taken)
{
	uint32_t n = pages_of(span->len);
	uint64_t first = (span->offset - m->offset) / PAGE;

	assert_true(span->offset >= m->offset && (span->offset - m->offset) % PAGE == 0);
	assert_true(first + n <= m->pages);
	assert_int_equal(first % n, 0);
	for (uint64_t page = first; page < first + n; page++) {
		assert_int_equal(m->taken[page], !taken);
		m->taken[page] = taken;
	}
	m->free_pages = taken ? m->free_pages - n : m->free_pages + n;
}

/* True when an aligned run of @n pages is free: then, and only then, a get must succeed. */
static bool model_has(const struct model *m, uint32_t n)
{
	for (uint32_t first = 0; first + n <= m->pages; first += n) {
		if (!memchr(m->taken + first, 1, n))
			return true;
	}
	return false;
}

static void model_get(struct model *m, uint32_t len)
{
	struct span span;
	bool possible = model_has(m, pages_of(len));
	int rc = pool_get(&m->pool, len, &span);

	assert_int_equal(rc, possible ? 0 : -EAGAIN);
	if (rc)
		return;
	assert_ptr_equal(span.area, &area);
	assert_int_equal(span.len, len);
	model_mark(m, &span, true);
	assert_int_equal(m->pool.free_bytes, m->free_pages * PAGE);
	m->held[m->n_held++] = span;
}

static void model_put(struct model *m, unsigned index)
{
	struct span span = m->held[index];

	model_mark(m, &span, false);
	/* The holder may have shortened it. */
	span.len = span.len > 1 ? span.len / 2 : span.len;
	m->held[index] = m->held[--m->n_held];
	pool_put(&m->pool, &span);
	assert_int_equal(m->pool.free_bytes, m->free_pages * PAGE);
}

static void model_fini(struct model *m)
{
	while (m->n_held)
		model_put(m, m->n_held - 1);
	assert_int_equal(m->pool.free_bytes, (uint64_t)m->pages * PAGE);
	pool_fini(&m->pool);
	free(m->taken);
}

static void random_gets_and_puts_agree_with_the_model(void **state)
{
	static const uint32_t sizes[] = { 1, 3, 64, 1000, 1024, 4095, 4096 + 77 };
	static struct model m;
	struct unit_random r = { 11 };

	(void)state;
	for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
		model_init(&m, (uint64_t)s * PAGE, sizes[s]);
		for (int step = 0; step < 20000; step++) {
			/* Phases of filling and of draining, so that both ends are met. */
			bool get = unit_random_below(&r, 100) < (step / 1000 % 2 ? 65u : 35u);

			if (get && m.n_held < MAX_HELD)
				model_get(&m,
					  1 + (unit_random(&r) >> (7 + unit_random_below(&r, 20))));
			else if (m.n_held)
				model_put(&m, unit_random_below(&r, m.n_held));
		}
		model_fini(&m);
	}
}

static void everything_comes_together_again(void **state)
{
	static struct model m;

	(void)state;
	model_init(&m, 0, 4096);
	for (int i = 0; i < 4096; i++)
		model_get(&m, PAGE);
	assert_int_equal(m.pool.free_bytes, 0);
	assert_int_equal(m.pool.low_water_bytes, 0);
	model_get(&m, 1);
	assert_int_equal(m.n_held, 4096);
	/* Every second page first: nothing larger than a page can be had. */
	for (unsigned i = 4096; i-- > 0;) {
		if ((m.held[i].offset / PAGE) % 2)
			model_put(&m, i);
	}
	model_get(&m, 2 * PAGE);
	while (m.n_held)
		model_put(&m, m.n_held - 1);
	/* The largest piece there is: 16 MiB. */
	model_get(&m, 16u << 20);
	assert_int_equal(m.n_held, 1);
	model_fini(&m);
}

static void pieces_are_found_while_any_is_left(void **state)
{
	static struct model m;
	unsigned n = 0;

	(void)state;
	/* 3 * 16 MiB and a bit: no piece may span two of the largest. */
	model_init(&m, 8 * PAGE, 3 * 4096 + 5);
	for (int i = 0; i < 4; i++) {
		model_get(&m, 16u << 20);
		n = m.n_held;
	}
	assert_int_equal(n, 3);
	for (int i = 0; i < 6; i++)
		model_get(&m, PAGE);
	assert_int_equal(m.n_held, 8);
	model_fini(&m);
}

/* Runs @misuse in a child, which must die of an assertion. */
static void assert_aborts(void (*misuse)(void))
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (!pid) {
		if (!freopen("/dev/null", "w", stderr))
			_exit(2);
		signal(SIGABRT, SIG_DFL);
		misuse();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void put_twice(void)
{
	struct pool pool;
	struct span span;

	if (pool_init(&pool, &area, 0, 64 * PAGE) || pool_get(&pool, PAGE, &span))
		_exit(3);
	pool_put(&pool, &span);
	pool_put(&pool, &span);
}

static void put_from_the_middle(void)
{
	struct pool pool;
	struct span span;

	if (pool_init(&pool, &area, 0, 64 * PAGE) || pool_get(&pool, 4 * PAGE, &span))
		_exit(3);
	span.offset += PAGE;
	span.len = PAGE;
	pool_put(&pool, &span);
}

static void misuse_is_caught(void **state)
{
	(void)state;
#ifdef NDEBUG
	skip();
#endif
	assert_aborts(put_twice);
	assert_aborts(put_from_the_middle);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_gets_and_puts_agree_with_the_model),
		cmocka_unit_test(everything_comes_together_again),
		cmocka_unit_test(pieces_are_found_while_any_is_left),
		cmocka_unit_test(misuse_is_caught),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
