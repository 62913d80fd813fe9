/* SPDX-License-Identifier: BSD-3-Clause */
/* Builds a configuration from sections and keys as they are read, and remembers where each was. */
#ifndef SLUICE_CONFIG_BUILD_H
#define SLUICE_CONFIG_BUILD_H

#include "config/faults.h"
#include "config/settings.h"

/* Where a key was last set. */
struct origin {
	struct config_where where;
	unsigned opening; /* of which opening of a section; 0: the key was not given */
	bool bad;         /* its value was refused, so the field has another */
};

struct build {
	struct config *config;
	struct faults *faults;
	struct origin (*origins[SECTIONS])[SETTINGS_PER_SECTION_MAX]; /* one for each object */
	unsigned openings; /* section headers so far */
	bool headers_bad;  /* a header was refused: what lacks may have been meant by it */

	/* The section that keys go to. */
	bool open; /* false: before the first header, or behind one that was refused */
	enum section_id section;
	unsigned index;
};

/* Starts with an empty @config that has all defaults. 0 or -ENOMEM. */
int build_init(struct build *build, struct config *config, struct faults *faults);

/* Frees what only the building needed; the configuration stays. */
void build_fini(struct build *build);

/* Keys go to the section that @header, the text between '[' and ']', names. Faults are reported. */
void build_open(struct build *build, const struct config_where *where, char *header);

/* No section is open: a new file begins. */
void build_close(struct build *build);

/* Sets a key of the open section. Faults are reported. */
void build_set(struct build *build, const struct config_where *where, const char *key,
	       const char *value);

/* What is known of @key, which the section has, of an object. */
const struct origin *build_origin(const struct build *build, enum section_id section,
				  unsigned index, const char *key);

#endif
