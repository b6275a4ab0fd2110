/* The rig of the controller tests: one controller on an inline shard in the simulator, asked
 * through controller_handle as brokers ask it. */
#ifndef TESTS_CONTROLLER_RIG_H
#define TESTS_CONTROLLER_RIG_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "controller/controller.h"
#include "controller/format.h"
#include "controller/loader.h"
#include "proto_apis.h"
#include "proto_errors.h"
#include "proto_features.h"
#include "proto_messages.h"
#include "sim/io_sim.h"

#define RIG_CLUSTER "DUO7j3nMRSCdq1RXXLLHig"

struct rig_world {
    struct sim *sim;
    struct sim_host *host;
    struct sim_proc *proc;
};

struct rig {
    struct rig_world *w;
    struct shard_group *group;
    struct shard *shard;
    struct controller *c;
    struct controller_config cfg;
    const struct logger *log; /* NULL: nothing is logged */
    struct controller_voter voter;
    struct controller_endpoint endpoint;
    int fatal;
    char why[600];
    bool stopped;
    struct arena arena; /* answers live here */
    int32_t correlation;
};

/* An answer under way. */
struct rig_answer {
    bool done;
    int err;
    struct buf frame;
};

static inline void rig_on_fatal(void *user, const char *sentence)
{
    struct rig *r = user;
    r->fatal++;
    snprintf(r->why, sizeof r->why, "%s", sentence);
}

static inline void rig_format(void *arg)
{
    struct rig_world *w = arg;
    struct io *io;
    static const char *const dirs[] = {"/d"};
    struct format_options opt = {.cluster_id = RIG_CLUSTER, .node_id = 1};
    struct errmsg em = {{0}};
    assert_int_equal(0, io_sim_make(w->proc, 0, &io, &em));
    if (format_dirs(io, dirs, 1, NULL, &opt, NULL, NULL, &em)) {
        fail_msg("%s", em.text);
    }
    io_destroy(io);
}

static inline void rig_world_init(struct rig_world *w, uint64_t seed)
{
    w->sim = sim_new(seed);
    w->sim->self_advance = true;
    w->host = sim_host_new(w->sim, 1 << 28);
    w->proc = sim_proc_new(w->host);
    assert_true(sim_proc_run(w->proc, rig_format, w));
}

static inline void rig_world_free(struct rig_world *w)
{
    struct errmsg em = {{0}};
    if (!sim_proc_end(w->proc, &em)) {
        fail_msg("left open: %s", em.text);
    }
    sim_free(w->sim);
}

/* Settings that a test may change before rig_start. */
static inline void rig_init(struct rig *r, struct rig_world *w)
{
    *r = (struct rig){.w = w};
    controller_config_init(&r->cfg);
    r->voter = (struct controller_voter){1, "localhost", 9093};
    r->endpoint = (struct controller_endpoint){"CONTROLLER", "localhost", 9093, 0};
    r->cfg.node_id = 1;
    r->cfg.cluster_id = RIG_CLUSTER;
    r->cfg.log_dir = "/d";
    r->cfg.voters = &r->voter;
    r->cfg.voters_n = 1;
    r->cfg.endpoints = &r->endpoint;
    r->cfg.endpoints_n = 1;
    r->cfg.on_fatal = rig_on_fatal;
    r->cfg.user = r;
}

static inline int rig_try_start(struct rig *r, struct errmsg *em)
{
    static const struct shard_hooks hooks = {0};
    r->group = shard_group_new(1, r->log, io_sim_make, r->w->proc, &hooks);
    assert_int_equal(0, shard_group_start_inline(r->group, em));
    r->shard = shard_group_get(r->group, 0);
    return controller_start(r->shard, &r->cfg, &r->c, em);
}

static inline void rig_start(struct rig *r)
{
    struct errmsg em = {{0}};
    if (rig_try_start(r, &em)) {
        fail_msg("%s", em.text);
    }
}

static inline void rig_turn(struct rig *r)
{
    shard_turn(r->shard, 1000);
}

static inline void rig_free_group(struct rig *r)
{
    shard_group_stop(r->group);
    rig_turn(r);
    shard_group_join(r->group);
    shard_group_free(r->group);
    arena_free(&r->arena);
}

static inline void rig_on_stopped(void *user)
{
    ((struct rig *)user)->stopped = true;
}

static inline void rig_stop(struct rig *r)
{
    r->stopped = false;
    controller_stop(r->c, rig_on_stopped, r);
    assert_false(r->stopped);
    for (int i = 0; i < 1000 && !r->stopped; i++) {
        rig_turn(r);
    }
    assert_true(r->stopped);
    rig_free_group(r);
}

static inline bool rig_active(const struct rig *r)
{
    struct controller_status s;
    controller_status(r->c, &s);
    return s.active;
}

static inline void rig_wait_active(struct rig *r)
{
    for (int i = 0; i < 1000 && !rig_active(r) && !r->fatal; i++) {
        rig_turn(r);
    }
    assert_true(rig_active(r));
}

/* ---- asking ---- */

static inline void rig_on_reply(void *user, int err, struct buf *response)
{
    struct rig_answer *a = user;
    assert_false(a->done);
    a->done = true;
    a->err = err;
    a->frame = *response;
    *response = (struct buf){0};
}

static inline void rig_frame(struct rig *r, struct buf *out, int16_t key, int16_t version,
                             const void *request)
{
    struct errmsg em = {{0}};
    proto_put_request_header(out, key, version, ++r->correlation, bytes_str("test"));
    if (proto_encode(proto_request(key), version, request, out, &em)) {
        fail_msg("%s", em.text);
    }
}

static inline void rig_send(struct rig *r, struct rig_answer *a, int16_t key, int16_t version,
                            const void *request)
{
    struct buf frame = {0};
    *a = (struct rig_answer){0};
    rig_frame(r, &frame, key, version, request);
    controller_handle(r->c, buf_bytes(&frame), rig_on_reply, a);
    buf_free(&frame);
}

static inline void rig_wait(struct rig *r, struct rig_answer *a)
{
    for (int i = 0; i < 100000 && !a->done; i++) {
        rig_turn(r);
    }
    assert_true(a->done);
}

/* Decodes the answer to the last request sent, into out. */
static inline void rig_take(struct rig *r, struct rig_answer *a, int16_t key, int16_t version,
                            void *out)
{
    int32_t correlation;
    size_t at;
    assert_int_equal(0, a->err);
    assert_int_equal(
        0, proto_skip_response_header(buf_bytes(&a->frame), key, version, &correlation, &at));
    size_t len = a->frame.len - at;
    uint8_t *copy = arena_alloc(&r->arena, len + 1);
    memcpy(copy, a->frame.data + at, len);
    size_t used;
    assert_int_equal(
        0, proto_decode(proto_response(key), version, bytes_of(copy, len), &used, &r->arena, out));
    assert_int_equal(len, used);
    buf_free(&a->frame);
}

static inline void rig_ask(struct rig *r, int16_t key, int16_t version, const void *request,
                           void *out)
{
    struct rig_answer a;
    rig_send(r, &a, key, version, request);
    rig_wait(r, &a);
    rig_take(r, &a, key, version, out);
}

/* ---- what brokers do ---- */

static inline void rig_fill_registration(struct rig *r, struct broker_registration_request *q,
                                         int32_t broker, uint8_t incarnation)
{
    proto_msg_init(&broker_registration_request_msg, q);
    q->broker_id = broker;
    q->cluster_id = bytes_str(RIG_CLUSTER);
    q->incarnation_id.b[0] = 9;
    q->incarnation_id.b[15] = incarnation;
    q->listeners = proto_array(&r->arena, &broker_registration_request_listener_desc, 1);
    q->listeners_n = 1;
    q->listeners[0].name = bytes_str("PLAINTEXT");
    q->listeners[0].host = bytes_str("localhost");
    q->listeners[0].port = 9092;
    q->features =
        proto_array(&r->arena, &broker_registration_request_feature_desc, proto_features_n);
    for (size_t i = 0; i < proto_features_n; i++) {
        q->features[i].name = bytes_str(proto_features[i].name);
        q->features[i].min_supported_version = proto_features[i].supported_min;
        q->features[i].max_supported_version = proto_features[i].supported_max;
    }
    q->features_n = (int32_t)proto_features_n;
    q->log_dirs = ARENA_ARRAY(&r->arena, struct uuid, 1);
    q->log_dirs[0].b[0] = 5;
    q->log_dirs[0].b[15] = (uint8_t)broker;
    q->log_dirs_n = 1;
}

static inline int64_t rig_register(struct rig *r, int32_t broker, uint8_t incarnation)
{
    struct broker_registration_request q;
    struct broker_registration_response resp;
    rig_fill_registration(r, &q, broker, incarnation);
    do { /* partitions of an earlier process are taken a step at a time */
        rig_ask(r, API_BROKER_REGISTRATION, 4, &q, &resp);
    } while (resp.error_code == KE_REQUEST_TIMED_OUT);
    assert_int_equal(0, resp.error_code);
    return resp.broker_epoch;
}

static inline struct broker_heartbeat_response rig_heartbeat(struct rig *r, int32_t broker,
                                                             int64_t epoch)
{
    struct broker_heartbeat_request q;
    struct broker_heartbeat_response resp;
    proto_msg_init(&broker_heartbeat_request_msg, &q);
    q.broker_id = broker;
    q.broker_epoch = epoch;
    q.current_metadata_offset = epoch;
    rig_ask(r, API_BROKER_HEARTBEAT, 1, &q, &resp);
    return resp;
}

/* Registered and unfenced; its epoch. */
static inline int64_t rig_broker(struct rig *r, int32_t broker, uint8_t incarnation)
{
    int64_t epoch = rig_register(r, broker, incarnation);
    struct broker_heartbeat_response h = rig_heartbeat(r, broker, epoch);
    assert_int_equal(0, h.error_code);
    assert_false(h.is_fenced);
    return epoch;
}

static inline void rig_topic_request(struct rig *r, struct create_topics_request *q,
                                     const char *name, int32_t partitions)
{
    proto_msg_init(&create_topics_request_msg, q);
    q->topics = proto_array(&r->arena, &create_topics_request_creatable_topic_desc, 1);
    q->topics_n = 1;
    q->topics[0].name = bytes_of(arena_strndup(&r->arena, name, strlen(name)), strlen(name));
    q->topics[0].num_partitions = partitions;
    q->topics[0].replication_factor = 1;
}

static inline int16_t rig_create(struct rig *r, const char *name, int32_t partitions)
{
    struct create_topics_request q;
    struct create_topics_response resp;
    rig_topic_request(r, &q, name, partitions);
    rig_ask(r, API_CREATE_TOPICS, 7, &q, &resp);
    assert_int_equal(1, resp.topics_n);
    return resp.topics[0].error_code;
}

static inline void rig_fill_fetch(struct rig *r, struct fetch_request *q, int64_t offset,
                                  int32_t last_epoch, int32_t wait_ms)
{
    proto_msg_init(&fetch_request_msg, q);
    q->cluster_id = bytes_str(RIG_CLUSTER);
    q->replica_state.replica_id = 2;
    q->max_wait_ms = wait_ms;
    q->topics = proto_array(&r->arena, &fetch_request_fetch_topic_desc, 1);
    q->topics_n = 1;
    q->topics[0].topic_id = uuid_reserved(1);
    q->topics[0].partitions = proto_array(&r->arena, &fetch_request_fetch_partition_desc, 1);
    q->topics[0].partitions_n = 1;
    q->topics[0].partitions[0].fetch_offset = offset;
    q->topics[0].partitions[0].last_fetched_epoch = last_epoch;
    q->topics[0].partitions[0].partition_max_bytes = 1 << 20;
}

static inline const struct fetch_response_partition_data *rig_fetch(struct rig *r, int64_t offset,
                                                                    int32_t last_epoch)
{
    struct fetch_request q;
    struct fetch_response *resp = ARENA_NEW(&r->arena, struct fetch_response);
    rig_fill_fetch(r, &q, offset, last_epoch, 0);
    rig_ask(r, API_FETCH, 17, &q, resp);
    assert_int_equal(0, resp->error_code);
    assert_int_equal(1, resp->responses_n);
    assert_int_equal(1, resp->responses[0].partitions_n);
    return &resp->responses[0].partitions[0];
}

/* An image as its records: two that say the same are the same bytes. */
static inline void rig_image_text(const struct image *img, struct buf *out)
{
    struct image_writer w;
    struct buf record = {0};
    image_writer_init(&w, img);
    while (image_writer_next(&w, &record)) {
        buf_put_be32(out, (uint32_t)record.len);
        buf_put(out, record.data, record.len);
        buf_clear(&record);
    }
    buf_free(&record);
}

static inline void rig_same_images(const struct image *a, const struct image *b)
{
    struct buf ta = {0};
    struct buf tb = {0};
    rig_image_text(a, &ta);
    rig_image_text(b, &tb);
    assert_int_equal(ta.len, tb.len);
    assert_memory_equal(ta.data, tb.data, ta.len);
    buf_free(&ta);
    buf_free(&tb);
}

#endif
