/* SPDX-License-Identifier: BSD-3-Clause */
#include "target/backend/drive.h"

#include <errno.h>
#include <libnvme.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/compiler.h"

enum { DRIVE_MAX_NAMES = 8 };

_Static_assert(sizeof(struct nvme_smart_log) == DRIVE_SMART_LOG_BYTES, "SMART / health log");

/* Fixed-width fields of the drive are padded by spaces, and not terminated. */
static void field_copy(char *to, const char *from, size_t width)
{
	memcpy(to, from, width);
	to[width] = '\0';
	while (width && (to[width - 1] == ' ' || !to[width - 1]))
		to[--width] = '\0';
}

void drive_identify(int fd, bool whole, struct backend_identity *identity)
{
	struct nvme_id_ctrl ctrl;
	struct nvme_id_ns ns;
	__u32 nsid;

	*identity = (struct backend_identity){ 0 };
	/* Fails for whatever is no NVMe namespace. */
	if (nvme_get_nsid(fd, &nsid) || nvme_identify_ctrl(fd, &ctrl))
		return;
	field_copy(identity->serial, ctrl.sn, sizeof(ctrl.sn));
	field_copy(identity->model, ctrl.mn, sizeof(ctrl.mn));
	field_copy(identity->firmware, ctrl.fr, sizeof(ctrl.fr));
	identity->valid = true;
	if (!whole || nvme_identify_ns(fd, nsid, &ns))
		return;
	memcpy(identity->nguid, ns.nguid, sizeof(identity->nguid));
	memcpy(identity->eui64, ns.eui64, sizeof(identity->eui64));
}

int drive_smart(int fd, void *log)
{
	int rc;

	errno = 0;
	rc = nvme_get_log_smart(fd, NVME_NSID_ALL, true, log);
	/* Positive: the drive refused with an NVMe status. */
	if (rc > 0)
		return -EREMOTEIO;
	return rc ? -errno : 0;
}

/* Names of block devices that were found, each once. */
struct names {
	char name[DRIVE_MAX_NAMES][32];
	unsigned n;
	unsigned drives;
};

/*
 * Notes @ns. The paths below a multipath device ("nvme0c0n1") are no block devices of their own.
 */
static void names_add(struct names *names, nvme_ns_t ns)
{
	const char *name = nvme_ns_get_name(ns);

	if (!name || strchr(name + 4, 'c') || names->n == DRIVE_MAX_NAMES)
		return;
	for (unsigned i = 0; i < names->n; i++) {
		if (!strcmp(names->name[i], name))
			return;
	}
	snprintf(names->name[names->n++], sizeof(names->name[0]), "%s", name);
}

static bool ctrl_matches(nvme_ctrl_t ctrl, const char *serial)
{
	const char *has = nvme_ctrl_get_serial(ctrl);
	size_t len = strlen(serial);

	return has && !strncmp(has, serial, len) && strspn(has + len, " ") == strlen(has + len);
}

static void subsystem_scan(nvme_subsystem_t subsystem, const char *serial, struct names *names)
{
	bool found = false;
	nvme_ctrl_t ctrl;
	nvme_ns_t ns;

	nvme_subsystem_for_each_ctrl(subsystem, ctrl) {
		if (!ctrl_matches(ctrl, serial))
			continue;
		found = true;
		names->drives++;
		nvme_ctrl_for_each_ns(ctrl, ns)
			names_add(names, ns);
	}
	/* With multipathing the block devices hang at the subsystem. */
	if (!found)
		return;
	nvme_subsystem_for_each_ns(subsystem, ns)
		names_add(names, ns);
}

static int names_pick(const struct names *names, const char *serial, char *path, size_t pathlen,
		      char *err, size_t errlen)
{
	size_t len;

	if (!names->drives) {
		snprintf(err, errlen,
			 "no NVMe drive has the serial number \"%s\": `nvme list` shows "
			 "those that are there",
			 serial);
		return -ENODEV;
	}
	if (!names->n) {
		snprintf(err, errlen, "the NVMe drive with serial number \"%s\" has no namespace: "
			 "create one, or name another drive", serial);
		return -ENODEV;
	}
	if (names->n == 1) {
		snprintf(path, pathlen, "/dev/%s", names->name[0]);
		return 0;
	}
	snprintf(err, errlen,
		 "the NVMe drive with serial number \"%s\" has several namespaces, name one "
		 "by path:",
		 serial);
	for (unsigned i = 0; i < names->n; i++) {
		len = strlen(err);
		snprintf(err + len, errlen - len, " /dev/%s", names->name[i]);
	}
	return -ENOTUNIQ;
}

int drive_find(const char *serial, char *path, size_t pathlen, char *err, size_t errlen)
{
	struct names names = { .n = 0 };
	nvme_root_t root = nvme_scan(NULL);
	nvme_subsystem_t subsystem;
	nvme_host_t host;

	if (!root) {
		snprintf(err, errlen, "cannot look for NVMe drives: out of memory, or no sysfs");
		return -ENODEV;
	}
	nvme_for_each_host(root, host) {
		nvme_for_each_subsystem(host, subsystem)
			subsystem_scan(subsystem, serial, &names);
	}
	nvme_free_tree(root);
	return names_pick(&names, serial, path, pathlen, err, errlen);
}
