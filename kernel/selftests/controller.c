/* SPDX-License-Identifier: GPL-2.0-only */
#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/nvme_ioctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "controller.h"
#include "disk.h"
#include "selftest.h"

#define PCI_DEVICES "/sys/bus/pci/devices/"

enum {
	PCI_COMMAND = 4,		/* offset in the configuration space */
	PCI_COMMAND_MEMORY = 1 << 1,
	NVME_IDENTIFY = 0x06,
	NVME_IDENTIFY_CONTROLLER = 1,
	NVME_NAMESPACE_ATTACHMENT = 0x15,
	NVME_NAMESPACE_DETACH = 1,
	NVME_CNTLID = 78,		/* offsets in the Identify Controller data */
	NVME_OACS = 256,
	NVME_OACS_NAMESPACES = 1 << 3,
	NVME_DATA_LEN = 4096,
	PATH_LEN = 256,
};

/* Writes by a child. 0, the negative errno of the write, or -ETIME: the child hangs and is left. */
static int text_write_within(const char *path, const char *text, unsigned int ms)
{
	uint64_t end_ms = now_ms() + ms;
	int status = 0;
	pid_t child = fork();

	if (child < 0)
		fatal("fork(): %s", result_text(-errno));
	if (!child)
		_exit(-text_write(path, text));
	while (waitpid(child, &status, WNOHANG) == 0) {
		if (now_ms() >= end_ms)
			return -ETIME;
		sleep_ms(1);
	}
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EINTR;
}

/* The first entry of a directory whose name begins with prefix. */
static bool entry_find(const char *dir_path, const char *prefix, char *name, size_t len)
{
	DIR *dir = opendir(dir_path);
	struct dirent *entry;
	bool found = false;

	if (!dir)
		return false;
	while (!found && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, prefix, strlen(prefix)) || strlen(entry->d_name) >= len)
			continue;
		strcpy(name, entry->d_name);
		found = true;
	}
	closedir(dir);
	return found;
}

/* controller->name is given. Whether it is on the PCI bus. */
static bool address_find(struct controller *controller)
{
	char path[PATH_LEN], real[PATH_MAX], *base;

	snprintf(path, sizeof(path), "/sys/class/nvme/%s/device", controller->name);
	if (!realpath(path, real))
		return false;
	base = strrchr(real, '/') + 1;
	if (strlen(base) >= sizeof(controller->address) || strchr(base, ':') == NULL)
		return false;
	strcpy(controller->address, base);
	return true;
}

static bool controller_named(const char *name, struct controller *controller)
{
	if (strlen(name) >= sizeof(controller->name))
		return false;
	strcpy(controller->name, name);
	return address_find(controller);
}

/* The subsystem's directory has one link for each controller. */
static unsigned int subsystem_controllers(const char *subsystem,
					  struct controller controllers[CONTROLLERS_MAX])
{
	DIR *dir = opendir(subsystem);
	struct dirent *entry;
	unsigned int nr = 0;

	if (!dir)
		return 0;
	while (nr < CONTROLLERS_MAX && (entry = readdir(dir))) {
		unsigned int instance;
		char rest;

		if (sscanf(entry->d_name, "nvme%u%c", &instance, &rest) == 1 &&
		    controller_named(entry->d_name, &controllers[nr]))
			nr++;
	}
	closedir(dir);
	return nr;
}

unsigned int controllers_of(int fd, struct controller controllers[CONTROLLERS_MAX])
{
	char path[PATH_LEN], real[PATH_MAX], *base;
	unsigned int nr;
	struct stat st;

	if (fstat(fd, &st))
		fatal("fstat(): %s", result_text(-errno));
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/device", major(st.st_rdev),
		 minor(st.st_rdev));
	if (!realpath(path, real))
		fatal("%s: %s: is it an NVMe namespace?", path, result_text(-errno));
	base = strrchr(real, '/') + 1;
	nr = controller_named(base, &controllers[0]) ? 1 : subsystem_controllers(real, controllers);
	if (!nr)
		fatal("%s: no NVMe controller on the PCI bus", real);
	return nr;
}

/* The controller at the place on the bus, with the name that it has now. */
static bool controller_find(const char *address, struct controller *controller)
{
	char path[PATH_LEN], name[CONTROLLER_NAME_LEN];

	snprintf(path, sizeof(path), PCI_DEVICES "%s/nvme", address);
	return entry_find(path, "nvme", name, sizeof(name)) && controller_named(name, controller);
}

static bool is_live(const struct controller *controller)
{
	char path[PATH_LEN], state[32];

	snprintf(path, sizeof(path), "/sys/class/nvme/%s/state", controller->name);
	return line_read(path, state, sizeof(state)) == 0 && strcmp(state, "live") == 0;
}

bool check_controller_live(const struct controller *controller)
{
	uint64_t end_ms = now_ms() + CONTROLLER_MS_MAX;

	while (!is_live(controller) && now_ms() < end_ms)
		sleep_ms(1);
	return check(is_live(controller), "%s is live", controller->name);
}

bool check_controller_reset(const struct controller *controller)
{
	char path[PATH_LEN];

	snprintf(path, sizeof(path), "/sys/class/nvme/%s/reset_controller", controller->name);
	return check_eq(text_write_within(path, "1", CONTROLLER_MS_MAX), 0, "reset of %s",
			controller->name) && check_controller_live(controller);
}

bool check_controller_removed(const struct controller *controller)
{
	char path[PATH_LEN];

	snprintf(path, sizeof(path), PCI_DEVICES "%s/remove", controller->address);
	return check_eq(text_write_within(path, "1", CONTROLLER_MS_MAX), 0, "removal of %s at %s",
			controller->name, controller->address);
}

bool check_controller_returned(struct controller *controller)
{
	uint64_t end_ms = now_ms() + CONTROLLER_MS_MAX;
	char address[CONTROLLER_NAME_LEN];
	int rc = text_write_within("/sys/bus/pci/rescan", "1", CONTROLLER_MS_MAX);

	strcpy(address, controller->address);
	if (!check_eq(rc, 0, "rescan of the bus"))
		return false;
	while (!controller_find(address, controller)) {
		if (now_ms() >= end_ms)
			return check(false, "a controller at %s again", address);
		sleep_ms(1);
	}
	return check_controller_live(controller);
}

void controller_mute(const struct controller *controller)
{
	char path[PATH_LEN];
	uint16_t command;
	int fd;

	snprintf(path, sizeof(path), PCI_DEVICES "%s/config", controller->address);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 || pread(fd, &command, sizeof(command), PCI_COMMAND) != sizeof(command))
		fatal("%s: %s", path, result_text(-errno));
	command = htole16((uint16_t)(le16toh(command) & ~PCI_COMMAND_MEMORY));
	if (pwrite(fd, &command, sizeof(command), PCI_COMMAND) != sizeof(command))
		fatal("%s: %s", path, result_text(-errno));
	close(fd);
}

bool check_controller_device(const struct controller *controller, char path[DEVICE_PATH_LEN])
{
	uint64_t end_ms = now_ms() + CONTROLLER_MS_MAX;
	char dir[PATH_LEN], prefix[CONTROLLER_NAME_LEN + 2], name[CONTROLLER_NAME_LEN];
	int fd;

	snprintf(dir, sizeof(dir), "/sys/class/nvme/%s", controller->name);
	snprintf(prefix, sizeof(prefix), "%sn", controller->name);
	while (!entry_find(dir, prefix, name, sizeof(name))) {
		if (now_ms() >= end_ms)
			return check(false, "a namespace of %s", controller->name);
		sleep_ms(1);
	}
	snprintf(path, DEVICE_PATH_LEN, "/dev/%s", name);
	/* The node is there a little before the disk behind it. */
	while ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0 && now_ms() < end_ms)
		sleep_ms(1);
	if (fd >= 0)
		close(fd);
	return check(fd >= 0, "%s is there", path);
}

long controller_path_requests(const struct controller *controller)
{
	char dir[PATH_LEN], name[CONTROLLER_NAME_LEN], path[2 * PATH_LEN], line[PATH_LEN];
	unsigned long reads, writes;

	snprintf(dir, sizeof(dir), "/sys/class/nvme/%s", controller->name);
	/* as nvme0c1n1: the numbers of subsystem, controller and namespace */
	if (!entry_find(dir, "nvme", name, sizeof(name)) || !strchr(name, 'c'))
		return -1;
	snprintf(path, sizeof(path), "%s/%s/stat", dir, name);
	if (line_read(path, line, sizeof(line)) ||
	    sscanf(line, "%lu %*u %*u %*u %lu", &reads, &writes) != 2)
		return -1;
	return (long)(reads + writes);
}

static int admin_command(int fd, struct nvme_admin_cmd *cmd)
{
	int rc = ioctl(fd, NVME_IOCTL_ADMIN_CMD, cmd);

	return rc < 0 ? -errno : rc;
}

/* Fills the list with the one controller. 0 or what controller_namespace_attach() returns. */
static int controller_list_fill(int fd, uint8_t *data)
{
	struct nvme_admin_cmd identify = { .opcode = NVME_IDENTIFY, .addr = (uintptr_t)data,
					   .data_len = NVME_DATA_LEN,
					   .cdw10 = NVME_IDENTIFY_CONTROLLER };
	uint16_t oacs, cntlid, one = htole16(1);
	int rc = admin_command(fd, &identify);

	if (rc)
		return rc;
	memcpy(&oacs, data + NVME_OACS, sizeof(oacs));
	memcpy(&cntlid, data + NVME_CNTLID, sizeof(cntlid));
	if (!(le16toh(oacs) & NVME_OACS_NAMESPACES))
		return -EOPNOTSUPP;
	memset(data, 0, NVME_DATA_LEN);
	memcpy(data, &one, sizeof(one));
	memcpy(data + sizeof(one), &cntlid, sizeof(cntlid));
	return 0;
}

int controller_namespace_attach(const struct controller *controller, uint32_t nsid, bool attach)
{
	uint8_t *data = plain_alloc(NVME_DATA_LEN);
	struct nvme_admin_cmd cmd = { .opcode = NVME_NAMESPACE_ATTACHMENT, .nsid = nsid,
				      .addr = (uintptr_t)data, .data_len = NVME_DATA_LEN,
				      .cdw10 = attach ? 0 : NVME_NAMESPACE_DETACH };
	char path[DEVICE_PATH_LEN];
	int fd, rc;

	snprintf(path, sizeof(path), "/dev/%s", controller->name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	rc = fd < 0 ? -errno : controller_list_fill(fd, data);
	if (!rc)
		rc = admin_command(fd, &cmd);
	if (fd >= 0)
		close(fd);
	free(data);
	return rc;
}

uint32_t device_namespace_id(int fd)
{
	int nsid = ioctl(fd, NVME_IOCTL_ID);

	if (nsid <= 0)
		fatal("namespace identifier: %s", result_text(nsid ? -errno : 0));
	return (uint32_t)nsid;
}

void device_timeout_set(int fd, unsigned int ms)
{
	char path[PATH_LEN], text[16];
	struct stat st;
	int rc;

	if (fstat(fd, &st))
		fatal("fstat(): %s", result_text(-errno));
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/queue/io_timeout", major(st.st_rdev),
		 minor(st.st_rdev));
	snprintf(text, sizeof(text), "%u", ms);
	rc = text_write(path, text);
	if (rc)
		fatal("%s: %s", path, result_text(rc));
}
