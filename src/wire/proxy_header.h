/*-------------------------------------------------------------------------
 *
 * proxy_header.h
 *		The PROXY protocol, versions 1 and 2: what a proxy says of its client
 *		before anything else.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_PROXY_HEADER_H
#define QUIZRT_PROXY_HEADER_H

#include "common/netaddress.h"

/* The longest header that is accepted, with whatever a proxy adds to it. */
#define PROXY_HEADER_SIZE	4096

typedef enum ProxyResult
{
	PROXY_INCOMPLETE,
	PROXY_COMPLETE,
	PROXY_MALFORMED
} ProxyResult;

typedef struct ProxyHeader
{
	bool		has_client;		/* else it is the proxy itself that connects, or
								 * a client without an IP address */
	NetAddress	client;
} ProxyHeader;

/*
 * Parse what has come of a header.  *wanted is how long the header is at
 * least: so many bytes can be read without taking any that follow it; on
 * PROXY_COMPLETE it is the header's length.
 */
extern ProxyResult ProxyHeaderParse(const char *bytes, size_t length,
									ProxyHeader *header, size_t *wanted);

#endif							/* QUIZRT_PROXY_HEADER_H */
