/* The coordinator's core without a node: offset commits per second through step (with and without
 * the step that says they are written), records replayed per second, memory per committed offset.
 * Usage: group_bench [seconds per cell, default 1]. Time is CPU time, so other programs hardly
 * disturb it. A tool: reads the clock itself. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "broker/group/group_private.h"

enum { GROUPS = 64, PIPELINE = 16 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static const struct group_config config = {
    .session_min_ms = 6000,
    .session_max_ms = 1800000,
    .max_size = INT32_MAX,
    .offset_metadata_max = 4096,
    .offsets_retention_ms = INT64_C(604800000),
    .memory_max = UINT64_C(8) << 30,
};

static struct siphash_key secret = {{1, 2}};

/* ---- commits ---- */

struct commit_ask {
    struct group_ask ask;
    struct arena arena;
    struct offset_commit_request q;
    struct offset_commit_response out;
    struct offset_commit_request_offset_commit_request_topic topic;
    struct offset_commit_request_offset_commit_request_partition *partitions;
    char group[32];
};

static void ask_init(struct commit_ask *a, int group, int partitions)
{
    snprintf(a->group, sizeof a->group, "consumer-group-%d", group);
    a->ask.version = 9;
    a->ask.arena = &a->arena;
    a->ask.request = &a->q;
    a->ask.response = &a->out;
    proto_msg_init(&offset_commit_request_msg, &a->q);
    proto_init(&offset_commit_request_offset_commit_request_topic_desc, &a->topic);
    a->partitions = mem_zalloc((size_t)partitions * sizeof *a->partitions);
    a->q.group_id = bytes_str(a->group);
    a->q.member_id = bytes_str("");
    a->q.topics = &a->topic;
    a->q.topics_n = 1;
    a->topic.name = bytes_str("orders.created.v1");
    a->topic.topic_id.b[0] = 1;
    a->topic.partitions = a->partitions;
    a->topic.partitions_n = partitions;
    for (int i = 0; i < partitions; i++) {
        a->partitions[i].partition_index = i;
        a->partitions[i].committed_metadata = bytes_of("", 0);
    }
}

/* PIPELINE commits go in, then the writes of all are said to be committed. */
static void bench_commits(int partitions, double seconds)
{
    struct group_coordinator *c = group_coordinator_new(&config, &secret);
    struct group_effects fx;
    static struct commit_ask asks[GROUPS];
    struct group_op *ops[PIPELINE];
    uint64_t done = 0;
    int64_t offset = 0;
    group_effects_init(&fx);
    group_coordinator_loaded(c, 0, 0, &fx);
    for (int i = 0; i < GROUPS; i++) {
        ask_init(&asks[i], i, partitions);
    }
    double start = now(), end = start;
    while (end - start < seconds) {
        for (int turn = 0; turn < 1000; turn++) {
            int n = 0;
            for (int i = 0; i < PIPELINE; i++) {
                struct commit_ask *a = &asks[(done + (uint64_t)i) % GROUPS];
                struct group_event ev = {.kind = GROUP_OFFSET_COMMIT, .wall_ms = 5, .ask = &a->ask};
                arena_reset(&a->arena);
                a->partitions[0].committed_offset = (int64_t)done;
                group_coordinator_step(c, &ev, &fx);
            }
            list_for_each (it, &fx.writes) {
                ops[n++] = LIST_ENTRY(it, struct group_write, node)->op;
            }
            group_effects_reset(&fx);
            for (int i = 0; i < n; i++) {
                struct group_event ev = {.kind = GROUP_WRITTEN, .op = ops[i], .offset = offset};
                group_coordinator_step(c, &ev, &fx);
                offset += partitions;
            }
            group_effects_reset(&fx);
            done += PIPELINE;
        }
        end = now();
    }
    printf("commit of %3d partitions %9.0f/s  %6.3f us a commit, %6.3f us a partition\n",
           partitions, (double)done / (end - start), (end - start) / (double)done * 1e6,
           (end - start) / (double)done / partitions * 1e6);
    struct group_event unload = {.kind = GROUP_UNLOAD, .code = KE_NOT_COORDINATOR};
    group_coordinator_step(c, &unload, &fx);
    group_coordinator_free(c);
    group_effects_free(&fx);
    for (int i = 0; i < GROUPS; i++) {
        arena_free(&asks[i].arena);
        mem_free(asks[i].partitions);
    }
    memset(asks, 0, sizeof asks);
}

/* ---- replay ---- */

struct records {
    struct group_effects fx; /* owns the bytes */
    struct group_record *v;
    uint32_t n;
};

static void records_make(struct records *r, uint32_t groups, uint32_t partitions, uint32_t turns)
{
    group_effects_init(&r->fx);
    r->n = groups * partitions * turns;
    r->v = mem_alloc(r->n * sizeof *r->v);
    uint32_t at = 0;
    for (uint32_t turn = 0; turn < turns; turn++) {
        for (uint32_t g = 0; g < groups; g++) {
            char group[32];
            snprintf(group, sizeof group, "consumer-group-%u", g);
            for (uint32_t p = 0; p < partitions; p++) {
                struct offset_commit_value v = {.offset = turn,
                                                .leader_epoch = 3,
                                                .metadata = bytes_of("", 0),
                                                .commit_timestamp = 5,
                                                .expire_timestamp = -1,
                                                .topic_id = {{1}}};
                r->v[at++] = group_record_offset(&r->fx, bytes_str(group),
                                                 bytes_str("orders.created.v1"), (int32_t)p, &v, 4);
            }
        }
    }
}

static void bench_replay(uint32_t groups, uint32_t partitions, uint32_t turns)
{
    struct records r;
    records_make(&r, groups, partitions, turns);
    struct group_coordinator *c = group_coordinator_new(&config, &secret);
    double start = now();
    for (uint32_t i = 0; i < r.n; i++) {
        struct group_replay rp = {.producer_id = -1, .timestamp = 5, .offset = i};
        if (group_coordinator_replay(c, &rp, r.v[i].key, r.v[i].value) != 0) {
            fprintf(stderr, "a record was not taken\n");
            exit(1);
        }
    }
    double took = now() - start;
    struct group_counts n = group_coordinator_counts(c);
    printf("replay of %7u groups x %6u partitions x %u %9.0f records/s  %6.3f us a record  "
           "%llu offsets, %.0f bytes each\n",
           groups, partitions, turns, r.n / took, took / r.n * 1e6, (unsigned long long)n.offsets,
           (double)n.bytes / (double)n.offsets);
    group_coordinator_free(c);
    mem_free(r.v);
    group_effects_free(&r.fx);
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 1;
    bench_commits(1, seconds);
    bench_commits(10, seconds);
    bench_commits(100, seconds);
    bench_replay(10000, 100, 1);
    bench_replay(1000000, 1, 1);
    bench_replay(1, 1000000, 1);
    bench_replay(1000, 100, 10);
    return 0;
}
