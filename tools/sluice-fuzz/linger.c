/* SPDX-License-Identifier: BSD-3-Clause */
#include "linger.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"

enum { LINGER_LOOK_US = 50000 };

static const char *const kinds[] = {
	"sending nothing",
	"ICReq without a Connect",
	"half of an ICReq",
	"a termination request",
};
enum { KIND_NOTHING, KIND_ICREQ, KIND_HALF, KIND_TERM, KINDS };

static bool start_one(struct lingering *l, unsigned i, const struct play_options *play,
		      struct finding *finding)
{
	static const uint32_t lens[KINDS] = { 0, PDU_HLEN_IC, PDU_HLEN_IC / 2, PDU_HLEN_IC };
	struct pdu_icreq pdu = {
		.hdr = { .type = PDU_ICREQ, .hlen = PDU_HLEN_IC, .plen = le32(PDU_HLEN_IC) }
	};
	unsigned kind = i % KINDS;
	uint32_t ms = l->options.connect_timeout_ms;
	int fd = socket(play->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return finding_set(finding, FINDING_HERE, "no socket: %s", strerror(errno));
	l->fds[i] = fd;
	l->n = i + 1;
	l->kind[i] = kind;
	if (kind == KIND_TERM) { /* a type that a host does not send */
		pdu.hdr.type = PDU_ICRESP;
		ms = l->options.term_timeout_ms;
	}
	if (connect(fd, (const struct sockaddr *)&play->addr, play->addr_len))
		return finding_set(finding, FINDING_GONE, "the target takes no connection: %s",
				   strerror(errno));
	l->until_ns[i] = play_now_ns() + (uint64_t)ms * 1000000;
	if (send(fd, &pdu, lens[kind], MSG_NOSIGNAL) != (ssize_t)lens[kind])
		return finding_set(finding, FINDING_GONE,
				   "the target ends a connection at once: %s", strerror(errno));
	return true;
}

bool linger_start(struct lingering *l, const struct linger_options *options,
		  const struct play_options *play, struct finding *finding)
{
	*l = (struct lingering){ .options = *options };
	for (unsigned i = 0; i < options->n; i++)
		if (!start_one(l, i, play, finding))
			return false;
	return true;
}

/* Whether the target has closed @fd. What it says before that is another test's business. */
static bool has_ended(int fd)
{
	uint8_t buf[PDU_TERM_MAX + PDU_HLEN_IC];
	ssize_t n;

	do
		n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
	while (n > 0);
	return n == 0 || (errno != EAGAIN && errno != EINTR);
}

bool linger_look(struct lingering *l, struct finding *finding)
{
	uint64_t now = play_now_ns();

	for (unsigned i = 0; i < l->n;) {
		if (!has_ended(l->fds[i])) {
			if (now > l->until_ns[i])
				return finding_set(finding, FINDING_OPEN,
						   "a connection is still open %u ms after %s",
						   l->kind[i] == KIND_TERM ?
							   l->options.term_timeout_ms :
							   l->options.connect_timeout_ms,
						   kinds[l->kind[i]]);
			i++;
			continue;
		}
		close(l->fds[i]);
		l->n--;
		l->fds[i] = l->fds[l->n];
		l->until_ns[i] = l->until_ns[l->n];
		l->kind[i] = l->kind[l->n];
	}
	return true;
}

bool linger_wait(struct lingering *l, struct finding *finding)
{
	while (linger_look(l, finding)) {
		if (!l->n)
			return true;
		usleep(LINGER_LOOK_US);
	}
	return false;
}

void linger_stop(struct lingering *l)
{
	while (l->n)
		close(l->fds[--l->n]);
}
