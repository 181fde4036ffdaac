/*-------------------------------------------------------------------------
 *
 * netaddress.h
 *		IP addresses, and lists of them in settings.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_NETADDRESS_H
#define QUIZRT_NETADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An IPv6 address, or an IPv4 address mapped into one; all zero stands for a
 * Unix-domain socket. */
typedef struct NetAddress
{
	uint8_t		bytes[16];
} NetAddress;

extern void NetAddressFromIpv4(NetAddress *address, const uint8_t bytes[4]);

/* "192.0.2.1" or "2001:db8::1"; false where it is neither. */
extern bool NetAddressParse(const char *text, size_t length,
							NetAddress *address);

/*
 * Lists are of addresses and networks ("10.0.0.0/8"), and "local" for
 * Unix-domain sockets, with commas between them.  The first is true where all
 * of a list is understood.
 */
extern bool NetAddressListValid(const char *list);
extern bool NetAddressListHas(const char *list, const NetAddress *address);

#endif							/* QUIZRT_NETADDRESS_H */
