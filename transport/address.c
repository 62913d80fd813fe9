/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/address.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

int address_parse(const char *address, uint16_t port, struct sockaddr_storage *ss, socklen_t *len)
{
	const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
					.ai_socktype = SOCK_STREAM };
	struct addrinfo *result;
	char service[8];

	snprintf(service, sizeof(service), "%u", port);
	if (getaddrinfo(address, service, &hints, &result))
		return -EINVAL;
	memcpy(ss, result->ai_addr, result->ai_addrlen);
	*len = result->ai_addrlen;
	freeaddrinfo(result);
	return 0;
}

static socklen_t length_of(const struct sockaddr *sa)
{
	return sa->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

void address_text(const struct sockaddr *sa, char *text, size_t size)
{
	char host[NI_MAXHOST], port[NI_MAXSERV];

	if (getnameinfo(sa, length_of(sa), host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV)) {
		snprintf(text, size, "?");
		return;
	}
	if ((size_t)snprintf(text, size, sa->sa_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host,
			     port) >= size)
		text[size - 1] = '\0';
}

void address_host_text(const struct sockaddr *sa, char *text, size_t size)
{
	char host[NI_MAXHOST];
	const char *shown = host;

	if (getnameinfo(sa, length_of(sa), host, sizeof(host), NULL, 0, NI_NUMERICHOST))
		strcpy(host, "?");
	if (!strncmp(host, "::ffff:", 7) && strchr(host, '.'))
		shown = host + 7;
	snprintf(text, size, "%.*s", (int)size - 1, shown);
}

void address_of_peer(int fd, char *text, size_t size)
{
	struct sockaddr_storage ss = { .ss_family = AF_UNSPEC };
	socklen_t len = sizeof(ss);

	if (getpeername(fd, (struct sockaddr *)&ss, &len))
		ss.ss_family = AF_UNSPEC;
	address_text((struct sockaddr *)&ss, text, size);
}

void address_of_local(int fd, char *text, size_t size)
{
	struct sockaddr_storage ss = { .ss_family = AF_UNSPEC };
	socklen_t len = sizeof(ss);

	if (getsockname(fd, (struct sockaddr *)&ss, &len))
		ss.ss_family = AF_UNSPEC;
	address_host_text((struct sockaddr *)&ss, text, size);
}
