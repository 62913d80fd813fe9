/* SPDX-License-Identifier: BSD-3-Clause */
/* The small ones: wire integers, lists, CRC32C, copying past the caches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/crc32c.h"
#include "base/endian.h"
#include "base/list.h"
#include "base/stream.h"

static void wire_integers(void **state)
{
	const uint8_t bytes[] = { 0xff, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08 };
	le64_t unaligned;

	(void)state;
	memcpy(&unaligned, bytes + 1, sizeof(unaligned));
	assert_true(le64_get(unaligned) == 0x0807060504030201ull);
	assert_memory_equal(le16(0x1234).b, "\x34\x12", 2);
	assert_memory_equal(le32(0x12345678).b, "\x78\x56\x34\x12", 4);
	assert_int_equal(le16_get(le16(0xfedc)), 0xfedc);
	assert_int_equal(le32_get(le32(0xfedcba98)), 0xfedcba98);
	assert_true(le64_get(le128(UINT64_MAX).lo) == UINT64_MAX);
	assert_true(le64_get(le128(UINT64_MAX).hi) == 0);
}

struct item {
	int value;
	struct list link;
};

static void lists(void **state)
{
	struct item items[4] = { { .value = 0 }, { .value = 1 }, { .value = 2 }, { .value = 3 } };
	struct list a = LIST_INIT(a), b = LIST_INIT(b);
	int sum = 0;

	(void)state;
	assert_null(list_pop(&a));
	for (int i = 0; i < 4; i++)
		list_add_tail(i % 2 ? &b : &a, &items[i].link);
	list_splice_tail(&a, &b);
	assert_true(list_empty(&b));
	list_splice_tail(&a, &b);
	list_for_each(item, &a, struct item, link)
		sum = sum * 10 + item->value;
	assert_int_equal(sum, 213); /* 0, 2, 1, 3 */
	list_for_each_safe(item, &a, struct item, link)
		if (item->value != 1)
			list_del(&item->link);
	assert_ptr_equal(list_first(&a, struct item, link), &items[1]);
	list_del(&items[0].link); /* on no list: harmless */
	list_add_head(&a, &items[0].link);
	assert_ptr_equal(list_pop(&a), &items[0].link);
	assert_true(list_empty(&items[0].link));
}

/* The values along @list, and back again, as decimal digits. */
static int digits(const struct list *list)
{
	int there = 0, back = 0, unit = 1;

	for (const struct list *node = list->next; node != list; node = node->next)
		there = there * 10 + list_entry(node, const struct item, link)->value;
	for (const struct list *node = list->prev; node != list; node = node->prev, unit *= 10)
		back += unit * list_entry(node, const struct item, link)->value;
	assert_int_equal(there, back);
	return there;
}

static void lists_cut(void **state)
{
	struct item items[5] = {
		{ .value = 1 }, { .value = 2 }, { .value = 3 }, { .value = 4 }, { .value = 5 }
	};
	struct list a = LIST_INIT(a), b = LIST_INIT(b);

	(void)state;
	for (int i = 0; i < 5; i++)
		list_add_tail(i ? &b : &a, &items[i].link);
	list_cut(&a, &b, &b);
	assert_int_equal(digits(&a), 1);
	assert_int_equal(digits(&b), 2345);
	list_cut(&a, &b, &items[2].link);
	assert_int_equal(digits(&a), 123);
	assert_int_equal(digits(&b), 45);
	list_cut(&a, &b, &items[4].link);
	assert_int_equal(digits(&a), 12345);
	assert_true(list_empty(&b));
}

/* Check values of CRC32C: RFC 3720, appendix B.4. */
static void crc(void **state)
{
	uint8_t buf[32];

	(void)state;
	assert_int_equal(crc32c("123456789", 9), 0xe3069283);
	memset(buf, 0, sizeof(buf));
	assert_int_equal(crc32c(buf, sizeof(buf)), 0x8a9136aa);
	memset(buf, 0xff, sizeof(buf));
	assert_int_equal(crc32c(buf, sizeof(buf)), 0x62a8ab43);
	for (uint8_t i = 0; i < sizeof(buf); i++)
		buf[i] = i;
	assert_int_equal(crc32c(buf, sizeof(buf)), 0x46dd794e);
	for (size_t cut = 0; cut <= sizeof(buf); cut++) {
		uint32_t state1 = crc32c_update(CRC32C_INIT, buf, cut);

		assert_int_equal(crc32c_final(crc32c_update(state1, buf + cut, sizeof(buf) - cut)),
				 0x46dd794e);
	}
}

/* At every alignment, and not a byte beside it. */
static void streams(void **state)
{
	uint8_t from[320], to[384], want[384];

	(void)state;
	for (size_t i = 0; i < sizeof(from); i++)
		from[i] = (uint8_t)(i * 7 + 1);
	for (size_t at = 0; at < 64; at++)
		for (size_t len = 0; len <= sizeof(from) - 7; len++) {
			memset(to, 0, sizeof(to));
			memset(want, 0, sizeof(want));
			memcpy(want + at, from + at % 7, len);
			stream_copy(to + at, from + at % 7, len);
			assert_memory_equal(to, want, sizeof(want));
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wire_integers),
		cmocka_unit_test(lists),
		cmocka_unit_test(lists_cut),
		cmocka_unit_test(crc),
		cmocka_unit_test(streams),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
