/* The data shards of a broker without its node: partition managers over real logs on the
 * simulator's disk, shards turned by the test in virtual time, and metadata that the test writes
 * record by record. node.c stays out: its functions that the data plane calls are here. */
#ifndef TEST_DATA_RIG_H
#define TEST_DATA_RIG_H

#include <stdio.h>

#include "base/mem.h"
#include "broker/append.h"
#include "broker/call.h"
#include "broker/config.h"
#include "broker/dir_assign.h"
#include "broker/fetch_wait.h"
#include "broker/group_host.h"
#include "broker/group_route.h"
#include "broker/messages.h"
#include "broker/partition.h"
#include "broker/partition_manager.h"
#include "broker/shard_stats.h"
#include "broker/replica/alter.h"
#include "broker/replica/isr.h"
#include "broker/replica/standing.h"
#include "controller/loader.h"
#include "proto/message.h"
#include "proto/record_batch.h"
#include "proto_errors.h"
#include "proto_messages.h"
#include "sim/io_sim.h"
#include "storage/log_dir.h"

enum { RIG_SHARDS_MAX = 4, RIG_NODE = 1, RIG_DIRS_MAX = 2 };

struct rig {
    struct sim *sim;
    struct sim_host *host;
    struct sim_proc *proc;
    struct config *config;
    struct shard_group *group;
    struct node node;
    struct node_shard ns[RIG_SHARDS_MAX];
    struct log_dir *dirs[RIG_DIRS_MAX]; /* log.dirs: "/data", if no override names others */
    struct loader *loader;
    unsigned dirs_failed;
    unsigned reports; /* of dir_assign */
    int reported_dir; /* the last of them */
    unsigned frames_released;
    unsigned refused; /* requests */
    size_t answer_max;
    bool late[RIG_SHARDS_MAX]; /* images reach this shard with rig_catch_up */
    struct image_delta *missed[RIG_SHARDS_MAX];
};

/* ---- node.c's ---- */

unsigned node_home_shard(const struct node *n, struct uuid topic_id, int32_t partition)
{
    return (topic_id.b[15] + (uint32_t)partition) % n->data_shards;
}

uint32_t node_file_limit(const struct node *n)
{
    UNUSED(n);
    return 16;
}

int64_t image_version(const struct node_shard *ns)
{
    return ns->image ? ns->image->offset : -1;
}

bool node_wait_image(struct node_shard *ns, struct msg *m, int64_t image_offset)
{
    struct rig *r = CONTAINER_OF(ns->node, struct rig, node);
    if (image_version(ns) >= image_offset) {
        return false;
    }
    assert_non_null(r->missed[ns->index]); /* nobody else may be behind */
    list_push_back(&ns->image_wait, &m->node);
    return true;
}

void node_dir_failed(struct node_shard *ns, unsigned dir)
{
    struct rig *r = CONTAINER_OF(ns->node, struct rig, node);
    r->dirs_failed++;
    for (unsigned i = 0; i < r->node.data_shards; i++) {
        partition_manager_dir_failed(r->ns[i].partitions, dir);
    }
}

void dir_assign_report(struct node_shard *ns, struct uuid topic_id, int32_t partition, unsigned dir)
{
    struct rig *r = CONTAINER_OF(ns->node, struct rig, node);
    UNUSED(topic_id);
    UNUSED(partition);
    r->reports++;
    r->reported_dir = (int)dir;
}

/* request.c stays out as well. */
void request_release_frame(struct request *r, size_t used)
{
    UNUSED(used);
    CONTAINER_OF(r->ns->node, struct rig, node)->frames_released++;
    r->body = NULL;
}

void request_refuse(struct request *r, const char *fmt, ...)
{
    UNUSED(fmt);
    CONTAINER_OF(r->ns->node, struct rig, node)->refused++;
}

size_t request_answer_max(const struct node_shard *ns)
{
    return CONTAINER_OF(ns->node, struct rig, node)->answer_max;
}

static void rig_on_msg(struct shard *sh, struct msg *m)
{
    struct node_shard *ns = sh->user;
    switch ((enum broker_msg_kind)m->kind) {
    case MSG_APPEND:
        append_on_msg(ns, m);
        break;
    case MSG_FETCH_LEG:
    case MSG_FETCH_RECALL:
    case MSG_LEASE:
        fetch_on_msg(ns, m);
        break;
    case MSG_STANDING:
        standing_on_msg(ns, m);
        break;
    case MSG_CALL:
        call_on_msg(sh, m);
        break;
    case MSG_GROUP:
    case MSG_GROUP_SEEN:
        group_route_on_msg(ns, m);
        break;
    default:
        fail_msg("message %d", (int)m->kind);
    }
}

/* ---- life ---- */

/* A single one has none, as in partition records here. */
static struct uuid rig_dir_id(const struct rig *r, unsigned dir)
{
    return uuid_reserved(r->node.log_dirs_n > 1 ? (uint8_t)(50 + dir) : 0);
}

static void rig_open(struct rig *r, unsigned shards, const char *const *overrides)
{
    struct config_machine machine = {.hostname = "h", .processors = shards};
    struct errmsg em = {{0}};
    memset(r, 0, sizeof *r);
    r->answer_max = 1 << 20;
    r->config = config_new();
    config_zero(r->config, "/data", 9092);
    for (; overrides && *overrides; overrides++) {
        assert_int_equal(config_add_override(r->config, *overrides, &em), 0);
    }
    if (config_finish(r->config, &machine, NULL, &em)) {
        fail_msg("%s", em.text);
    }
    r->sim = sim_new(1);
    r->host = sim_host_new(r->sim, 64 << 20);
    r->proc = sim_proc_new(r->host);
    r->group = shard_group_new(shards, NULL, io_sim_make, r->proc, NULL);
    assert_int_equal(shard_group_start_inline(r->group, &em), 0);
    r->node.config = r->config;
    r->node.group = r->group;
    r->node.shards = r->ns;
    r->node.data_shards = shards;
    r->node.id = RIG_NODE;
    r->node.log_dirs = r->dirs;
    r->node.log_dirs_n = (unsigned)r->config->log_dirs_n;
    assert_in_range(r->node.log_dirs_n, 1, RIG_DIRS_MAX);
    r->loader = loader_new();
    for (unsigned i = 0; i < shards; i++) {
        struct node_shard *ns = &r->ns[i];
        ns->node = &r->node;
        ns->index = i;
        ns->shard = shard_group_get(r->group, i);
        ns->shard->user = ns;
        ns->shard->on_msg = rig_on_msg;
        list_init(&ns->image_wait);
    }
    for (unsigned d = 0; d < r->node.log_dirs_n; d++) {
        if (log_dir_open(r->ns[0].shard->io, NULL, d, r->config->log_dirs[d], true, &r->dirs[d],
                         &em)) {
            fail_msg("%s", em.text);
        }
        r->dirs[d]->meta.directory_id = rig_dir_id(r, d);
        r->dirs[d]->all_open = true; /* what they hold is opened with the first metadata */
    }
    for (unsigned i = 0; i < shards; i++) {
        r->ns[i].partitions = partition_manager_new(&r->ns[i]);
        r->ns[i].alter = isr_alter_new(&r->ns[i]);
        r->ns[i].stats = shard_stats_new(1);
    }
}

static int64_t rig_now(const struct rig *r)
{
    return shard_now_ms(r->ns[0].shard);
}

/* A turn of every shard; then, if nobody has anything to do, time passes. */
static void rig_turn(struct rig *r)
{
    struct sim_clock *clock = &r->sim->clock;
    int64_t next = clock->now_us + 1000; /* at most */
    sim_clock_run_due(clock);
    for (unsigned i = 0; i < r->node.data_shards; i++) {
        shard_turn(r->ns[i].shard, 0);
    }
    for (unsigned i = 0; i < r->node.data_shards; i++) {
        struct shard *sh = r->ns[i].shard;
        int64_t at = io_sim_ready(sh->io) ? 0 : shard_next_deadline_us(sh);
        next = at < next ? at : next;
    }
    int64_t event = sim_clock_next(clock);
    next = event < next ? event : next;
    if (next > clock->now_us) {
        sim_clock_advance(clock, next - clock->now_us);
    }
}

static void rig_run(struct rig *r, int64_t ms)
{
    for (int64_t end = rig_now(r) + ms; rig_now(r) < end;) {
        rig_turn(r);
    }
}

/* What is left once the managers have been stopped, at rest or not. */
static void rig_free(struct rig *r)
{
    struct errmsg em = {{0}};
    for (unsigned i = 0; i < r->node.data_shards; i++) {
        group_host_free(r->ns[i].groups);
        partition_manager_free(r->ns[i].partitions);
        isr_alter_free(r->ns[i].alter);
        shard_stats_free(r->ns[i].stats);
        image_put(r->ns[i].image);
    }
    for (unsigned d = 0; d < r->node.log_dirs_n; d++) {
        log_dir_close(r->dirs[d], false, -1);
    }
    loader_free(r->loader);
    rig_turn(r); /* the fetchers' channels go in a turn of their own */
    shard_group_stop(r->group);
    shard_group_join(r->group);
    shard_group_free(r->group);
    config_free(r->config);
    if (!sim_proc_end(r->proc, &em)) {
        fail_msg("%s", em.text);
    }
    sim_free(r->sim);
}

static void rig_stop(struct rig *r)
{
    for (unsigned i = 0; i < r->node.data_shards; i++) {
        if (r->ns[i].groups) {
            group_host_stop(r->ns[i].groups);
        }
        partition_manager_stop(r->ns[i].partitions);
    }
}

static void rig_shut(struct rig *r)
{
    uint64_t failed;
    rig_stop(r);
    rig_turn(r); /* channels that were closed end with it */
    for (int i = 0; i < 10000; i++) {
        bool busy = false;
        for (unsigned k = 0; k < r->node.data_shards; k++) {
            busy = busy || partition_manager_busy(r->ns[k].partitions);
        }
        if (!busy) {
            break;
        }
        rig_turn(r);
    }
    for (unsigned i = 0; i < r->node.data_shards; i++) {
        assert_false(partition_manager_busy(r->ns[i].partitions));
        partition_manager_close_clean(r->ns[i].partitions, &failed);
    }
    rig_free(r);
}

/* As a node that is freed without a stop ends: between two turns, whatever is under way. */
static inline void rig_drop(struct rig *r)
{
    rig_stop(r);
    rig_free(r);
}

/* ---- metadata ---- */

static void rig_record(struct rig *r, const struct proto_message *m, int16_t version,
                       const void *record)
{
    struct errmsg em = {{0}};
    struct batch_options opt = BATCH_OPTIONS_DEFAULT;
    struct batch_builder b = {0};
    struct buf value = {0};
    struct buf batch = {0};
    opt.base_offset = loader_next_offset(r->loader);
    opt.leader_epoch = 1;
    if (proto_encode_metadata_record(m, version, record, &value, &em)) {
        fail_msg("%s", em.text);
    }
    batch_builder_init(&b, &opt);
    batch_builder_add(&b, 1000, BYTES_NULL, buf_bytes(&value), NULL, 0);
    assert_int_equal(batch_builder_finish(&b, &batch), 0);
    if (loader_feed(r->loader, buf_bytes(&batch), &em)) {
        fail_msg("%s", em.text);
    }
    batch_builder_free(&b);
    buf_free(&value);
    buf_free(&batch);
}

static void rig_apply(struct rig *r, unsigned shard, const struct image_delta *d)
{
    struct node_shard *ns = &r->ns[shard];
    struct list *at;
    partition_manager_apply(ns->partitions, d);
    if (ns->groups) {
        group_host_apply(ns->groups, d);
    }
    image_put(ns->image);
    ns->image = image_get(d->image);
    while ((at = list_pop_front(&ns->image_wait)) != NULL) {
        rig_on_msg(ns->shard, LIST_ENTRY(at, struct msg, node));
    }
}

static void rig_publish(struct rig *r)
{
    struct image_delta *d;
    assert_true(loader_publish(r->loader, &d));
    for (unsigned i = 0; i < r->node.data_shards; i++) {
        if (r->late[i]) {
            assert_null(r->missed[i]);
            r->missed[i] = image_delta_get(d);
        } else {
            rig_apply(r, i, d);
        }
    }
    image_delta_put(d);
}

/* The late shard learns what it has missed, and what waited there for it goes on. */
static inline void rig_catch_up(struct rig *r, unsigned shard)
{
    struct image_delta *d = r->missed[shard];
    assert_non_null(d);
    r->missed[shard] = NULL;
    r->late[shard] = false;
    rig_apply(r, shard, d);
    image_delta_put(d);
}

static struct uuid rig_topic_id(uint8_t n)
{
    return uuid_reserved((uint8_t)(100 + n));
}

/* Topic n under a name of the test's. */
static void rig_topic_named(struct rig *r, uint8_t n, const char *name, int32_t partitions,
                            const char *key, const char *value)
{
    struct topic_record t;
    proto_msg_init(&topic_record_msg, &t);
    t.name = bytes_str(name);
    t.topic_id = rig_topic_id(n);
    rig_record(r, &topic_record_msg, 0, &t);
    if (key) {
        struct config_record c;
        proto_msg_init(&config_record_msg, &c);
        c.resource_type = CONFIG_TOPIC;
        c.resource_name = bytes_str(name);
        c.name = bytes_str(key);
        c.value = bytes_str(value);
        rig_record(r, &config_record_msg, 0, &c);
    }
    for (int32_t i = 0; i < partitions; i++) {
        struct partition_record p;
        int32_t replica = RIG_NODE;
        struct uuid dir = uuid_reserved(0);
        proto_msg_init(&partition_record_msg, &p);
        p.partition_id = i;
        p.topic_id = t.topic_id;
        p.replicas = &replica;
        p.replicas_n = 1;
        p.isr = &replica;
        p.isr_n = 1;
        p.leader = RIG_NODE;
        p.leader_epoch = 0;
        p.directories = &dir;
        p.directories_n = 1;
        rig_record(r, &partition_record_msg, 1, &p);
    }
    rig_publish(r);
}

/* Topic n, "topicN", led by this node (or by another). */
static inline void rig_topic(struct rig *r, uint8_t n, int32_t partitions, const char *key,
                             const char *value)
{
    char name[16];
    snprintf(name, sizeof name, "topic%u", n);
    rig_topic_named(r, n, name, partitions, key, value);
}

static inline void rig_remove_topic(struct rig *r, uint8_t n)
{
    struct remove_topic_record t;
    proto_msg_init(&remove_topic_record_msg, &t);
    t.topic_id = rig_topic_id(n);
    rig_record(r, &remove_topic_record_msg, 0, &t);
    rig_publish(r);
}

/* The partition's leader becomes another (-1: none). */
static inline void rig_leader(struct rig *r, uint8_t n, int32_t partition, int32_t leader)
{
    struct partition_change_record c;
    proto_msg_init(&partition_change_record_msg, &c);
    c.topic_id = rig_topic_id(n);
    c.partition_id = partition;
    c.leader = leader;
    rig_record(r, &partition_change_record_msg, 0, &c);
    rig_publish(r);
}

static struct partition *rig_partition(struct rig *r, uint8_t n, int32_t partition)
{
    unsigned home = node_home_shard(&r->node, rig_topic_id(n), partition);
    return partition_find(r->ns[home].partitions, rig_topic_id(n), partition);
}

/* A broker registers, or its registration changes; published with what follows. It is in a rack of
 * its own, "rackN". */
static inline void rig_broker(struct rig *r, int32_t id, int64_t epoch, bool fenced)
{
    struct register_broker_record b;
    struct register_broker_record_broker_endpoint e = {
        .name = bytes_str("PLAINTEXT"), .host = bytes_str("h"), .port = 9092};
    char rack[16];
    snprintf(rack, sizeof rack, "rack%d", (int)id);
    proto_msg_init(&register_broker_record_msg, &b);
    b.end_points = &e;
    b.end_points_n = 1;
    b.rack = bytes_str(rack);
    b.broker_id = id;
    b.broker_epoch = epoch;
    b.fenced = fenced;
    rig_record(r, &register_broker_record_msg, 3, &b);
}

/* Topic n, "topicN", of one partition with these replicas, the first of which leads. */
static inline void rig_replicated(struct rig *r, uint8_t n, const int32_t *replicas, int32_t count)
{
    struct topic_record t;
    struct partition_record p;
    struct uuid dirs[8] = {uuid_reserved(0)};
    char name[16];
    snprintf(name, sizeof name, "topic%u", n);
    proto_msg_init(&topic_record_msg, &t);
    t.name = bytes_str(name);
    t.topic_id = rig_topic_id(n);
    rig_record(r, &topic_record_msg, 0, &t);
    proto_msg_init(&partition_record_msg, &p);
    p.partition_id = 0;
    p.topic_id = t.topic_id;
    p.replicas = p.isr = (int32_t *)(uintptr_t)replicas;
    p.replicas_n = p.isr_n = p.directories_n = count;
    p.leader = replicas[0];
    p.leader_epoch = 0;
    p.partition_epoch = 0;
    p.directories = dirs;
    rig_record(r, &partition_record_msg, 1, &p);
    rig_publish(r);
}

/* A follower's fetch has come from this offset; -1: it has everything. */
static inline bool rig_follower(struct rig *r, uint8_t n, int32_t partition, int32_t id,
                                int64_t broker_epoch, int64_t offset)
{
    struct partition *p = rig_partition(r, n, partition);
    struct isr_follower *f = isr_follower(p->isr, id);
    assert_non_null(f);
    return partition_fetched(p, f, broker_epoch, offset < 0 ? plog_end_offset(p->log) : offset,
                             plog_start_offset(p->log));
}

/* ---- batches ---- */

/* One batch with a record for each number in [first, first + n), as text. */
static inline void rig_batch(struct buf *out, int64_t first, int n, const struct batch_options *o)
{
    struct batch_options opt = o ? *o : BATCH_OPTIONS_DEFAULT;
    struct batch_builder b = {0};
    batch_builder_init(&b, &opt);
    for (int i = 0; i < n; i++) {
        char value[32];
        snprintf(value, sizeof value, "%lld", (long long)first + i);
        batch_builder_add(&b, 1700000000000, BYTES_NULL, bytes_str(value), NULL, 0);
    }
    assert_int_equal(batch_builder_finish(&b, out), 0);
    batch_builder_free(&b);
}

#endif
