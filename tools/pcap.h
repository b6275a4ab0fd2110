/* TCP streams out of a capture that tcpdump wrote (`tcpdump -w FILE`): the classic pcap format,
 * both byte orders, micro- and nanoseconds; Ethernet (with VLAN tags), Linux cooked, loopback and
 * raw IP; IPv4 and IPv6. Bytes of each direction are handed on in order; segments that come twice
 * or out of order are put right.
 *
 * Failure modes: a file of another format (pcapng is named), a file that ends inside a packet
 * (what is before it counts, truncated is set), packets that were cut by a snap length and bytes
 * that the capture lost (that direction is given up: on_gap). */
#ifndef TOOLS_PCAP_H
#define TOOLS_PCAP_H

#include "base/buf.h"
#include "base/err.h"

struct pcap_stream {
    char client[64]; /* "127.0.0.1:50122" */
    char server[64];
    void *user; /* the callbacks' own; NULL at first */
};

struct pcap_events {
    /* The next bytes of one direction. */
    void (*on_bytes)(void *ctx, struct pcap_stream *s, bool from_client, int64_t time_us,
                     struct bytes data);
    /* Nothing more comes from this direction: bytes are missing in the capture. */
    void (*on_gap)(void *ctx, struct pcap_stream *s, bool from_client, int64_t time_us);
    void (*on_end)(void *ctx, struct pcap_stream *s); /* for each stream, at the end */
    void *ctx;
};

struct pcap_counts {
    size_t packets;
    size_t tcp;     /* with a payload */
    bool truncated; /* the file ends inside a packet */
};

bool pcap_is(struct bytes file); /* pcap or pcapng */
/* port is the server's; where a connection's start was seen, the side that was called is the
 * server whatever its port. ERR_UNSUPPORTED with a sentence for another format. */
int pcap_read(struct bytes file, uint16_t port, const struct pcap_events *ev,
              struct pcap_counts *counts, struct errmsg *em);

#endif
