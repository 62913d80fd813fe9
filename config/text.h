/* SPDX-License-Identifier: BSD-3-Clause */
/* From the text of one file to sections and keys. */
#ifndef SLUICE_CONFIG_TEXT_H
#define SLUICE_CONFIG_TEXT_H

#include "config/build.h"

/* Feeds @text of @len bytes, called @name in messages, to @build. Faults are reported. */
void text_read(struct build *build, const char *name, const char *text, size_t len);

#endif
