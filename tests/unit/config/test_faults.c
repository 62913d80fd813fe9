/* SPDX-License-Identifier: BSD-3-Clause */
/* Every way in which a configuration can be wrong, and what a user is told about it. */
#include <errno.h>

#include "config/faults.h"
#include "faults.h"

#define NQN	  "nqn.2020-01.com.example:a"
#define LISTENER  "[listener a]\n"		      /* line 1 */
#define SUBSYSTEM LISTENER "[subsystem " NQN "]\n"    /* line 2 */
#define NAMESPACE SUBSYSTEM "[namespace " NQN "/1]\n" /* line 3 */
#define SECOND	  "[namespace " NQN "/2]\n"
#define UUID	  "2b1a3c4d-5e6f-4071-8293-a4b5c6d7e8f9"
#define X100                                                 \
	"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" \
	"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static const struct fault_case {
	const char *text;
	unsigned n;	      /* messages */
	const char *parts[4]; /* what they hold */
} cases[] = {
	/* Lines */
	{ LISTENER "port\n", 1, { "t.conf:2: ", "neither [section] nor key = value", "correct" } },
	{ LISTENER "port 4420\n[daemon]\n", 1, { "t.conf:2: ", "neither" } },
	{ LISTENER "port", 1, { "t.conf:2: ", "neither" } },
	{ LISTENER "= 5\n", 1, { "t.conf:2: ", "neither" } },
	{ LISTENER "port ; = 5\n", 1, { "t.conf:2: ", "neither" } },
	{ LISTENER "address = 127.0.0.1\n  more\n", 1, { "t.conf:3: ", "neither" } },
	{ LISTENER "port = 1\x01\n", 1, { "t.conf:2: ", "control character 0x01", "remove" } },
	{ LISTENER "port = 1\x7f\n", 1, { "t.conf:2: ", "control character 0x7f" } },
	{ LISTENER "port = 1\r2\n", 1, { "t.conf:2: ", "control character 0x0d" } },
	{ LISTENER "port = " X100 X100 X100 X100 X100 X100 X100 X100 X100 X100 X100 "\n",
	  1,
	  { "t.conf:2: ", "longer than", "shorten" } },
	{ LISTENER "[" X100 X100 X100 X100 X100 X100 X100 X100 X100 X100 X100 "]\n",
	  1,
	  { "t.conf:2: ", "longer than" } },
	{ "port = 1\n" LISTENER, 1, { "t.conf:1: ", "'port' stands in no section", "[daemon]" } },

	/* Section headers */
	{ LISTENER "[daemon\n", 1, { "t.conf:2: ", "ends with ']'", "write such as" } },
	{ LISTENER "[daemon] workers = 1\n", 1, { "t.conf:2: ", "ends with ']'" } },
	{ LISTENER "[\n", 1, { "t.conf:2: ", "ends with ']'" } },
	{ LISTENER "[]\n", 1, { "t.conf:2: ", "no section []", "there are daemon, memory" } },
	{ LISTENER "[deamon]\nworkers = 1\n",
	  1,
	  { "t.conf:2: ", "no section [deamon]", "did you mean [daemon]?" } },
	{ "[listner tcp]\n", 1, { "t.conf:1: ", "did you mean [listener]?" } },
	{ LISTENER "[nic a-name-too-long-for-it]\n", 1, { "t.conf:2: ", "ip link" } },
	{ LISTENER "[nic a/b]\n", 1, { "t.conf:2: ", "ip link" } },
	{ LISTENER "[nic eth0]\nbuffer = 5000\n", 1, { "t.conf:3: ", "buffer" } },
	{ LISTENER "[memory]\nreceive = 8M\n[nic eth0]\nbuffer = 64K\n",
	  1,
	  { "t.conf:5: ", "less than 256 buffers", "raise the other" } },
	{ LISTENER "[global]\n", 1, { "t.conf:2: ", "there are daemon, memory, nic, discovery" } },
	{ LISTENER "[daemon x]\n",
	  1,
	  { "t.conf:2: ", "[daemon] takes no name", "write [daemon]" } },
	{ "[listener]\n", 1, { "t.conf:1: ", "[listener] lacks its NAME", "[listener NAME]" } },
	{ LISTENER "[subsystem]\n", 1, { "t.conf:2: ", "write [subsystem NQN]" } },
	{ LISTENER "[namespace]\n", 1, { "t.conf:2: ", "write [namespace NQN/NSID]" } },
	{ LISTENER "[referral]\n", 1, { "t.conf:2: ", "write [referral NAME]" } },
	{ "[listener a b]\n", 1, { "t.conf:1: ", "'a b' cannot name a listener", "letters" } },
	{ "[listener " X100 "]\n", 1, { "t.conf:1: ", "cannot name a listener", "at most 63" } },
	{ LISTENER "[referral \xc3\xbc]\n", 1, { "t.conf:2: ", "cannot name a referral" } },
	{ LISTENER "[subsystem vol]\n",
	  1,
	  { "t.conf:2: ", "'vol' is not an NVMe Qualified Name", "nqn.2014-08.com.example:name" } },
	{ SUBSYSTEM "[namespace " NQN "]\n", 1, { "t.conf:3: ", "and a number from 1 to 1024" } },
	{ SUBSYSTEM "[namespace " NQN "/0]\n", 1, { "t.conf:3: ", "1 to 1024" } },
	{ SUBSYSTEM "[namespace " NQN "/01]\n", 1, { "t.conf:3: ", "1 to 1024" } },
	{ SUBSYSTEM "[namespace " NQN "/1025]\n", 1, { "t.conf:3: ", "1 to 1024" } },
	{ SUBSYSTEM "[namespace " NQN "/10000000000]\n", 1, { "t.conf:3: ", "1 to 1024" } },
	{ SUBSYSTEM "[namespace " NQN "/1x]\n", 1, { "t.conf:3: ", "1 to 1024" } },
	{ SUBSYSTEM "[namespace vol/1]\n", 1, { "t.conf:3: ", "NQN of its subsystem" } },

	/* Keys */
	{ LISTENER "prot = 1\n",
	  1,
	  { "t.conf:2: ", "[listener] has no key 'prot'", "did you mean 'port'?" } },
	{ SUBSYSTEM "alow_hosts = x\n", 1, { "t.conf:3: ", "did you mean 'allow_host'?" } },
	{ LISTENER "[memory]\nhugepages = 1\n",
	  1,
	  { "t.conf:3: ", "[memory] has no key 'hugepages'",
	    "it has provider, heap, import_socket, per_worker and receive" } },
	{ LISTENER X100 " = 1\n", 1, { "t.conf:2: ", "no key 'xxx", "it has transport, address" } },
	{ LISTENER "port = 1\nport = 2\n",
	  1,
	  { "t.conf:3: ", "'port' was given in line 2 already", "remove one" } },
	{ LISTENER "port = x\nport = 2\n", 2, { "t.conf:2: ", "t.conf:3: " } },
	{ LISTENER "port =\n", 1, { "t.conf:2: ", "'port' in [listener a] has no value" } },
	{ LISTENER "port = ;1\n", 1, { "t.conf:2: ", "has no value", "remove the line" } },
	{ LISTENER "port =;1\n", 1, { "t.conf:2: ", "has no value" } },

	/* Values: one of each type; the limits of each are in test_value.c */
	{ LISTENER "port = 0\n",
	  1,
	  { "t.conf:2: ", "'port = 0' in [listener a] is not valid", "a number from 1 to 65535" } },
	{ LISTENER "port = 70000\n", 1, { "t.conf:2: ", "port = 70000", "1 to 65535" } },
	{ LISTENER "port = 4420 # NVMe\n", 1, { "t.conf:2: ", "a comment behind a value" } },
	{ LISTENER "[daemon]\nworkers = many\n", 1, { "t.conf:3: ", "1 to 64, or auto" } },
	{ LISTENER "in_capsule = 4100\n", 1, { "t.conf:2: ", "0 to 16K", "a multiple of 16" } },
	{ SUBSYSTEM "max_transfer = 12K\n", 1, { "t.conf:3: ", "4K to 1M", "a power of two" } },
	{ LISTENER "[daemon]\ndrain = 10\n", 1, { "t.conf:3: ", "a time with its unit" } },
	{ LISTENER "data_digest = maybe\n", 1, { "t.conf:2: ", "write yes or no" } },
	{ LISTENER "receive = zcrx\n", 1, { "t.conf:2: ", "write auto, recv or zcrx-copy" } },
	{ LISTENER "transport = t c p\n", 1, { "t.conf:2: ", "letters, digits" } },
	{ SUBSYSTEM "serial = 123456789012345678901\n", 1, { "t.conf:3: ", "at most 20 ASCII" } },
	{ LISTENER "address = localhost\n", 1, { "t.conf:2: ", "a numeric IPv4 or IPv6 address" } },
	{ SUBSYSTEM "allow_host = any\n", 1, { "t.conf:3: ", "NVMe Qualified Name" } },
	{ NAMESPACE "backend = file\npath = x\n", 1, { "t.conf:5: ", "an absolute path" } },
	{ NAMESPACE "backend = ram\nsize = 1G\nuuid = 5\n", 1, { "t.conf:6: ", "a UUID" } },
	{ NAMESPACE "backend = ram\nsize = 1G\neui64 = 5\n",
	  1,
	  { "t.conf:6: ", "16 hexadecimal" } },
	{ NAMESPACE
	  "backend = ram\nsize = 1G\n"
	  "fault=1\nfault=2\nfault=3\nfault=4\nfault=5\nfault=6\nfault=7\nfault=8\nfault=9\n",
	  1,
	  { "t.conf:14: ", "too many lines 'fault'", "remove some" } },

	/* What lacks */
	{ "", 1, { "t.conf: ", "no [listener NAME]", "add one, such as [listener tcp]" } },
	{ "[daemon]\n", 1, { "t.conf: ", "no [listener NAME]" } },
	{ NAMESPACE,
	  1,
	  { "t.conf:3: ", "[namespace " NQN "/1] lacks 'backend'", "add 'backend = '" } },
	{ NAMESPACE "backend = block\n", 1, { "t.conf:4: ", "lacks its device", "device_serial" } },
	{ NAMESPACE "backend = file\nsize = 1G\n",
	  1,
	  { "t.conf:4: ", "lacks its file", "path = /" } },
	{ NAMESPACE "backend = ram\n", 1, { "t.conf:3: ", "lacks its size", "size = 1G" } },
	{ NAMESPACE "backend = null\nsize = auto\n", 1, { "t.conf:5: ", "lacks its size" } },
	{ NAMESPACE "backend = ram\nsize = big\n", 1, { "t.conf:5: ", "'size = big'" } },
	{ LISTENER "[referral r]\n", 1, { "t.conf:2: ", "[referral r] lacks 'address'", "add" } },

	/* What does not fit together */
	{ LISTENER "[namespace " NQN "/1]\nbackend = ram\nsize = 1G\n",
	  1,
	  { "t.conf:2: ", "belongs to no subsystem", "add [subsystem " NQN "]" } },
	{ LISTENER "[daemon]\ngroup = disk\n",
	  1,
	  { "t.conf:3: ", "'group' of [daemon]", "add 'user = '" } },
	{ NAMESPACE "backend = block\npath = /dev/x\ndevice_serial = S1\n",
	  1,
	  { "t.conf:6: ", "both 'path' and 'device_serial'", "remove one" } },
	{ NAMESPACE "backend = block\npath = /dev/x\nsize = 1G\n",
	  1,
	  { "t.conf:6: ", "size of its device", "remove 'size'" } },
	{ NAMESPACE "backend = file\npath = /x\ndevice_serial = S1\n",
	  1,
	  { "t.conf:6: ", "which has no 'device_serial'" } },
	{ NAMESPACE "backend = ram\nsize = 1G\npath = /x\n",
	  1,
	  { "t.conf:6: ", "nothing outside of memory", "remove 'path'" } },
	{ NAMESPACE "backend = ram\nsize = 1536\nblock_size = 1K\n",
	  1,
	  { "t.conf:5: ", "not a multiple of its 'block_size'" } },
	{ LISTENER "[listener b]\n",
	  1,
	  { "t.conf:2: ", "'address' of [listener b] is that of [listener a] (t.conf:1)",
	    "cannot share address and port" } },
	{ LISTENER "address = ::1\n[listener b]\naddress = 0::1\n",
	  1,
	  { "t.conf:4: ", "(t.conf:2)", "cannot share address and port" } },
	{ LISTENER "[memory]\nheap = /dev/dma_heap/system\n",
	  1,
	  { "t.conf:3: ", "'heap' of [memory] is '/dev/dma_heap/system'",
	    "write the name alone, such as system" } },
	{ LISTENER "[memory]\nheap = ..\n",
	  1,
	  { "t.conf:3: ", "'heap' of [memory] is '..'", "write the name alone" } },
	{ LISTENER "[memory]\nheap = .\n", 1, { "t.conf:3: ", "is '.'", "the name alone" } },
	{ LISTENER "[memory]\nheap =\n", 1, { "t.conf:3: ", "'heap' in [memory] has no value" } },
	{ LISTENER "[memory]\nprovider = import\n",
	  1,
	  { "t.conf:3: ", "nowhere to ask", "add 'import_socket" } },
	{ LISTENER "[memory]\nprovider = import\nimport_socket = run/x\n",
	  1,
	  { "t.conf:4: ", "an absolute path of at most 107 bytes" } },
	{ LISTENER "r2t_window = 8M\n[memory]\nper_worker = 4M\n",
	  1,
	  { "t.conf:2: ", "'r2t_window' of [listener a] is more than 'per_worker'" } },
	{ LISTENER "[discovery]\nnqn = nqn.2014-08.org.nvmexpress.discovery\n",
	  1,
	  { "t.conf:3: ", "every discovery service has", "remove the line" } },
	{ LISTENER "[subsystem nqn.2014-08.org.nvmexpress.discovery]\n",
	  1,
	  { "t.conf:2: ", "name of the discovery service" } },
	{ SUBSYSTEM "[discovery]\nnqn = " NQN "\n",
	  1,
	  { "t.conf:2: ", "name of the discovery service" } },
	{ SUBSYSTEM "allow_any_host = yes\nallow_host = " NQN "\n",
	  1,
	  { "t.conf:3: ", "admits everybody although", "remove the one or the others" } },
	{ SUBSYSTEM "cntlid_min = 9\ncntlid_max = 8\n",
	  1,
	  { "t.conf:3: ", "'cntlid_min'", "is 9", "'cntlid_max' of 8" } },
	{ NAMESPACE "backend = block\npath = /dev/x\n" SECOND "backend = block\npath = /dev/x\n",
	  1,
	  { "t.conf:8: ", "'path' of [namespace " NQN "/2] is that of [namespace " NQN "/1]",
	    "(t.conf:5)", "a device in two namespaces" } },
	{ NAMESPACE "backend = block\ndevice_serial = S\n" SECOND
		    "backend = block\ndevice_serial = S\n",
	  1,
	  { "t.conf:8: ", "'device_serial'", "a device in two namespaces" } },
	{ NAMESPACE "backend=ram\nsize=1G\nuuid=" UUID "\n" SECOND
		    "backend=ram\nsize=1G\nuuid=" UUID "\n",
	  1,
	  { "t.conf:10: ", "'uuid'", "(t.conf:6)", "give each its own" } },
	{ NAMESPACE "backend=ram\nsize=1G\nnguid=00000000000000000000000000000001\n" SECOND
		    "backend=ram\nsize=1G\nnguid=00000000000000000000000000000001\n",
	  1,
	  { "t.conf:10: ", "'nguid'", "give each its own" } },
	{ NAMESPACE "backend=ram\nsize=1G\neui64=0000000000000001\n" SECOND
		    "backend=ram\nsize=1G\neui64=0000000000000001\n",
	  1,
	  { "t.conf:10: ", "'eui64'", "give each its own" } },
	{ LISTENER "[referral a]\naddress = 192.0.2.1\n[referral b]\naddress = 192.0.2.1\n",
	  1,
	  { "t.conf:5: ", "[referral b]", "(t.conf:3)", "remove one of the two" } },

	/* All of it in one go, and no fault because of another */
	{ "x = 1\n" LISTENER "port = 0\nfoo = 1\n[subsystem x]\nserial = 1\n"
	  "[namespace " NQN "/1]\nbackend = ram\n",
	  5,
	  { "t.conf:1: ", "t.conf:3: ", "t.conf:4: ", "t.conf:5: " } },
};

static void test_cases(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct fault_case *c = &cases[i];
		const struct reports *reports = parse_bad(c->text, strlen(c->text), -EINVAL);

		if (reports->n != c->n)
			fail_msg("%s\ngave %u messages:\n%s", c->text, reports->n, reports->text);
		for (unsigned j = 0; j < ARRAY_SIZE(c->parts) && c->parts[j]; j++) {
			if (!strstr(reports->text, c->parts[j]))
				fail_msg("%s\nlacks '%s':\n%s", c->text, c->parts[j],
					 reports->text);
		}
	}
}

static void test_nul(void **state)
{
	static const char text[] = LISTENER "port = 44\0"
					    "20\n";
	const struct reports *reports;

	(void)state;
	reports = parse_bad(text, sizeof(text) - 1, -EINVAL);
	assert_int_equal(reports->n, 1);
	assert_non_null(strstr(reports->text, "t.conf:2: the line holds control character 0x00"));
}

static void test_many_faults(void **state)
{
	char text[8192] = LISTENER;
	const struct reports *reports;

	(void)state;
	for (unsigned i = 0; i < 200; i++)
		strcat(text, "junk\n");
	reports = parse_bad(text, strlen(text), -EINVAL);
	assert_int_equal(reports->n, FAULTS_MAX + 1);
	assert_non_null(strstr(reports->text, "t.conf:51: "));
	assert_null(strstr(reports->text, "t.conf:52: "));
	assert_non_null(strstr(reports->text, "more faults than are worth listing"));
}

/* One section more than @max, each from @format with its number, is refused where it stands. */
static void bound_check(const char *format, unsigned max, const char *message)
{
	size_t size = 128 * ((size_t)max + 2), len = 0;
	char *text = malloc(size), where[32];
	const struct reports *reports;

	assert_non_null(text);
	for (unsigned i = 0; i <= max; i++)
		len += (size_t)snprintf(text + len, size - len, format, i);
	snprintf(where, sizeof(where), "t.conf:%u: ", max + 1);
	reports = parse_bad(text, len, -EINVAL);
	assert_non_null(strstr(reports->text, where));
	assert_non_null(strstr(reports->text, message));
	free(text);
}

static void test_bounds(void **state)
{
	(void)state;
	bound_check("[listener l%u]\n", MAX_LISTENERS, "more than 32 [listener] sections");
	bound_check("[subsystem nqn.2020-01.a:%u]\n", MAX_SUBSYSTEMS, "more than 256 [subsystem]");
	bound_check("[referral r%u]\n", MAX_REFERRALS, "more than 64 [referral] sections");
	bound_check("[namespace nqn.2020-01.a:%u/1]\n", CONFIG_NAMESPACES_MAX,
		    "more than 4096 [namespace] sections");
}

static void test_text_size(void **state)
{
	char *text = malloc(CONFIG_FILE_BYTES_MAX + 1);
	struct config config;

	(void)state;
	assert_non_null(text);
	memset(text, '#', CONFIG_FILE_BYTES_MAX + 1);
	memcpy(text, LISTENER, strlen(LISTENER));
	assert_int_equal(config_parse(&config, "t.conf", text, CONFIG_FILE_BYTES_MAX, NULL, NULL),
			 0);
	config_free(&config);
	parse_bad(text, CONFIG_FILE_BYTES_MAX + 1, -EFBIG);
	free(text);
}

/* Nobody has to listen, and a failed configuration is empty. */
static void test_no_report(void **state)
{
	struct config config, empty;

	(void)state;
	memset(&empty, 0, sizeof(empty));
	assert_int_equal(config_parse(&config, "t.conf", "[x]\n", 4, NULL, NULL), -EINVAL);
	assert_memory_equal(&config, &empty, sizeof(config));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),	    cmocka_unit_test(test_nul),
		cmocka_unit_test(test_many_faults), cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_text_size),   cmocka_unit_test(test_no_report),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
