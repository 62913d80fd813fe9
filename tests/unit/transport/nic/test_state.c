/* SPDX-License-Identifier: BSD-3-Clause */
/* The state file: it reads back alike, is whole at any time, and nothing in it is believed unseen. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nic_rig.h"
#include "scratch_root.h"
#include "transport/nic/state.h"

enum { LOOPBACK = 1, NOBODY = 65534 };

static struct nic_state note;
static struct nic_plan plan, read_back;
static struct nic_why why;

static int dir_make(void **state)
{
	return scratch_root_make(state) ?: nic_state_open(&note, scratch_root, "eth0", &why);
}

static int dir_remove(void **state)
{
	nic_state_close(&note);
	return scratch_root_remove(state);
}

/* A plan with each kind of step, for an interface that exists: the loopback one has index 1. */
static void plan_fill(void)
{
	struct sockaddr_storage v4 = nic_rig_address("192.0.2.7", 4420);
	struct sockaddr_storage v6 = nic_rig_address("::", 4421);
	struct nic_step steps[] = {
		{ .kind = NIC_STEP_CHANNELS, .combined = true, .from = 8, .to = 16 },
		{ .kind = NIC_STEP_FEATURE, .from = 3, .to = 1, .feature = "rx-gro-hw" },
		{ .kind = NIC_STEP_RINGS,
		  .from = 512,
		  .to = 1024,
		  .split = NIC_SPLIT_OFF,
		  .thresh = 256,
		  .rounded = true },
		{ .kind = NIC_STEP_RINGS, .split = NIC_SPLIT_UNKNOWN },
		{ .kind = NIC_STEP_SPREAD, .from = 128, .count = 8 },
		{ .kind = NIC_STEP_CONTEXT, .to = 4294967295, .first = 8, .count = 8 },
		{ .kind = NIC_STEP_RULE, .rule = nic_rule_of(&v4) },
		{ .kind = NIC_STEP_RULE, .rule = nic_rule_of(&v6) },
	};

	steps[6].rule.to_context = true;
	steps[6].rule.to = 7;
	steps[7].rule.source = 2;
	steps[7].rule.source_mask = 6;
	steps[7].rule.to = 9;
	memset(&plan, 0, sizeof(plan));
	memset(&read_back, 0, sizeof(read_back));
	plan.first = 8;
	plan.count = 8;
	plan.n_steps = ARRAY_SIZE(steps);
	memcpy(plan.step, steps, sizeof(steps));
	plan.former.n = 128;
	for (unsigned i = 0; i < 128; i++)
		plan.former.queue[i] = (uint16_t)(i * 7 % 16);
	note.ifindex = LOOPBACK;
}

static void text_read(char *text, size_t size)
{
	FILE *f = fopen(note.path, "r");
	size_t n = f ? fread(text, 1, size - 1, f) : 0;

	text[n] = '\0';
	if (f)
		fclose(f);
}

static void text_write(const char *text, size_t len)
{
	FILE *f = fopen(note.path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, len, f), len);
	fclose(f);
}

static void all_reads_back_alike(void **state)
{
	struct stat st;

	(void)state;
	plan_fill();
	assert_int_equal(nic_state_load(&note, &read_back, &why), -ENOENT);
	assert_int_equal(nic_state_save(&note, &plan), 0);
	assert_int_equal(stat(note.path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(nic_state_load(&note, &read_back, &why), 0);
	assert_int_equal(read_back.n_steps, plan.n_steps);
	for (unsigned i = 0; i < plan.n_steps; i++)
		assert_memory_equal(&read_back.step[i], &plan.step[i], sizeof(plan.step[i]));
	assert_memory_equal(&read_back.former, &plan.former, sizeof(plan.former));
	assert_int_equal(read_back.first, 8);
	assert_int_equal(read_back.count, 8);
	note.ifindex = 0;
	assert_int_equal(nic_state_load(&note, &read_back, &why), 0);
	assert_int_equal(note.ifindex, LOOPBACK);
	/* Without steps there is no file; that it is gone already is no error. */
	plan.n_steps = 0;
	assert_int_equal(nic_state_save(&note, &plan), 0);
	assert_int_equal(stat(note.path, &st), -1);
	assert_int_equal(nic_state_save(&note, &plan), 0);
}

static void an_interface_that_is_gone_or_another_boot_is_stale(void **state)
{
	char text[16384], *boot;

	(void)state;
	plan_fill();
	/* The loopback interface, whose name is not "eth0": it was renamed, and is found by its number. */
	assert_int_equal(nic_state_save(&note, &plan), 0);
	assert_int_equal(nic_state_load(&note, &read_back, &why), 0);
	note.ifindex = INT32_MAX;
	assert_int_equal(nic_state_save(&note, &plan), 0);
	assert_int_equal(nic_state_load(&note, &read_back, &why), -ESTALE);
	note.ifindex = LOOPBACK;
	assert_int_equal(nic_state_save(&note, &plan), 0);
	text_read(text, sizeof(text));
	boot = strstr(text, "\"boot\":\"");
	assert_non_null(boot);
	boot[8] = boot[8] == '0' ? '1' : '0';
	text_write(text, strlen(text));
	assert_int_equal(nic_state_load(&note, &read_back, &why), -ESTALE);
}

/* Cut anywhere, the file is refused with a sentence, never half believed. */
static void a_file_that_was_cut_is_damaged(void **state)
{
	char text[16384];
	size_t len;

	(void)state;
	plan_fill();
	assert_int_equal(nic_state_save(&note, &plan), 0);
	text_read(text, sizeof(text));
	len = strlen(text);
	for (size_t cut = 1; cut < len; cut += cut < 1200 ? 7 : 61) {
		text_write(text, cut);
		why.s[0] = '\0';
		assert_int_equal(nic_state_load(&note, &read_back, &why), -EBADMSG);
		assert_non_null(strstr(why.s, note.path));
	}
}

static void values_out_of_range_are_damage(void **state)
{
	static const struct {
		const char *from, *to;
	} cases[] = {
		{ "\"version\":2", "\"version\":1" },
		{ "\"interface\":\"eth0\"", "\"interface\":\"eth1\"" },
		{ "\"kind\":\"channels\"", "\"kind\":\"surprise\"" },
		{ "\"rounded\":true", "\"rounded\":1" },
		{ "\"split\":1", "\"split\":3" },
		{ ",\"thresh\":256", "" },
		{ "\"from\":8", "\"from\":-8" },
		{ "\"from\":8", "\"from\":4294967296" },
		{ "\"from\":8", "\"from\":\"8\"" },
		{ "\"port\":4420", "\"port\":65536" },
		{ "\"address\":\"192.0.2.7\"", "\"address\":\"192.0.2\"" },
		{ "\"address\":\"192.0.2.7\"", "\"address\":7" },
		{ "\"count\":8,\"steps\"", "\"count\":65,\"steps\"" },
		{ "\"first\":0,\"count\":8", "\"first\":0,\"count\":0" },
		{ "\"first\":0,\"count\":8", "\"first\":1024,\"count\":8" },
		{ "\"feature\":\"rx-gro-hw\"",
		  "\"feature\":\"a name that is longer than names of features\"" },
		{ "\"former_table\":[0,", "\"former_table\":[65536," },
		{ "\"former_table\":[0,", "\"former_table\":[null," },
		{ "\"former_table\":", "\"table\":" },
		{ ",\"combined\":true", "" },
		{ "\"steps\":[{", "\"steps\":[[],{" },
	};
	char text[16384], changed[16384];

	(void)state;
	plan_fill();
	assert_int_equal(nic_state_save(&note, &plan), 0);
	text_read(text, sizeof(text));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *at = strstr(text, cases[i].from);

		if (!at)
			fail_msg("%s is not in the file", cases[i].from);
		snprintf(changed, sizeof(changed), "%.*s%s%s", (int)(at - text), text, cases[i].to,
			 at + strlen(cases[i].from));
		text_write(changed, strlen(changed));
		if (nic_state_load(&note, &read_back, &why) != -EBADMSG)
			fail_msg("taken: %s", cases[i].to);
	}
}

static void what_is_no_file_is_not_read(void **state)
{
	(void)state;
	assert_int_equal(mkdir(note.path, 0700), 0);
	assert_int_equal(nic_state_load(&note, &read_back, &why), -EBADMSG);
	assert_int_equal(rmdir(note.path), 0);
	assert_int_equal(symlink("/dev/zero", note.path), 0);
	assert_int_equal(nic_state_load(&note, &read_back, &why), -EBADMSG);
	assert_int_equal(unlink(note.path), 0);
}

/* The directory may be the daemon's own user's; who has that must not be able to have root undo things. */
static void what_another_user_wrote_is_not_believed(void **state)
{
	(void)state;
	if (geteuid()) {
		print_message("files of other users are only root's to make\n");
		skip();
	}
	plan_fill();
	assert_int_equal(nic_state_save(&note, &plan), 0);
	assert_int_equal(chown(note.path, NOBODY, NOBODY), 0);
	assert_int_equal(nic_state_load(&note, &read_back, &why), -EBADMSG);
	assert_non_null(strstr(why.s, "of another user"));
	/* Nor a pipe, which nobody would ever write to. */
	assert_int_equal(unlink(note.path), 0);
	assert_int_equal(mkfifo(note.path, 0600), 0);
	assert_int_equal(nic_state_load(&note, &read_back, &why), -EBADMSG);
}

static void a_directory_that_is_missing(void **state)
{
	struct nic_state other;

	(void)state;
	assert_int_equal(nic_state_open(&other, "/nonexistent/dir", "eth0", &why), -ENOENT);
	assert_non_null(strstr(why.s, "/nonexistent/dir"));
}

static void failed_writes_leave_the_former_file(void **state)
{
	char path[NIC_STATE_PATH_MAX + 8];

	(void)state;
	plan_fill();
	assert_int_equal(nic_state_save(&note, &plan), 0);
	/* What the new text would be written to is a directory. */
	snprintf(path, sizeof(path), "%s.new", note.path);
	assert_int_equal(mkdir(path, 0700), 0);
	plan.n_steps = 1;
	assert_true(nic_state_save(&note, &plan) < 0);
	assert_int_equal(nic_state_load(&note, &read_back, &why), 0);
	assert_int_equal(read_back.n_steps, 8);
	assert_int_equal(rmdir(path), 0);
}

/* At its end the daemon has no privileges any more: the file stays then, and says nothing. */
static void without_privileges_the_file_is_emptied(void **state)
{
	bool root = geteuid() == 0;
	struct stat st;

	(void)state;
	plan_fill();
	assert_int_equal(nic_state_save(&note, &plan), 0);
	assert_int_equal(chmod(scratch_root, 0500), 0);
	if (root)
		assert_int_equal(seteuid(NOBODY), 0);
	plan.n_steps = 1;
	assert_true(nic_state_save(&note, &plan) < 0);
	plan.n_steps = 0;
	assert_int_equal(nic_state_save(&note, &plan), 0);
	if (root)
		assert_int_equal(seteuid(0), 0);
	assert_int_equal(chmod(scratch_root, 0700), 0);
	assert_int_equal(stat(note.path, &st), 0);
	assert_int_equal(st.st_size, 0);
	assert_int_equal(nic_state_load(&note, &read_back, &why), -ENOENT);
}

/* In a child: what nic_state_open() gives there, and whom it names. */
static int child_open(const char *name, pid_t named)
{
	pid_t child = fork();
	int status;

	if (!child) {
		struct nic_state other;
		char number[32];
		int rc = nic_state_open(&other, scratch_root, name, &why);

		snprintf(number, sizeof(number), "process %d,", (int)named);
		_exit(rc == 0 ? 0 : rc == -EBUSY && strstr(why.s, number) ? 1 : 2);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WEXITSTATUS(status);
}

static void the_lock_is_of_one_process(void **state)
{
	struct nic_state peek;
	int owner;

	(void)state;
	assert_int_equal(child_open("eth0", getpid()), 1);
	assert_int_equal(child_open("eth1", 0), 0);
	nic_state_close(&note);
	assert_int_equal(child_open("eth0", 0), 0);
	/* The child has ended, and its lock with it. */
	assert_int_equal(nic_state_peek(&peek, scratch_root, "eth0", &owner), 0);
	assert_int_equal(owner, 0);
	nic_state_close(&peek);
	assert_int_equal(nic_state_open(&note, scratch_root, "eth0", &why), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_reads_back_alike, dir_make, dir_remove),
		cmocka_unit_test_setup_teardown(
			an_interface_that_is_gone_or_another_boot_is_stale, dir_make, dir_remove),
		cmocka_unit_test_setup_teardown(what_another_user_wrote_is_not_believed, dir_make,
						dir_remove),
		cmocka_unit_test_setup_teardown(a_file_that_was_cut_is_damaged, dir_make,
						dir_remove),
		cmocka_unit_test_setup_teardown(values_out_of_range_are_damage, dir_make,
						dir_remove),
		cmocka_unit_test_setup_teardown(what_is_no_file_is_not_read, dir_make, dir_remove),
		cmocka_unit_test_setup_teardown(a_directory_that_is_missing, dir_make, dir_remove),
		cmocka_unit_test_setup_teardown(failed_writes_leave_the_former_file, dir_make,
						dir_remove),
		cmocka_unit_test_setup_teardown(without_privileges_the_file_is_emptied, dir_make,
						dir_remove),
		cmocka_unit_test_setup_teardown(the_lock_is_of_one_process, dir_make, dir_remove),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
