/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of settings and the table of sections. Reading, checking, dumping and the manual all
 * walk these; a new setting is a field in config.h and a row here.
 */
#ifndef SLUICE_CONFIG_SETTINGS_H
#define SLUICE_CONFIG_SETTINGS_H

#include "config/config.h"

#define NQN_DISCOVERY_WELL_KNOWN "nqn.2014-08.org.nvmexpress.discovery"

enum section_id {
	SECTION_DAEMON,
	SECTION_MEMORY,
	SECTION_NIC,
	SECTION_DISCOVERY,
	SECTION_METRICS,
	SECTION_LISTENER,
	SECTION_SUBSYSTEM,
	SECTION_NAMESPACE,
	SECTION_REFERRAL,
	SECTIONS,
};

enum {
	SETTINGS_PER_SECTION_MAX = 20,
	SECTION_LABEL_MAX = CONFIG_NQN_MAX + 32, /* "[namespace NQN/1024]" */
	VALUE_FORM_MAX = 192,
	VALUE_LINE_MAX = VALUE_FORM_MAX + 160,
};

/* One kind of section, and where struct config keeps its objects. */
struct section {
	const char *kind;
	const char *argument; /* what follows the kind in a header; NULL: there is one object */
	size_t object_size;
	size_t objects_offset; /* of the object, or of the pointer to the array of objects */
	size_t count_offset;   /* of the number of objects; only with an argument */
	unsigned max;          /* objects */
	const char *help;
};

struct setting {
	enum section_id section;
	const char *key;
	const struct value_type *type;
	size_t offset; /* of the field in the section's structure */
	size_t size;   /* bytes of the field */
	size_t given_offset;   /* type uuid and hex: of a bool that says the value is there */
	uint64_t min, max;     /* numbers, in the unit of the field */
	uint64_t multiple;     /* numbers; 0: any */
	bool power_of_two;     /* numbers */
	bool required;
	const char *zero;      /* numbers: the word for 0, which need not lie in min..max */
	const char *const *choices; /* type choice: words for 0, 1, ..., then NULL */
	const char *def;       /* default, as written in a file; NULL: none */
	const char *absent;    /* for the manual: what not giving it means, without a default */
	const char *help;
};

extern const struct section sections[SECTIONS];
extern const struct setting settings[];
extern const unsigned n_settings;

/* The rows of @section are @return[0..*n). */
const struct setting *section_settings(enum section_id section, unsigned *n);

/* Number of objects of @section in @config, and the object at @index. */
unsigned section_count(const struct config *config, enum section_id section);
void *section_object(const struct config *config, enum section_id section, unsigned index);

/* Writes an object's header, such as "[listener tcp]", into @label of SECTION_LABEL_MAX bytes. */
void section_label(const struct config *config, enum section_id section, unsigned index,
		   char *label);

/* Sets all fields of an object that have a default; the object is zero before. */
void section_defaults(enum section_id section, void *object);

#endif
