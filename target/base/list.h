/* SPDX-License-Identifier: BSD-3-Clause */
/* Intrusive doubly linked list. A list head and an unlinked node both point at themselves. */
#ifndef SLUICE_BASE_LIST_H
#define SLUICE_BASE_LIST_H

#include <stdbool.h>

#include "base/compiler.h"

struct list {
	struct list *next;
	struct list *prev;
};

#define LIST_INIT(name) { &(name), &(name) }

static inline void list_init(struct list *l)
{
	l->next = l;
	l->prev = l;
}

/* True for a head without nodes, and for a node that is on no list. */
static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

static inline void list_add_tail(struct list *head, struct list *node)
{
	node->prev = head->prev;
	node->next = head;
	head->prev->next = node;
	head->prev = node;
}

static inline void list_add_head(struct list *head, struct list *node)
{
	list_add_tail(head->next, node);
}

/* Unlinks @node; harmless when it is on no list. */
static inline void list_del(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

/* The first node, unlinked, or NULL. */
static inline struct list *list_pop(struct list *head)
{
	struct list *node = head->next;

	if (node == head)
		return NULL;
	list_del(node);
	return node;
}

/* Moves all nodes of @from, in order, to the tail of @to. */
static inline void list_splice_tail(struct list *to, struct list *from)
{
	if (list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

/* Moves the nodes of @from up to @last, one of them, to the tail of @to; none if @last is @from. */
static inline void list_cut(struct list *to, struct list *from, struct list *last)
{
	struct list *first = from->next;

	if (last == from)
		return;
	from->next = last->next;
	last->next->prev = from;
	first->prev = to->prev;
	to->prev->next = first;
	last->next = to;
	to->prev = last;
}

#define list_entry(node, type, member) container_of(node, type, member)
#define list_first(head, type, member) list_entry((head)->next, type, member)

#define list_for_each(pos, head, type, member)                                      \
	for (type *pos = list_entry((head)->next, type, member); &pos->member != (head); \
	     pos = list_entry(pos->member.next, type, member))

/* As list_for_each, but the body may unlink or free @pos. */
#define list_for_each_safe(pos, head, type, member)                                          \
	for (type *pos = list_entry((head)->next, type, member),                             \
		  *pos##_next = list_entry(pos->member.next, type, member);                  \
	     &pos->member != (head);                                                         \
	     pos = pos##_next, pos##_next = list_entry(pos->member.next, type, member))

#endif
