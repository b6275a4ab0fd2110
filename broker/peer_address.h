/* A peer's numeric address (struct conn) as bytes, and as Java prints it. */
#ifndef BROKER_PEER_ADDRESS_H
#define BROKER_PEER_ADDRESS_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"

/* 4 or 16 bytes; 0: it is no address. */
size_t peer_address(const char *peer, uint8_t out[16]);
/* "/127.0.0.1", "/0:0:0:0:0:0:0:1": InetAddress.toString without a name. */
struct bytes peer_java_text(const char *peer, struct arena *a);

#endif
