/*-------------------------------------------------------------------------
 *
 * addresses.h
 *		How many WebSockets of this gateway come from which address.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUIZRT_ADDRESSES_H
#define QUIZRT_ADDRESSES_H

#include "gateway/connection.h"

extern void AddressesInit(void);

/* Count one in, and out.  Unix-domain sockets have no address. */
extern void AddressEnter(const PeerAddress *peer);
extern void AddressLeave(const PeerAddress *peer);

/* Has it as many as quizrt.max_connections_per_address allows? */
extern bool AddressIsFull(const PeerAddress *peer);

#endif							/* QUIZRT_ADDRESSES_H */
