/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/nic/step.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"

static const char *const kind_names[NIC_STEP_KINDS] = {
	[NIC_STEP_CHANNELS] = "channels", [NIC_STEP_FEATURE] = "feature",
	[NIC_STEP_RINGS] = "rings",	  [NIC_STEP_SPREAD] = "hash",
	[NIC_STEP_CONTEXT] = "context",	  [NIC_STEP_RULE] = "rule",
};

static const char *const split_names[] = {
	[NIC_SPLIT_UNKNOWN] = "unset",
	[NIC_SPLIT_OFF] = "off",
	[NIC_SPLIT_ON] = "on",
};

const char *nic_step_kind_name(enum nic_step_kind kind)
{
	return kind_names[kind];
}

enum nic_step_kind nic_step_kind_find(const char *name)
{
	for (unsigned kind = 0; kind < NIC_STEP_KINDS; kind++)
		if (!strcmp(kind_names[kind], name))
			return kind;
	return NIC_STEP_KINDS;
}

#define TEXT(text, ...) snprintf((text).s, sizeof((text).s), __VA_ARGS__)

struct nic_queues_text nic_queues_words(uint32_t first, uint32_t count)
{
	struct nic_queues_text text;

	if (count == 1)
		TEXT(text, "queue %u", first);
	else
		TEXT(text, "queues %u to %u", first, first + count - 1);
	return text;
}

/* A part of a text of several parts. */
static void __printf(2, 3) part_add(struct nic_step_text *text, const char *fmt, ...)
{
	size_t len = strlen(text->s);
	va_list args;

	if (len && len + 2 < sizeof(text->s))
		len = (size_t)(stpcpy(text->s + len, ", ") - text->s);
	va_start(args, fmt);
	vsnprintf(text->s + len, sizeof(text->s) - len, fmt, args);
	va_end(args);
}

static struct nic_step_text rings_words(const struct nic_step *step)
{
	struct nic_step_text text = { "" };

	if (step->split == NIC_SPLIT_ON)
		part_add(&text, "tcp-data-split: on, from now on whatever the driver prefers");
	else
		part_add(&text, "tcp-data-split: %s -> on", split_names[step->split]);
	if (step->thresh)
		part_add(&text, "hds-thresh: %u -> 0 bytes", step->thresh);
	if (step->to)
		part_add(&text, "receive rings: %u -> %u entries", step->from, step->to);
	return text;
}

static struct nic_step_text rings_undo_words(const struct nic_step *step)
{
	struct nic_step_text text = { "" };

	if (step->split == NIC_SPLIT_ON)
		part_add(&text, "tcp-data-split stays on (auto lets the driver choose again)");
	else
		part_add(&text, "tcp-data-split %s again", split_names[step->split]);
	if (step->thresh)
		part_add(&text, "hds-thresh back to %u bytes", step->thresh);
	if (step->to)
		part_add(&text, "receive rings back to %u entries", step->from);
	return text;
}

static struct nic_step_text rings_command(const struct nic_step *step, const char *name)
{
	struct nic_step_text text;

	TEXT(text, "ethtool -G %s tcp-data-split on%s", name, step->thresh ? " hds-thresh 0" : "");
	if (step->to)
		snprintf(text.s + strlen(text.s), sizeof(text.s) - strlen(text.s), " rx %u",
			 step->to);
	return text;
}

static const char *channels_name(const struct nic_step *step)
{
	return step->combined ? "combined" : "rx";
}

struct nic_step_text nic_step_words(const struct nic_step *step)
{
	struct nic_queues_text queues = nic_queues_words(step->first, step->count);
	struct nic_step_text text;

	switch (step->kind) {
	case NIC_STEP_CHANNELS:
		TEXT(text, "%s channels: %u -> %u", channels_name(step), step->from, step->to);
		break;
	case NIC_STEP_FEATURE:
		TEXT(text, "%s: off -> on", step->feature);
		break;
	case NIC_STEP_RINGS:
		return rings_words(step);
	case NIC_STEP_SPREAD:
		TEXT(text, "ordinary connections: spread over %s only", queues.s);
		break;
	case NIC_STEP_CONTEXT:
		TEXT(text, "hash context %u: spreads over %s", step->to, queues.s);
		break;
	default:
		TEXT(text, "rule: %s -> %s %u", nic_rule_match(&step->rule).s,
		     step->rule.to_context ? "hash context" : "queue", step->rule.to);
		break;
	}
	return text;
}

struct nic_step_text nic_step_undo_words(const struct nic_step *step)
{
	struct nic_step_text text;

	switch (step->kind) {
	case NIC_STEP_CHANNELS:
		TEXT(text, "%s channels back to %u", channels_name(step), step->from);
		break;
	case NIC_STEP_FEATURE:
		TEXT(text, "%s off again", step->feature);
		break;
	case NIC_STEP_RINGS:
		return rings_undo_words(step);
	case NIC_STEP_SPREAD:
		TEXT(text, "%s",
		     step->from ? "the former indirection table again" :
				  "the device's own indirection table again");
		break;
	case NIC_STEP_CONTEXT:
		TEXT(text, "hash context %u removed", step->to);
		break;
	default:
		TEXT(text, "the rule for %s removed", nic_rule_match(&step->rule).s);
		break;
	}
	return text;
}

struct nic_step_text nic_step_command(const struct nic_step *step, const char *name)
{
	struct nic_step_text text;

	switch (step->kind) {
	case NIC_STEP_CHANNELS:
		TEXT(text, "ethtool -L %s %s %u", name, channels_name(step), step->to);
		break;
	case NIC_STEP_FEATURE:
		TEXT(text, "ethtool -K %s %s on", name, step->feature);
		break;
	case NIC_STEP_RINGS:
		return rings_command(step, name);
	case NIC_STEP_SPREAD:
		TEXT(text, "ethtool -X %s start %u equal %u", name, step->first, step->count);
		break;
	case NIC_STEP_CONTEXT:
		TEXT(text, "ethtool -X %s context new start %u equal %u", name, step->first,
		     step->count);
		break;
	default:
		TEXT(text, "ethtool -N %s %s", name, nic_rule_ethtool(&step->rule).s);
		break;
	}
	return text;
}
