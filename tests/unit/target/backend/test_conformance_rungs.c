/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The conformance suite on one storage rung after the other. Without arguments over a file, on the
 * rungs that need nothing special. As `test_conformance_rungs DEVICE RUNG...` over the begin of a
 * block device, whose data it destroys, on the rungs named as `sluicectl datapath` does.
 */
#include "conformance.h"

static char dir[] = "/var/tmp/sluice-rungs-XXXXXX";
static char path[64];

static enum datapath_storage rung_named(const char *name)
{
	unsigned i = 0;

	while (i < DATAPATH_STORAGE_RUNGS &&
	       strcmp(name, datapath_storage_name((enum datapath_storage)i)))
		i++;
	return (enum datapath_storage)i;
}

static struct conformance_case case_for(enum datapath_storage rung)
{
	return (struct conformance_case){
		.name = datapath_storage_name(rung),
		.backend = "file",
		.path = path,
		.size = DEVICE_BYTES,
		.rung = rung,
		.persistent = true,
		.direct = true,
		.exclusive = true,
	};
}

static int run_on_file(void)
{
	struct conformance_case cases[] = {
		case_for(DATAPATH_STORAGE_FIXED),
		case_for(DATAPATH_STORAGE_PLAIN),
		case_for(DATAPATH_STORAGE_BOUNCE),
	};
	int rc;

	/* What wraps a backend passes on how I/O goes. */
	cases[0].fault = "any delay=200us every=5";

	if (!mkdtemp(dir))
		return 1;
	snprintf(path, sizeof(path), "%s/volume", dir);
	rc = conformance_run(cases, ARRAY_SIZE(cases));
	unlink(path);
	rmdir(dir);
	return rc;
}

/* Does the case get its rung? Else says why not. */
static bool rung_there(const struct conformance_case *c)
{
	uint64_t bytes[DATAPATH_STORAGE_RUNGS];
	struct fixture f = { .c = c };
	struct datapath got;

	fixture_config(&f);
	rig_open(&f.rig);
	rig_path(&f.rig, &got, bytes);
	if (got.storage != c->rung)
		printf("skipped: %s: rung %s instead of %s: %s\n", c->path,
		       datapath_storage_name(got.storage), c->name, got.storage_why);
	rig_close(&f.rig);
	return got.storage == c->rung;
}

static int run_on_device(const char *device, char **rungs, int n)
{
	struct conformance_case cases[DATAPATH_STORAGE_RUNGS];

	if (n > (int)ARRAY_SIZE(cases))
		return 2;
	for (int i = 0; i < n; i++) {
		enum datapath_storage rung = rung_named(rungs[i]);

		if (rung >= DATAPATH_STORAGE_MEMORY) {
			fprintf(stderr, "%s: no storage rung that does I/O is called so\n", rungs[i]);
			return 2;
		}
		cases[i] = case_for(rung);
		cases[i].backend = "block";
		cases[i].path = device;
		cases[i].size = 0;
		cases[i].larger = true;
		if (!rung_there(&cases[i]))
			return UNIT_SKIPPED;
	}
	return conformance_run(cases, (size_t)n);
}

int main(int argc, char **argv)
{
	return argc > 1 ? run_on_device(argv[1], argv + 2, argc - 2) : run_on_file();
}
