/* SPDX-License-Identifier: BSD-3-Clause */
/* Socket addresses and their text. */
#ifndef SLUICE_TRANSPORT_ADDRESS_H
#define SLUICE_TRANSPORT_ADDRESS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* Fills in @ss from a numeric IPv4 or IPv6 address (with %scope if it needs one). 0 or -EINVAL. */
int address_parse(const char *address, uint16_t port, struct sockaddr_storage *ss, socklen_t *len);

/* "192.0.2.1:4420" or "[2001:db8::1]:4420"; "?" when @sa is neither of IPv4 nor of IPv6. */
void address_text(const struct sockaddr *sa, char *text, size_t size);

/* The numeric address alone; an IPv4 address mapped into IPv6 is shown as IPv4. */
void address_host_text(const struct sockaddr *sa, char *text, size_t size);

/* "192.0.2.1:4420" or "[2001:db8::1]:4420" of the other end; "?" when it is gone already. */
void address_of_peer(int fd, char *text, size_t size);

/* This end's numeric address without port; an IPv4 address mapped into IPv6 is shown as IPv4. */
void address_of_local(int fd, char *text, size_t size);

#endif
