#include "tools/pcap.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"

enum {
    MAGIC_US = 0xa1b2c3d4,
    MAGIC_NS = 0xa1b23c4d,
    MAGIC_NG = 0x0a0d0d0a,
    FILE_HEADER = 24,
    PACKET_HEADER = 16,
    LINK_NULL = 0,
    LINK_ETHERNET = 1,
    LINK_RAW = 101,
    LINK_LOOP = 108,
    LINK_COOKED = 113,
    LINK_COOKED2 = 276,
    HELD_MAX = 1 << 16, /* segments that wait for an earlier one */
    TCP_FIN = 1,
    TCP_SYN = 2,
    TCP_ACK = 16,
};

struct packet {
    int64_t time_us;
    struct bytes src; /* address and port: 6 or 18 bytes */
    struct bytes dst;
    uint8_t ends[2][18];
    uint32_t seq;
    uint8_t flags;
    struct bytes payload;
    bool cut; /* the snap length left bytes out */
};

struct held { /* a segment ahead of its turn; its bytes are the file's */
    struct list node;
    uint32_t seq;
    struct bytes data;
};

struct direction {
    bool known; /* next is */
    bool dead;
    uint32_t next;
    struct list held; /* rising */
    size_t held_n;
};

struct flow {
    struct list node;
    struct pcap_stream pub;
    uint8_t key[36];
    size_t key_len;
    struct direction from_client;
    struct direction from_server;
};

struct reader {
    struct bytes rest;
    bool swapped;
    bool nanos;
    uint32_t link;
    uint16_t port;
    const struct pcap_events *ev;
    struct map flows;
    struct list order;
};

static uint32_t file_u32(const struct reader *r, const uint8_t *p)
{
    uint32_t v = load_be32(p);
    return r->swapped ? __builtin_bswap32(v) : v;
}

bool pcap_is(struct bytes file)
{
    if (file.len < 4) {
        return false;
    }
    uint32_t be = load_be32(file.data);
    uint32_t le = __builtin_bswap32(be);
    return be == MAGIC_US || be == MAGIC_NS || le == MAGIC_US || le == MAGIC_NS || be == MAGIC_NG;
}

/* ---- One packet ---- */

/* Takes the link header off: the IP packet, or nothing. */
static struct bytes ip_of(uint32_t link, struct bytes p)
{
    static const struct bytes none = {NULL, 0};
    size_t skip;
    uint16_t type = 0x0800;
    switch (link) {
    case LINK_ETHERNET:
        skip = 14;
        if (p.len < skip) {
            return none;
        }
        type = load_be16(p.data + 12);
        while ((type == 0x8100 || type == 0x88a8) && p.len >= skip + 4) {
            type = load_be16(p.data + skip + 2);
            skip += 4;
        }
        break;
    case LINK_COOKED:
        skip = 16;
        type = p.len >= skip ? load_be16(p.data + 14) : 0;
        break;
    case LINK_COOKED2:
        skip = 20;
        type = p.len >= skip ? load_be16(p.data) : 0;
        break;
    case LINK_NULL:
    case LINK_LOOP:
        skip = 4;
        break;
    default: /* LINK_RAW */
        skip = 0;
        break;
    }
    if (p.len < skip || (type != 0x0800 && type != 0x86dd)) {
        return none;
    }
    return bytes_of(p.data + skip, p.len - skip);
}

/* The TCP segment of an IP packet, with the addresses; nothing for what is no whole TCP. */
static struct bytes tcp_of(struct bytes ip, struct packet *out, size_t *address)
{
    static const struct bytes none = {NULL, 0};
    size_t header;
    size_t total;
    size_t src;
    if (ip.len >= 20 && ip.data[0] >> 4 == 4) {
        header = (size_t)(ip.data[0] & 15) * 4;
        total = load_be16(ip.data + 2);
        bool fragment = (load_be16(ip.data + 6) & 0x3fff) != 0;
        if (ip.data[9] != IPPROTO_TCP || header < 20 || fragment) {
            return none;
        }
        *address = 4;
        src = 12;
    } else if (ip.len >= 40 && ip.data[0] >> 4 == 6 && ip.data[6] == IPPROTO_TCP) {
        header = 40;
        total = header + load_be16(ip.data + 4);
        *address = 16;
        src = 8;
    } else {
        return none;
    }
    total = total <= header ? ip.len : total; /* 0 when the network card does the cutting */
    out->cut = total > ip.len;
    size_t end = total < ip.len ? total : ip.len;
    if (end < header + 20) {
        return none;
    }
    memcpy(out->ends[0], ip.data + src, *address);
    memcpy(out->ends[1], ip.data + src + *address, *address);
    return bytes_of(ip.data + header, end - header);
}

static bool parse_packet(uint32_t link, struct bytes raw, struct packet *out)
{
    size_t address = 0;
    struct bytes tcp = tcp_of(ip_of(link, raw), out, &address);
    if (tcp.data == NULL) {
        return false;
    }
    size_t header = (size_t)(tcp.data[12] >> 4) * 4;
    if (header < 20 || header > tcp.len) {
        return false;
    }
    memcpy(out->ends[0] + address, tcp.data, 2);
    memcpy(out->ends[1] + address, tcp.data + 2, 2);
    out->src = bytes_of(out->ends[0], address + 2);
    out->dst = bytes_of(out->ends[1], address + 2);
    out->seq = load_be32(tcp.data + 4);
    out->flags = tcp.data[13];
    out->payload = bytes_of(tcp.data + header, tcp.len - header);
    return true;
}

/* ---- Streams ---- */

static uint16_t port_of(struct bytes end)
{
    return load_be16(end.data + end.len - 2);
}

static void name_end(struct bytes end, char out[64])
{
    char text[INET6_ADDRSTRLEN];
    bool v6 = end.len == 18;
    inet_ntop(v6 ? AF_INET6 : AF_INET, end.data, text, sizeof text);
    snprintf(out, 64, v6 ? "[%s]:%u" : "%s:%u", text, port_of(end));
}

static struct flow *flow_of(struct reader *r, const struct packet *p, bool *from_client)
{
    uint8_t key[36];
    size_t n = p->src.len;
    bool forward = bytes_cmp(p->src, p->dst) < 0;
    memcpy(key, forward ? p->src.data : p->dst.data, n);
    memcpy(key + n, forward ? p->dst.data : p->src.data, n);
    struct flow *f = map_get(&r->flows, bytes_of(key, 2 * n));
    bool opens = (p->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
    if (f == NULL) {
        f = MEM_NEW(struct flow);
        memcpy(f->key, key, 2 * n);
        f->key_len = 2 * n;
        map_put(&r->flows, bytes_of(f->key, f->key_len), f);
        list_push_back(&r->order, &f->node);
        list_init(&f->from_client.held);
        list_init(&f->from_server.held);
        bool answers = (p->flags & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK);
        bool to_port = port_of(p->dst) == r->port;
        bool from_port = port_of(p->src) == r->port;
        bool called = to_port || (!from_port && port_of(p->dst) < port_of(p->src));
        bool client_first = opens || (!answers && called);
        name_end(client_first ? p->src : p->dst, f->pub.client);
        name_end(client_first ? p->dst : p->src, f->pub.server);
    }
    char src[64];
    name_end(p->src, src);
    *from_client = strcmp(src, f->pub.client) == 0;
    return f;
}

static void give_up(struct reader *r, struct flow *f, struct direction *d, int64_t time_us)
{
    if (!d->dead) {
        d->dead = true;
        r->ev->on_gap(r->ev->ctx, &f->pub, d == &f->from_client, time_us);
    }
}

static void hold(struct direction *d, uint32_t seq, struct bytes data)
{
    struct held *h = MEM_NEW(struct held);
    *h = (struct held){.seq = seq, .data = data};
    struct list *at = d->held.prev;
    while (at != &d->held && (int32_t)(LIST_ENTRY(at, struct held, node)->seq - seq) > 0) {
        at = at->prev;
    }
    list_insert_before(at->next, &h->node);
    d->held_n++;
}

/* Hands on what is new of a segment whose turn it is. */
static void deliver(struct reader *r, struct flow *f, struct direction *d, uint32_t seq,
                    struct bytes data, int64_t time_us)
{
    uint32_t old = d->next - seq; /* bytes that were there before */
    if (old >= data.len) {
        return;
    }
    data = bytes_of(data.data + old, data.len - old);
    d->next += (uint32_t)data.len;
    r->ev->on_bytes(r->ev->ctx, &f->pub, d == &f->from_client, time_us, data);
}

static void release_held(struct reader *r, struct flow *f, struct direction *d, int64_t time_us)
{
    list_for_each_safe (n, &d->held) {
        struct held *h = LIST_ENTRY(n, struct held, node);
        if (!d->dead && (int32_t)(h->seq - d->next) > 0) {
            return;
        }
        if (!d->dead) {
            deliver(r, f, d, h->seq, h->data, time_us);
        }
        list_remove(&h->node);
        d->held_n--;
        mem_free(h);
    }
}

static void take_segment(struct reader *r, const struct packet *p)
{
    bool from_client;
    struct flow *f = flow_of(r, p, &from_client);
    struct direction *d = from_client ? &f->from_client : &f->from_server;
    uint32_t seq = p->seq + ((p->flags & TCP_SYN) != 0);
    if (!d->known) {
        d->known = true;
        d->next = seq;
    }
    if (d->dead || p->payload.len == 0) {
        return;
    }
    if ((int32_t)(seq - d->next) > 0) {
        hold(d, seq, p->payload);
        if (d->held_n > HELD_MAX) {
            give_up(r, f, d, p->time_us);
        }
    } else {
        deliver(r, f, d, seq, p->payload, p->time_us);
    }
    release_held(r, f, d, p->time_us);
    if (p->cut) {
        give_up(r, f, d, p->time_us);
    }
}

static void end_flows(struct reader *r)
{
    list_for_each_safe (n, &r->order) {
        struct flow *f = LIST_ENTRY(n, struct flow, node);
        if (f->from_client.held_n) {
            give_up(r, f, &f->from_client, 0);
        }
        if (f->from_server.held_n) {
            give_up(r, f, &f->from_server, 0);
        }
        f->from_client.dead = f->from_server.dead = true;
        release_held(r, f, &f->from_client, 0);
        release_held(r, f, &f->from_server, 0);
        r->ev->on_end(r->ev->ctx, &f->pub);
        list_remove(&f->node);
        mem_free(f);
    }
    map_free(&r->flows);
}

static int open_file(struct reader *r, struct bytes file, struct errmsg *em)
{
    uint32_t magic = file.len >= 4 ? load_be32(file.data) : 0;
    r->swapped = magic != MAGIC_US && magic != MAGIC_NS;
    magic = r->swapped ? __builtin_bswap32(magic) : magic;
    if (__builtin_bswap32(magic) == MAGIC_NG || magic == MAGIC_NG) {
        return errmsg_set(em, ERR_UNSUPPORTED,
                          "the capture is in the pcapng format; `tcpdump -r FILE -w NEW` makes the "
                          "pcap format of it");
    }
    if ((magic != MAGIC_US && magic != MAGIC_NS) || file.len < FILE_HEADER) {
        return errmsg_set(em, ERR_UNSUPPORTED, "the file is not a capture in the pcap format");
    }
    r->nanos = magic == MAGIC_NS;
    r->link = file_u32(r, file.data + 20) & 0xffff;
    if (r->link != LINK_NULL && r->link != LINK_ETHERNET && r->link != LINK_RAW &&
        r->link != LINK_LOOP && r->link != LINK_COOKED && r->link != LINK_COOKED2 &&
        r->link != 12 /* raw IP as some systems number it */) {
        return errmsg_set(em, ERR_UNSUPPORTED,
                          "the capture's link type is %u; supported are Ethernet (1), Linux cooked "
                          "(113, 276), loopback (0, 108) and raw IP (12, 101)",
                          r->link);
    }
    r->rest = bytes_of(file.data + FILE_HEADER, file.len - FILE_HEADER);
    return 0;
}

int pcap_read(struct bytes file, uint16_t port, const struct pcap_events *ev,
              struct pcap_counts *counts, struct errmsg *em)
{
    struct reader r = {.port = port, .ev = ev};
    int err = open_file(&r, file, em);
    if (err) {
        return err;
    }
    list_init(&r.order);
    while (r.rest.len > 0) {
        const uint8_t *h = r.rest.data;
        uint32_t len = r.rest.len >= PACKET_HEADER ? file_u32(&r, h + 8) : 0;
        if (r.rest.len < PACKET_HEADER || len > r.rest.len - PACKET_HEADER) {
            counts->truncated = true;
            break;
        }
        struct packet p = {0};
        int64_t sub = file_u32(&r, h + 4);
        p.time_us = (int64_t)file_u32(&r, h) * 1000000 + (r.nanos ? sub / 1000 : sub);
        counts->packets++;
        if (parse_packet(r.link, bytes_of(h + PACKET_HEADER, len), &p)) {
            counts->tcp += p.payload.len > 0;
            take_segment(&r, &p);
        }
        r.rest = bytes_of(h + PACKET_HEADER + len, r.rest.len - PACKET_HEADER - len);
    }
    end_flows(&r);
    return 0;
}
