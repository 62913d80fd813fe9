/* SPDX-License-Identifier: BSD-3-Clause */
/* Span vectors: merging, walking, copying, comparing, over all ways to cut the same bytes. */
#include "unit.h"

#include <errno.h>

#include "base/crc32c.h"
#include "dmabuf/span.h"

enum { AREA_BYTES = 4096, DATA_BYTES = 96, MAX_SPANS = 8 };

static char memory[AREA_BYTES];
static struct area area = { .faces = AREA_FACE_CPU, .base = memory, .size = AREA_BYTES };

/* A vector of @n random pieces that holds DATA_BYTES bytes in all, no two of which touch. */
static void vector_scatter(struct spanv *sv, struct span *room, struct unit_random *r)
{
	uint32_t n = 1 + unit_random_below(r, MAX_SPANS), left = DATA_BYTES;

	spanv_init(sv, room, MAX_SPANS);
	for (uint32_t i = 0; i < n && left; i++) {
		struct span span = { .area = &area, .offset = i * 128 + unit_random_below(r, 16) };

		span.len = i == n - 1 ? left : MIN(left, unit_random_below(r, 24));
		left -= span.len;
		assert_int_equal(spanv_append(sv, &span), 0);
	}
	assert_int_equal(sv->len, DATA_BYTES);
}

static void append_merges_what_touches(void **state)
{
	struct span room[2];
	struct spanv sv;

	(void)state;
	spanv_init(&sv, room, 2);
	assert_int_equal(spanv_append(&sv, &(struct span){ &area, 0, 100 }), 0);
	assert_int_equal(spanv_append(&sv, &(struct span){ &area, 100, 28 }), 0);
	assert_int_equal(sv.n, 1);
	assert_int_equal(spanv_append(&sv, &(struct span){ &area, 256, 10 }), 0);
	assert_int_equal(sv.n, 2);
	assert_int_equal(spanv_append(&sv, &(struct span){ &area, 512, 10 }), -ENOBUFS);
	assert_int_equal(sv.len, 138);
	/* The last one still grows. */
	assert_int_equal(spanv_append(&sv, &(struct span){ &area, 266, 2 }), 0);
	assert_int_equal(sv.len, 140);
	spanv_clear(&sv);
	assert_int_equal(sv.n, 0);
	assert_int_equal(sv.len, 0);
}

/* As an iovec of addresses, less where the area begins; no memory is looked at. */
static void offsets_are_places_in_the_area(void **state)
{
	struct unit_random r = { 5 };

	(void)state;
	for (int round = 0; round < 2000; round++) {
		struct iovec iov[MAX_SPANS], places[MAX_SPANS];
		uint32_t skip = unit_random_below(&r, DATA_BYTES);
		uint32_t len = unit_random_below(&r, DATA_BYTES - skip + 1);
		struct span room[MAX_SPANS];
		struct spanv sv;
		int n;

		vector_scatter(&sv, room, &r);
		n = spanv_iovec(&sv, skip, len, iov, MAX_SPANS);
		area.faces = 0;
		assert_int_equal(spanv_offsets(&sv, skip, len, places, MAX_SPANS), n);
		area.faces = AREA_FACE_CPU;
		for (int i = 0; i < n; i++) {
			assert_ptr_equal(memory + (uintptr_t)places[i].iov_base, iov[i].iov_base);
			assert_int_equal(places[i].iov_len, iov[i].iov_len);
		}
		if (n > 1)
			assert_int_equal(spanv_offsets(&sv, skip, len, places, n - 1), -ENOBUFS);
		assert_int_equal(spanv_fit(&sv, skip, len, (uint32_t)MAX(n, 1)), len);
		if (n > 1)
			assert_int_equal(spanv_fit(&sv, skip, len, (uint32_t)n - 1),
					 len - places[n - 1].iov_len);
	}
}

static void append_does_not_merge_areas(void **state)
{
	struct area other = area;
	struct span room[2];
	struct spanv sv;

	(void)state;
	spanv_init(&sv, room, 2);
	assert_int_equal(spanv_append(&sv, &(struct span){ &area, 0, 64 }), 0);
	assert_int_equal(spanv_append(&sv, &(struct span){ &other, 64, 64 }), 0);
	assert_int_equal(sv.n, 2);
}

static void write_then_read_any_part(void **state)
{
	struct unit_random r = { 1 };

	(void)state;
	for (int round = 0; round < 2000; round++) {
		char model[DATA_BYTES], piece[DATA_BYTES], back[DATA_BYTES];
		uint32_t offset = unit_random_below(&r, DATA_BYTES + 1);
		uint32_t len = unit_random_below(&r, DATA_BYTES - offset + 1);
		struct span room[MAX_SPANS];
		struct spanv sv;

		vector_scatter(&sv, room, &r);
		for (int i = 0; i < DATA_BYTES; i++) {
			model[i] = (char)unit_random(&r);
			piece[i] = (char)unit_random(&r);
		}
		spanv_write(&sv, 0, model, DATA_BYTES);
		spanv_write(&sv, offset, piece, len);
		memcpy(model + offset, piece, len);
		spanv_read(&sv, 0, back, DATA_BYTES);
		assert_memory_equal(back, model, DATA_BYTES);
		assert_int_equal(crc32c_final(spanv_crc32c(&sv, offset, len, CRC32C_INIT)),
				 crc32c(model + offset, len));
		spanv_zero(&sv, offset, len);
		memset(model + offset, 0, len);
		memset(back, 0xff, DATA_BYTES);
		spanv_stream(&sv, 0, back, DATA_BYTES);
		assert_memory_equal(back, model, DATA_BYTES);
	}
}

static void iovec_describes_the_same_bytes(void **state)
{
	struct unit_random r = { 2 };

	(void)state;
	for (int round = 0; round < 2000; round++) {
		uint32_t offset = unit_random_below(&r, DATA_BYTES + 1);
		uint32_t len = unit_random_below(&r, DATA_BYTES - offset + 1), at = 0;
		char part[DATA_BYTES];
		struct span room[MAX_SPANS];
		struct iovec iov[MAX_SPANS];
		struct spanv sv;
		int n;

		for (size_t i = 0; i < sizeof(memory); i++)
			memory[i] = (char)unit_random(&r);
		vector_scatter(&sv, room, &r);
		spanv_read(&sv, offset, part, len);
		n = spanv_iovec(&sv, offset, len, iov, MAX_SPANS);
		assert_in_range(n, 0, MAX_SPANS);
		for (int i = 0; i < n; i++) {
			assert_true(iov[i].iov_len > 0);
			assert_memory_equal(part + at, iov[i].iov_base, iov[i].iov_len);
			at += (uint32_t)iov[i].iov_len;
		}
		assert_int_equal(at, len);
		if (n > 0)
			assert_int_equal(spanv_iovec(&sv, offset, len, iov, n - 1), -ENOBUFS);
	}
}

static void compare_finds_the_first_difference(void **state)
{
	static char memory2[AREA_BYTES];
	struct area area2 = { .faces = AREA_FACE_CPU, .base = memory2, .size = AREA_BYTES };
	struct unit_random r = { 3 };

	(void)state;
	for (int round = 0; round < 2000; round++) {
		char data[DATA_BYTES];
		struct span room_a[MAX_SPANS], room_b[MAX_SPANS];
		struct spanv a, b;
		uint32_t at = unit_random_below(&r, DATA_BYTES);
		uint32_t len = unit_random_below(&r, DATA_BYTES + 1);

		for (int i = 0; i < DATA_BYTES; i++)
			data[i] = (char)unit_random(&r);
		vector_scatter(&a, room_a, &r);
		vector_scatter(&b, room_b, &r);
		for (uint32_t i = 0; i < b.n; i++)
			b.v[i].area = &area2;
		spanv_write(&a, 0, data, DATA_BYTES);
		spanv_write(&b, 0, data, DATA_BYTES);
		assert_int_equal(spanv_compare(&a, &b, DATA_BYTES), -1);
		data[at] = (char)~data[at];
		spanv_write(&b, at, data + at, 1);
		assert_int_equal(spanv_compare(&a, &b, len), at < len ? (int64_t)at : -1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(append_merges_what_touches),
		cmocka_unit_test(offsets_are_places_in_the_area),
		cmocka_unit_test(append_does_not_merge_areas),
		cmocka_unit_test(write_then_read_any_part),
		cmocka_unit_test(iovec_describes_the_same_bytes),
		cmocka_unit_test(compare_finds_the_first_difference),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
