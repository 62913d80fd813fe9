/* SPDX-License-Identifier: BSD-3-Clause */
/* Opening by name, and what ram and null refuse. */
#include "backend_rig.h"

#include <errno.h>

static void every_backend_is_found_by_its_name(void **state)
{
	(void)state;
	for (const struct backend_ops *const *ops = backend_registry; *ops; ops++)
		assert_ptr_equal(backend_find((*ops)->name), *ops);
	assert_null(backend_find("tape"));
	/* The wrapper comes with rules, not by name. */
	assert_null(backend_find("fault"));
}

static void an_unknown_backend_names_the_known_ones(void **state)
{
	struct config_namespace config = rig_config("tape");
	char err[BACKEND_ERROR_MAX];

	(void)state;
	rig_refused(&config, -EINVAL, err);
	assert_contains(err, "\"tape\": use one of block, file, ram, null");
}

static void a_default_has_no_place_in_a_file(void **state)
{
	struct config_namespace config = rig_config("tape");
	struct backend *backend;
	char err[BACKEND_ERROR_MAX];

	(void)state;
	config.where = (struct config_where){ 0 };
	assert_int_equal(backend_open(&config, &backend, err, sizeof(err)), -EINVAL);
	assert_contains(err, "(default)");
}

static void a_size_is_needed(void **state)
{
	static const char *const names[] = { "ram", "null" };
	char err[BACKEND_ERROR_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct config_namespace config = rig_config(names[i]);

		rig_refused(&config, -EINVAL, err);
		assert_contains(err, "add size = ");
		config.size = 4096 + 100;
		rig_refused(&config, -EINVAL, err);
		assert_contains(err, "no multiple of the block size 512");
		config.size = 1 << 20;
		config.block_size = 1000;
		rig_refused(&config, -EINVAL, err);
		assert_contains(err, "block_size = 1000");
		config.block_size = 1 << 17;
		rig_refused(&config, -EINVAL, err);
		config.block_size = 256;
		rig_refused(&config, -EINVAL, err);
	}
}

static void too_much_ram_says_what_to_lower(void **state)
{
	struct config_namespace config = rig_config("ram");
	char err[BACKEND_ERROR_MAX];

	(void)state;
	config.size = UINT64_C(1) << 46;
	rig_refused(&config, -ENOMEM, err);
	assert_contains(err, "64 TiB");
	assert_contains(err, "lower size of the namespace");
	/* What is never touched may be as large as anybody likes. */
	strcpy(config.backend, "null");
	{
		struct backend *backend;

		assert_int_equal(backend_open(&config, &backend, err, sizeof(err)), 0);
		assert_int_equal(backend_size(backend), UINT64_C(1) << 46);
		backend->ops->close(backend);
	}
}

static void null_lends_no_memory_for_writing(void **state)
{
	struct config_namespace config = rig_config("null");
	struct backend *backend;
	struct span span;
	char err[BACKEND_ERROR_MAX];

	(void)state;
	config.size = UINT64_C(1) << 30;
	config.read_only = true;
	assert_int_equal(backend_open(&config, &backend, err, sizeof(err)), 0);
	assert_true(backend->limits.read_only);
	assert_int_equal(backend->ops->map(backend, 0, 512, true, &span), -ENOTSUP);
	assert_int_equal(
		backend->ops->map(backend, (UINT64_C(1) << 30) - 512, MAX_TRANSFER, false, &span),
		0);
	assert_true(span.offset + span.len <= span.area->size);
	backend->ops->close(backend);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_backend_is_found_by_its_name),
		cmocka_unit_test(an_unknown_backend_names_the_known_ones),
		cmocka_unit_test(a_default_has_no_place_in_a_file),
		cmocka_unit_test(a_size_is_needed),
		cmocka_unit_test(too_much_ram_says_what_to_lower),
		cmocka_unit_test(null_lends_no_memory_for_writing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
