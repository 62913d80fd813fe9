/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages: what limits those that peers can cause, and how they come out, as lines and as the journal's records. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/log_journal.h"

#define PERIOD_NS (LOG_PEER_PERIOD_S * UINT64_C(1000000000))

/* ---------------------------------------------------------------------------------------- limits */

/* How many of @n messages at @now_ns pass. */
static unsigned pass(struct log_site *site, uint64_t now_ns, unsigned n, unsigned *left_out)
{
	unsigned passed = 0, one;

	*left_out = 0;
	for (unsigned i = 0; i < n; i++) {
		if (!log_limit_pass(site, now_ns, &one))
			continue;
		passed++;
		*left_out += one;
	}
	return passed;
}

static void test_limit(void **state)
{
	struct log_site one = { .peer = true }, other = { .peer = true };
	uint64_t now_ns = 1000 * PERIOD_NS;
	unsigned left_out;

	(void)state;
	assert_int_equal(pass(&one, now_ns, 50, &left_out), LOG_PEER_BURST);
	assert_int_equal(left_out, 0);
	/* A thread that looked at the clock before, and comes later, begins no period. */
	assert_int_equal(pass(&one, now_ns - 1, 5, &left_out), 0);
	/* The noise of one kind is not in the way of another. */
	assert_int_equal(pass(&other, now_ns, 3, &left_out), 3);
	assert_int_equal(pass(&one, now_ns + PERIOD_NS - 1, 5, &left_out), 0);
	assert_int_equal(pass(&one, now_ns + PERIOD_NS, 1, &left_out), 1);
	assert_int_equal(left_out, 50 - LOG_PEER_BURST + 5 + 5);
	assert_int_equal(pass(&one, now_ns + PERIOD_NS, 1, &left_out), 1);
	assert_int_equal(left_out, 0);
	assert_int_equal(pass(&other, now_ns + PERIOD_NS, 1, &left_out), 1);
	assert_int_equal(left_out, 0);
	/* However long nobody said anything, there is no more in one period. */
	assert_int_equal(pass(&one, now_ns + 100 * PERIOD_NS, 50, &left_out), LOG_PEER_BURST);
}

enum { THREADS = 4, EACH = 10000 };

struct counter {
	struct log_site *site;
	unsigned passed, told;
};

static void *count(void *arg)
{
	struct counter *counter = arg;

	/* Each sees a time of its own go by, as workers do. */
	for (unsigned i = 0; i < EACH; i++) {
		unsigned left_out;

		if (!log_limit_pass(counter->site, PERIOD_NS * (1 + i / 1000), &left_out))
			continue;
		counter->passed++;
		counter->told += left_out;
	}
	return NULL;
}

/* What passed, what was told to be left out, and what still is to be told: that is all. */
static void test_threads(void **state)
{
	struct log_site site = { .peer = true };
	struct counter counters[THREADS] = { 0 };
	pthread_t threads[THREADS];
	unsigned sum = 0;

	(void)state;
	for (unsigned i = 0; i < THREADS; i++) {
		counters[i].site = &site;
		assert_int_equal(pthread_create(&threads[i], NULL, count, &counters[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		sum += counters[i].passed + counters[i].told;
	}
	assert_int_equal(sum + site.left_out, THREADS * EACH);
}

/* ----------------------------------------------------------------------------------------- lines */

static int stderr_before = -1, catcher;

/* Standard error is a pipe until stderr_back(). */
static void stderr_catch(void)
{
	int fds[2];

	assert_return_code(pipe2(fds, O_CLOEXEC | O_NONBLOCK), errno);
	stderr_before = dup(STDERR_FILENO);
	assert_return_code(dup2(fds[1], STDERR_FILENO), errno);
	close(fds[1]);
	catcher = fds[0];
}

/* What was written to it; the caller's next call overwrites it. */
static const char *stderr_back(void)
{
	static char text[65536];
	ssize_t n;

	dup2(stderr_before, STDERR_FILENO);
	close(stderr_before);
	n = read(catcher, text, sizeof(text) - 1);
	close(catcher);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static unsigned count_of(const char *text, const char *piece)
{
	unsigned n = 0;

	for (; (text = strstr(text, piece)); text += strlen(piece))
		n++;
	return n;
}

static void say_one(unsigned i)
{
	log_peer(log_about(.peer = "192.0.2.7:1"), "one kind, %u", i);
}

static void test_lines(void **state)
{
	char many[3 * LOG_TEXT_MAX];
	const char *text;

	(void)state;
	memset(many, 'x', sizeof(many) - 1);
	many[sizeof(many) - 1] = '\0';
	unsetenv("JOURNAL_STREAM");
	log_init(LOG_LEVEL_INFO);
	stderr_catch();
	log_error("an error of %d", 5);
	log_warning_about(log_about(.nsid = 7), "a warning");
	log_info("news");
	log_debug("not wanted");
	log_info("%s", many);
	text = stderr_back();
	assert_ptr_equal(strstr(text, "sluiced: error: an error of 5\nsluiced: warning: a warning\n"
				      "sluiced: news\nsluiced: xxx"),
			 text);
	assert_null(strstr(text, "not wanted"));
	assert_int_equal(text[strlen(text) - 1], '\n');
	assert_int_equal(count_of(text, "x"), LOG_TEXT_MAX - 1);
}

/* Names that hosts make up are in messages: they are no lines of their own, and draw no colours. */
static void test_forged(void **state)
{
	(void)state;
	unsetenv("JOURNAL_STREAM");
	log_init(LOG_LEVEL_INFO);
	stderr_catch();
	log_peer(log_about(), "host %s is \xc3\xbc~", "x\nsluiced: error: \033[1m\r\t\001\037\177y");
	assert_string_equal(stderr_back(), "sluiced: warning: host x?sluiced: error: ?[1m?????y "
					   "is \xc3\xbc~\n");
}

static void test_kinds(void **state)
{
	const char *text;

	(void)state;
	unsetenv("JOURNAL_STREAM");
	log_init(LOG_LEVEL_INFO);
	stderr_catch();
	for (unsigned i = 0; i < 3 * LOG_PEER_BURST; i++)
		say_one(i);
	log_peer(log_about(), "another kind");
	log_warning("what no peer causes");
	text = stderr_back();
	/* Unless a period begins meanwhile, which takes a stopped clock of this machine. */
	assert_in_range(count_of(text, "sluiced: warning: one kind, "), LOG_PEER_BURST,
			2 * LOG_PEER_BURST);
	assert_int_equal(count_of(text, "another kind\n"), 1);
	assert_int_equal(count_of(text, "what no peer causes\n"), 1);
	/* Below the level nothing is counted either. */
	log_set_level(LOG_LEVEL_ERROR);
	stderr_catch();
	say_one(0);
	assert_string_equal(stderr_back(), "");
}

/* --------------------------------------------------------------------------------------- journal */

enum { FIELDS_ROOM = 16, FIELD_ROOM = 2048 };

static char sent[FIELDS_ROOM][FIELD_ROOM];
static unsigned n_sent, records;
static int send_rc;

static int fake_send(const struct iovec *fields, int n)
{
	assert_in_range(n, 1, FIELDS_ROOM);
	n_sent = (unsigned)n;
	records++;
	for (int i = 0; i < n; i++) {
		assert_in_range(fields[i].iov_len, 1, FIELD_ROOM - 1);
		memcpy(sent[i], fields[i].iov_base, fields[i].iov_len);
		sent[i][fields[i].iov_len] = '\0';
	}
	return send_rc;
}

/* The value of the field @name in the last record, or NULL. */
static const char *sent_value(const char *name)
{
	for (unsigned i = 0; i < n_sent; i++)
		if (!strncmp(sent[i], name, strlen(name)) && sent[i][strlen(name)] == '=')
			return sent[i] + strlen(name) + 1;
	return NULL;
}

/* Standard error is caught, and JOURNAL_STREAM names it, plus @behind. */
static void journal_begin(const char *behind)
{
	char stream[64];
	struct stat st;

	stderr_catch();
	assert_return_code(fstat(STDERR_FILENO, &st), errno);
	snprintf(stream, sizeof(stream), "%llu:%llu%s", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino, behind);
	setenv("JOURNAL_STREAM", stream, 1);
	log_init(LOG_LEVEL_INFO);
	records = 0;
	send_rc = 0;
}

static const char *journal_end(void)
{
	log_journal_close();
	unsetenv("JOURNAL_STREAM");
	return stderr_back();
}

static void test_fields(void **state)
{
	(void)state;
	journal_begin("");
	assert_true(log_journal_open(fake_send, "/dev/null"));
	log_warning_about(log_about(.peer = "192.0.2.7:1234", .hostnqn = "nqn.host",
				    .subsystem = "nqn.subsystem", .listener = "a", .nsid = 3,
				    .cntlid = 65519),
			  "host %s did\nsomething\033[31m\177", "x");
	assert_string_equal(journal_end(), "");
	assert_int_equal(records, 1);
	assert_int_equal(n_sent, 12);
	assert_string_equal(sent_value("MESSAGE"), "host x did?something?[31m?");
	assert_string_equal(sent_value("PRIORITY"), "4");
	assert_string_equal(sent_value("SYSLOG_IDENTIFIER"), "sluiced");
	assert_string_equal(sent_value("CODE_FILE"), "tests/unit/target/base/test_log.c");
	assert_string_equal(sent_value("CODE_FUNC"), "test_fields");
	assert_true(atoi(sent_value("CODE_LINE")) > 100);
	assert_string_equal(sent_value("SLUICE_PEER"), "192.0.2.7:1234");
	assert_string_equal(sent_value("SLUICE_HOSTNQN"), "nqn.host");
	assert_string_equal(sent_value("SLUICE_SUBSYSTEM"), "nqn.subsystem");
	assert_string_equal(sent_value("SLUICE_LISTENER"), "a");
	assert_string_equal(sent_value("SLUICE_NSID"), "3");
	assert_string_equal(sent_value("SLUICE_CNTLID"), "65519");
}

static void test_priorities(void **state)
{
	(void)state;
	journal_begin("");
	assert_true(log_journal_open(fake_send, "/dev/null"));
	log_set_level(LOG_LEVEL_DEBUG);
	log_error("e");
	assert_string_equal(sent_value("PRIORITY"), "3");
	/* What is not known is not there. */
	assert_int_equal(n_sent, 6);
	log_info_about(log_about(.peer = ""), "i");
	assert_string_equal(sent_value("PRIORITY"), "6");
	assert_int_equal(n_sent, 6);
	log_debug("d");
	assert_string_equal(sent_value("PRIORITY"), "7");
	assert_int_equal(records, 3);
	assert_string_equal(journal_end(), "");
}

/* Every field as long as it can be: all are there. */
static void test_long_fields(void **state)
{
	char nqn[224], many[2 * LOG_TEXT_MAX];

	(void)state;
	memset(nqn, 'n', sizeof(nqn) - 1);
	nqn[sizeof(nqn) - 1] = '\0';
	memset(many, 'x', sizeof(many) - 1);
	many[sizeof(many) - 1] = '\0';
	journal_begin("");
	assert_true(log_journal_open(fake_send, "/dev/null"));
	log_warning_about(log_about(.peer = nqn, .hostnqn = nqn, .subsystem = nqn, .listener = nqn,
				    .nsid = UINT32_MAX, .cntlid = UINT16_MAX),
			  "%s", many);
	assert_int_equal(n_sent, 12);
	assert_int_equal(strlen(sent_value("MESSAGE")), LOG_TEXT_MAX - 1);
	assert_string_equal(sent_value("SLUICE_LISTENER"), nqn);
	assert_string_equal(sent_value("SLUICE_CNTLID"), "65535");
	assert_string_equal(journal_end(), "");
}

/* What cannot be sent is written, as lines were. */
static void test_journal_fails(void **state)
{
	(void)state;
	journal_begin("");
	assert_true(log_journal_open(fake_send, "/dev/null"));
	send_rc = -ECONNREFUSED;
	log_warning("first");
	send_rc = 0;
	log_warning("second");
	assert_int_equal(records, 2);
	assert_string_equal(journal_end(), "<4>first\n");
}

/* Standard error is something else, or the journal is not there. */
static void test_no_journal(void **state)
{
	static const char *const wrong[] = { "", ":", "1", "1:", "1:2", "x:y", "8:0x1" };

	(void)state;
	journal_begin("");
	assert_false(log_journal_open(fake_send, "/nowhere/socket"));
	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		setenv("JOURNAL_STREAM", wrong[i], 1);
		assert_false(log_journal_open(fake_send, "/dev/null"));
	}
	unsetenv("JOURNAL_STREAM");
	assert_false(log_journal_open(fake_send, "/dev/null"));
	log_info("a line");
	assert_string_equal(journal_end(), "<6>a line\n");
	journal_begin("x");
	assert_false(log_journal_open(fake_send, "/dev/null"));
	assert_string_equal(journal_end(), "");
	assert_int_equal(records, 0);
}

/* That messages are missing is a record of its own, from the same place. */
static void test_left_out(void **state)
{
	struct log_site site = { .file = "f", .func = "g", .line = 9, .peer = true };

	(void)state;
	journal_begin("");
	assert_true(log_journal_open(fake_send, "/dev/null"));
	site.left_out = 5;
	log_message(&site, LOG_LEVEL_WARNING, log_about(), "the next");
	assert_int_equal(records, 2);
	assert_string_equal(sent_value("MESSAGE"), "the next");
	assert_null(sent_value("SLUICE_LEFT_OUT"));
	send_rc = -1;
	site.left_out = 5;
	log_message(&site, LOG_LEVEL_WARNING, log_about(), "the next");
	assert_string_equal(journal_end(), "<4>5 messages of the next one's kind were left out\n"
					   "<4>the next\n");
	journal_begin("");
	assert_true(log_journal_open(fake_send, "/dev/null"));
	log_journal_write(&site, LOG_LEVEL_WARNING, log_about(), 5, "5 were");
	assert_string_equal(sent_value("SLUICE_LEFT_OUT"), "5");
	assert_string_equal(sent_value("CODE_LINE"), "9");
	assert_string_equal(journal_end(), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limit),	    cmocka_unit_test(test_threads),
		cmocka_unit_test(test_lines),	    cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_fields),	    cmocka_unit_test(test_priorities),
		cmocka_unit_test(test_long_fields), cmocka_unit_test(test_journal_fails),
		cmocka_unit_test(test_no_journal),  cmocka_unit_test(test_left_out),
		cmocka_unit_test(test_forged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
