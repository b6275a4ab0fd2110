/* Nanoseconds per message of the interpreter for the messages of the hot path, and how many bytes
 * of memory a decoded one takes. Each figure is the best of many rounds, which other load of the
 * machine disturbs least. Usage: proto_bench [seconds per cell, default 0.5]. A tool: reads the
 * clock itself. Records are slices that nobody copies while decoding, so 16 KiB of them stand
 * for any size; encoding copies them unless they are spliced. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/assert.h"
#include "proto_messages.h"

enum { RECORDS = 16384, ROUND = 64 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

struct cell {
    const char *name;
    const struct proto_message *m;
    int16_t version;
    const void *msg;
    bool spliced;
};

static void encode_once(const struct cell *c, struct buf *out)
{
    struct proto_splice v[64];
    struct proto_splices splices = {v, 0, 64};
    buf_clear(out);
    int err = c->spliced ? proto_encode_spliced(c->m, c->version, c->msg, out, &splices, NULL)
                         : proto_encode(c->m, c->version, c->msg, out, NULL);
    ASSERT(err == 0);
}

static double encode_ns(const struct cell *c, double seconds, struct buf *out)
{
    double best = 1e9;
    double start = now();
    double round = start;
    while (round - start < seconds) {
        for (int i = 0; i < ROUND; i++) {
            encode_once(c, out);
        }
        double end = now();
        best = end - round < best ? end - round : best;
        round = end;
    }
    return best * 1e9 / ROUND;
}

static double decode_ns(const struct cell *c, double seconds, struct bytes in, struct arena *a)
{
    double best = 1e9;
    double start = now();
    double round = start;
    uint8_t msg[1024] __attribute__((aligned(16)));
    while (round - start < seconds) {
        for (int i = 0; i < ROUND; i++) {
            arena_reset(a);
            int err = proto_decode(c->m, c->version, in, NULL, a, msg);
            ASSERT(err == 0);
        }
        double end = now();
        best = end - round < best ? end - round : best;
        round = end;
    }
    return best * 1e9 / ROUND;
}

static void run(const struct cell *c, double seconds)
{
    struct buf out = {0};
    struct arena a = {0};
    double encode = encode_ns(c, seconds, &out);
    if (c->spliced) {
        printf("%-34s %8.0f ns encode %10s\n", c->name, encode, "");
    } else {
        double decode = decode_ns(c, seconds, buf_bytes(&out), &a);
        printf("%-34s %8.0f ns encode %8.0f ns decode %8zu bytes on the wire %6zu in the arena\n",
               c->name, encode, decode, out.len, a.used);
    }
    buf_free(&out);
    arena_free(&a);
}

static uint8_t records[RECORDS];

static void produce_cells(double seconds)
{
    struct produce_request_partition_produce_data part;
    struct produce_request_topic_produce_data topic;
    struct produce_request r;
    proto_msg_init(&produce_request_msg, &r);
    proto_init(&produce_request_topic_produce_data_desc, &topic);
    proto_init(&produce_request_partition_produce_data_desc, &part);
    r.acks = -1;
    r.timeout_ms = 30000;
    r.topic_data = &topic;
    r.topic_data_n = 1;
    topic.name = bytes_str("orders");
    topic.partition_data = &part;
    topic.partition_data_n = 1;
    part.records = bytes_of(records, 200);
    run(&(struct cell){"ProduceRequest v9, 200 B", &produce_request_msg, 9, &r, false}, seconds);
    part.records = bytes_of(records, RECORDS);
    run(&(struct cell){"ProduceRequest v9, 16 KiB", &produce_request_msg, 9, &r, false}, seconds);
    run(&(struct cell){"ProduceRequest v13, 16 KiB", &produce_request_msg, 13, &r, false}, seconds);
    struct produce_response_partition_produce_response done;
    struct produce_response_topic_produce_response topic_done;
    struct produce_response p;
    proto_msg_init(&produce_response_msg, &p);
    proto_init(&produce_response_topic_produce_response_desc, &topic_done);
    proto_init(&produce_response_partition_produce_response_desc, &done);
    p.responses = &topic_done;
    p.responses_n = 1;
    topic_done.name = bytes_str("orders");
    topic_done.partition_responses = &done;
    topic_done.partition_responses_n = 1;
    run(&(struct cell){"ProduceResponse v9", &produce_response_msg, 9, &p, false}, seconds);
}

static void fetch_cells(double seconds, int partitions)
{
    struct fetch_request_fetch_partition wanted[64];
    struct fetch_response_partition_data got[64];
    struct fetch_request_fetch_topic topic;
    struct fetch_response_fetchable_topic_response topic_got;
    struct fetch_request r;
    struct fetch_response p;
    char name[64];
    proto_msg_init(&fetch_request_msg, &r);
    proto_init(&fetch_request_fetch_topic_desc, &topic);
    proto_msg_init(&fetch_response_msg, &p);
    proto_init(&fetch_response_fetchable_topic_response_desc, &topic_got);
    r.topics = &topic;
    r.topics_n = 1;
    topic.topic_id.b[3] = 1;
    topic.partitions = wanted;
    topic.partitions_n = partitions;
    p.responses = &topic_got;
    p.responses_n = 1;
    topic_got.partitions = got;
    topic_got.partitions_n = partitions;
    for (int i = 0; i < partitions; i++) {
        proto_init(&fetch_request_fetch_partition_desc, &wanted[i]);
        proto_init(&fetch_response_partition_data_desc, &got[i]);
        wanted[i].partition = got[i].partition_index = i;
        got[i].records = bytes_of(records, RECORDS);
    }
    snprintf(name, sizeof name, "FetchRequest v13, %d partitions", partitions);
    run(&(struct cell){name, &fetch_request_msg, 13, &r, false}, seconds);
    snprintf(name, sizeof name, "FetchResponse v13, %d x 16 KiB", partitions);
    run(&(struct cell){name, &fetch_response_msg, 13, &p, false}, seconds);
    for (int i = 0; i < partitions; i++) {
        got[i].records.data = PROTO_SPLICE;
    }
    snprintf(name, sizeof name, "FetchResponse v13, %d spliced", partitions);
    run(&(struct cell){name, &fetch_response_msg, 13, &p, true}, seconds);
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 0.5;
    produce_cells(seconds);
    fetch_cells(seconds, 1);
    fetch_cells(seconds, 50);
    return 0;
}
