/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/nic/state.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/compiler.h"

enum { STATE_VERSION = 2, STATE_BYTES_MAX = 1 << 20, BOOT_ID_MAX = 40 };

static void boot_id(char id[BOOT_ID_MAX])
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, id, BOOT_ID_MAX - 1);

	if (fd >= 0)
		close(fd);
	id[n > 0 ? n : 0] = '\0';
	id[strcspn(id, "\n")] = '\0';
}

/* ------------------------------------------------------------------------------------ lock and file */

struct file_name {
	char s[IF_NAMESIZE + 16];
};

/* Of the file of that sort: "json", "lock". */
static struct file_name file_name(const struct nic_state *state, const char *sort)
{
	struct file_name name;

	snprintf(name.s, sizeof(name.s), "nic-%s.%s", state->name, sort);
	return name;
}

static int dir_open(struct nic_state *state, const char *dir, const char *name)
{
	memset(state, 0, sizeof(*state));
	state->lock_fd = state->file_fd = -1;
	snprintf(state->name, sizeof(state->name), "%s", name);
	snprintf(state->path, sizeof(state->path), "%s/%s", dir, file_name(state, "json").s);
	state->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return state->dir_fd < 0 ? -errno : 0;
}

int nic_state_peek(struct nic_state *state, const char *dir, const char *name, int *owner)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int rc = dir_open(state, dir, name);

	*owner = 0;
	if (rc)
		return rc;
	state->lock_fd = openat(state->dir_fd, file_name(state, "lock").s,
				O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (state->lock_fd >= 0 && fcntl(state->lock_fd, F_GETLK, &lock) == 0 &&
	    lock.l_type != F_UNLCK)
		*owner = lock.l_pid;
	return 0;
}

int nic_state_open(struct nic_state *state, const char *dir, const char *name, struct nic_why *why)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct file_name file;
	int rc = dir_open(state, dir, name);

	if (rc) {
		snprintf(why->s, sizeof(why->s),
			 "%s, where it is noted what is changed on %s, cannot be opened: %s", dir,
			 name, strerror(-rc));
		return rc;
	}
	file = file_name(state, "lock");
	state->lock_fd =
		openat(state->dir_fd, file.s, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (state->lock_fd >= 0 && fcntl(state->lock_fd, F_SETLK, &lock) == 0)
		return 0;
	rc = -errno;
	if (state->lock_fd >= 0 && (rc == -EAGAIN || rc == -EACCES)) {
		fcntl(state->lock_fd, F_GETLK, &lock);
		snprintf(
			why->s, sizeof(why->s),
			"%s is in use by process %d, which holds %s/%s: end that process, or give this "
			"one another interface",
			name, lock.l_type == F_UNLCK ? 0 : (int)lock.l_pid, dir, file.s);
		rc = -EBUSY;
	} else {
		snprintf(why->s, sizeof(why->s), "%s/%s cannot be locked: %s", dir, file.s,
			 strerror(-rc));
	}
	nic_state_close(state);
	return rc;
}

void nic_state_close(struct nic_state *state)
{
	if (state->file_fd >= 0)
		close(state->file_fd);
	if (state->lock_fd >= 0)
		close(state->lock_fd);
	if (state->dir_fd >= 0)
		close(state->dir_fd);
	state->file_fd = state->lock_fd = state->dir_fd = -1;
}

/* ------------------------------------------------------------------------------------------ writing */

static void put_u32(json_object *object, const char *key, uint32_t value)
{
	json_object_object_add(object, key, json_object_new_int64(value));
}

static void put_flag(json_object *object, const char *key, bool value)
{
	json_object_object_add(object, key, json_object_new_boolean(value));
}

static void put_text(json_object *object, const char *key, const char *text)
{
	json_object_object_add(object, key, json_object_new_string(text));
}

static json_object *rule_json(const struct nic_rule *rule)
{
	json_object *object = json_object_new_object();
	char address[INET6_ADDRSTRLEN];

	put_flag(object, "ipv6", rule->ipv6);
	if (!rule->any_address) {
		inet_ntop(rule->ipv6 ? AF_INET6 : AF_INET, rule->address, address, sizeof(address));
		put_text(object, "address", address);
	}
	put_u32(object, "port", rule->port);
	put_u32(object, "source", rule->source);
	put_u32(object, "source_mask", rule->source_mask);
	put_flag(object, "to_context", rule->to_context);
	put_u32(object, "to", rule->to);
	return object;
}

static json_object *step_json(const struct nic_step *step)
{
	json_object *object = json_object_new_object();

	put_text(object, "kind", nic_step_kind_name(step->kind));
	put_u32(object, "from", step->from);
	put_u32(object, "to", step->to);
	if (step->kind == NIC_STEP_CHANNELS)
		put_flag(object, "combined", step->combined);
	if (step->kind == NIC_STEP_FEATURE)
		put_text(object, "feature", step->feature);
	if (step->kind == NIC_STEP_RINGS) {
		put_u32(object, "split", step->split);
		put_u32(object, "thresh", step->thresh);
		put_flag(object, "rounded", step->rounded);
	}
	if (step->kind == NIC_STEP_SPREAD || step->kind == NIC_STEP_CONTEXT) {
		put_u32(object, "first", step->first);
		put_u32(object, "count", step->count);
	}
	if (step->kind == NIC_STEP_RULE)
		json_object_object_add(object, "rule", rule_json(&step->rule));
	return object;
}

static json_object *state_json(const struct nic_state *state, const struct nic_plan *plan)
{
	json_object *object = json_object_new_object(), *steps = json_object_new_array();
	json_object *former = json_object_new_array();
	char boot[BOOT_ID_MAX];

	boot_id(boot);
	put_u32(object, "version", STATE_VERSION);
	put_text(object, "interface", state->name);
	put_u32(object, "ifindex", state->ifindex);
	put_text(object, "boot", boot);
	put_u32(object, "pid", (uint32_t)getpid()); /* for people; the lock decides */
	put_u32(object, "first", plan->first);
	put_u32(object, "count", plan->count);
	for (unsigned i = 0; i < plan->n_steps; i++)
		json_object_array_add(steps, step_json(&plan->step[i]));
	json_object_object_add(object, "steps", steps);
	for (unsigned i = 0; i < plan->former.n; i++)
		json_object_array_add(former, json_object_new_int(plan->former.queue[i]));
	json_object_object_add(object, "former_table", former);
	return object;
}

static int write_all(int fd, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		len -= (size_t)n;
	}
	return fsync(fd) ? -errno : 0;
}

/* No file, or an empty one: nothing is noted. */
static int file_remove(struct nic_state *state, const char *name)
{
	if (unlinkat(state->dir_fd, name, 0) == 0)
		return fsync(state->dir_fd) ? -errno : 0;
	if (errno == ENOENT)
		return 0;
	if (state->file_fd < 0 || ftruncate(state->file_fd, 0) || fsync(state->file_fd))
		return -errno;
	return 0;
}

int nic_state_save(struct nic_state *state, const struct nic_plan *plan)
{
	struct file_name name = file_name(state, "json"), beside = file_name(state, "json.new");
	json_object *object;
	const char *text;
	int fd, rc;

	if (!plan->n_steps)
		return file_remove(state, name.s);
	fd = openat(state->dir_fd, beside.s, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
		    0600);
	if (fd < 0)
		return -errno;
	object = state_json(state, plan);
	text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN);
	rc = text ? write_all(fd, text, strlen(text)) : -ENOMEM;
	json_object_put(object);
	if (!rc && (renameat(state->dir_fd, beside.s, state->dir_fd, name.s) || fsync(state->dir_fd)))
		rc = -errno;
	if (rc) {
		unlinkat(state->dir_fd, beside.s, 0);
		close(fd);
		return rc;
	}
	if (state->file_fd >= 0)
		close(state->file_fd);
	state->file_fd = fd;
	return 0;
}

static int notes_keep(void *arg, const struct nic_plan *plan)
{
	return nic_state_save(arg, plan);
}

const struct nic_notes nic_state_notes = { .keep = notes_keep };

/* ------------------------------------------------------------------------------------------ reading */

/* Each take_ returns false when the member is missing, of another type, or out of range. */
static bool take_u32(json_object *object, const char *key, uint32_t max, uint32_t *value)
{
	json_object *member;
	int64_t number;

	if (!json_object_object_get_ex(object, key, &member) ||
	    !json_object_is_type(member, json_type_int))
		return false;
	number = json_object_get_int64(member);
	if (number < 0 || number > max)
		return false;
	*value = (uint32_t)number;
	return true;
}

static bool take_u16(json_object *object, const char *key, uint16_t *value)
{
	uint32_t number;

	if (!take_u32(object, key, UINT16_MAX, &number))
		return false;
	*value = (uint16_t)number;
	return true;
}

static bool take_flag(json_object *object, const char *key, bool *value)
{
	json_object *member;

	if (!json_object_object_get_ex(object, key, &member) ||
	    !json_object_is_type(member, json_type_boolean))
		return false;
	*value = json_object_get_boolean(member);
	return true;
}

/* The text must fit. */
static bool take_text(json_object *object, const char *key, char *text, size_t size)
{
	json_object *member;

	if (!json_object_object_get_ex(object, key, &member) ||
	    !json_object_is_type(member, json_type_string))
		return false;
	return (size_t)snprintf(text, size, "%s", json_object_get_string(member)) < size;
}

static bool take_rule(json_object *object, struct nic_rule *rule)
{
	char address[INET6_ADDRSTRLEN];
	json_object *member;

	*rule = (struct nic_rule){ .place = NIC_PLACE_ANY, .any_address = true };
	if (!take_flag(object, "ipv6", &rule->ipv6) || !take_u16(object, "port", &rule->port) ||
	    !take_u16(object, "source", &rule->source) ||
	    !take_u16(object, "source_mask", &rule->source_mask) ||
	    !take_flag(object, "to_context", &rule->to_context) ||
	    !take_u32(object, "to", UINT32_MAX, &rule->to))
		return false;
	if (!json_object_object_get_ex(object, "address", &member))
		return true;
	rule->any_address = false;
	return take_text(object, "address", address, sizeof(address)) &&
	       inet_pton(rule->ipv6 ? AF_INET6 : AF_INET, address, rule->address) == 1;
}

static bool take_queues(json_object *object, struct nic_step *step)
{
	return take_u32(object, "first", NIC_SEEN_QUEUES - 1, &step->first) &&
	       take_u32(object, "count", NIC_SEEN_QUEUES, &step->count) && step->count > 0;
}

static bool take_rings(json_object *object, struct nic_step *step)
{
	uint32_t split;

	if (!take_u32(object, "split", NIC_SPLIT_ON, &split) ||
	    !take_u32(object, "thresh", UINT32_MAX, &step->thresh) ||
	    !take_flag(object, "rounded", &step->rounded))
		return false;
	step->split = split;
	return true;
}

static bool take_step(json_object *object, struct nic_step *step)
{
	char kind[32];
	json_object *rule;

	memset(step, 0, sizeof(*step));
	if (!json_object_is_type(object, json_type_object) ||
	    !take_text(object, "kind", kind, sizeof(kind)) ||
	    !take_u32(object, "from", UINT32_MAX, &step->from) ||
	    !take_u32(object, "to", UINT32_MAX, &step->to))
		return false;
	step->kind = nic_step_kind_find(kind);
	switch (step->kind) {
	case NIC_STEP_CHANNELS:
		return take_flag(object, "combined", &step->combined);
	case NIC_STEP_FEATURE:
		return take_text(object, "feature", step->feature, sizeof(step->feature));
	case NIC_STEP_RINGS:
		return take_rings(object, step);
	case NIC_STEP_SPREAD:
	case NIC_STEP_CONTEXT:
		return take_queues(object, step);
	case NIC_STEP_RULE:
		return json_object_object_get_ex(object, "rule", &rule) &&
		       take_rule(rule, &step->rule);
	default:
		return false;
	}
}

static bool take_steps(json_object *object, struct nic_plan *plan)
{
	json_object *steps, *former;

	if (!json_object_object_get_ex(object, "steps", &steps) ||
	    !json_object_is_type(steps, json_type_array) ||
	    json_object_array_length(steps) > NIC_PLAN_STEPS ||
	    !json_object_object_get_ex(object, "former_table", &former) ||
	    !json_object_is_type(former, json_type_array) ||
	    json_object_array_length(former) > NIC_SEEN_TABLE ||
	    !take_u32(object, "first", NIC_SEEN_QUEUES - 1, &plan->first) ||
	    !take_u32(object, "count", NIC_MAX_QUEUES, &plan->count))
		return false;
	plan->n_steps = (unsigned)json_object_array_length(steps);
	for (unsigned i = 0; i < plan->n_steps; i++)
		if (!take_step(json_object_array_get_idx(steps, i), &plan->step[i]))
			return false;
	plan->former.n = (unsigned)json_object_array_length(former);
	for (unsigned i = 0; i < plan->former.n; i++) {
		json_object *entry = json_object_array_get_idx(former, i);
		int queue = json_object_get_int(entry);

		if (!json_object_is_type(entry, json_type_int) || queue < 0 || queue > UINT16_MAX)
			return false;
		plan->former.queue[i] = (uint16_t)queue;
	}
	return true;
}

/* The file, which is open, is one that we may have written. */
static bool file_is_ours(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_size <= STATE_BYTES_MAX &&
	       (!st.st_uid || st.st_uid == geteuid());
}

/* 0 and *@object; -ENOENT when there is none, or an empty one; -EBADMSG when it is no JSON of ours. */
static int file_read(const struct nic_state *state, json_object **object)
{
	int fd = openat(state->dir_fd, file_name(state, "json").s,
			O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
	int rc = -EBADMSG;

	*object = NULL;
	if (fd < 0)
		return errno == ENOENT ? -ENOENT : -EBADMSG;
	if (file_is_ours(fd)) {
		if (lseek(fd, 0, SEEK_END) == 0)
			rc = -ENOENT;
		else if (lseek(fd, 0, SEEK_SET) == 0)
			*object = json_object_from_fd(fd);
	}
	close(fd);
	return *object ? 0 : rc;
}

int nic_state_load(struct nic_state *state, struct nic_plan *plan, struct nic_why *why)
{
	char boot[BOOT_ID_MAX], then[BOOT_ID_MAX], name[IF_NAMESIZE];
	uint32_t version, index = 0;
	json_object *object;
	bool ok;
	int rc = file_read(state, &object);

	if (rc == -ENOENT)
		return rc;
	ok = object && take_u32(object, "version", UINT32_MAX, &version) &&
	     version == STATE_VERSION && take_u32(object, "ifindex", INT32_MAX, &index) &&
	     take_text(object, "interface", name, sizeof(name)) && !strcmp(name, state->name) &&
	     take_text(object, "boot", then, sizeof(then)) && take_steps(object, plan);
	json_object_put(object);
	if (!ok) {
		snprintf(
			why->s, sizeof(why->s),
			"%s is damaged, of another version or of another user, so that what was changed on "
			"%s cannot be undone: look at its settings (ethtool -g, -l, -n, -x), then remove "
			"that file",
			state->path, state->name);
		return -EBADMSG;
	}
	boot_id(boot);
	state->ifindex = index;
	return !strcmp(boot, then) && if_indextoname(index, name) ? 0 : -ESTALE;
}
