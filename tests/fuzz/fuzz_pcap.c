/* Input: a capture file, as `millrace decode` reads it.
 *
 * Demanded: no more bytes are handed on than the file has, and none after a gap of their direction
 * or the end of their stream. */
#include "base/assert.h"
#include "tools/pcap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OVER_CLIENT = 1, OVER_SERVER = 2, OVER = 4 };

struct seen {
    size_t bytes;
};

static int flag(bool from_client)
{
    return from_client ? OVER_CLIENT : OVER_SERVER;
}

static void mark(struct pcap_stream *s, int what)
{
    ASSERT(((uintptr_t)s->user & (uintptr_t)(what | OVER)) == 0);
    s->user = (void *)((uintptr_t)s->user | (uintptr_t)what);
}

static void on_bytes(void *ctx, struct pcap_stream *s, bool from_client, int64_t time_us,
                     struct bytes data)
{
    struct seen *seen = ctx;
    UNUSED(time_us);
    ASSERT(((uintptr_t)s->user & (uintptr_t)(flag(from_client) | OVER)) == 0);
    ASSERT(data.len > 0 && s->client[0] && s->server[0]);
    seen->bytes += data.len;
}

static void on_gap(void *ctx, struct pcap_stream *s, bool from_client, int64_t time_us)
{
    UNUSED(ctx);
    UNUSED(time_us);
    mark(s, flag(from_client));
}

static void on_end(void *ctx, struct pcap_stream *s)
{
    UNUSED(ctx);
    mark(s, OVER);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct seen seen = {0};
    struct pcap_counts counts = {0};
    struct errmsg em = {{0}};
    const struct pcap_events ev = {
        .on_bytes = on_bytes, .on_gap = on_gap, .on_end = on_end, .ctx = &seen};
    int rv = pcap_read(bytes_of(data, size), 9092, &ev, &counts, &em);
    ASSERT(rv == 0 || em.text[0] != 0);
    ASSERT(seen.bytes <= size && counts.tcp <= counts.packets);
    (void)pcap_is(bytes_of(data, size));
    return 0;
}
