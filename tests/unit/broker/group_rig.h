/* Group coordinators on the shards of data_rig.h, and questions to them as a connection asks. */
#ifndef TEST_GROUP_RIG_H
#define TEST_GROUP_RIG_H

enum { GROUP_RIG_TOPIC = 50 };

struct question {
    struct request request;
    struct conn_req cr;
    struct conn conn;
    struct group_request g;
    struct fake_commit commit;
    char id[32];
    char key[32];
    char text[32];
    struct fake_answer answer;
    unsigned done;
    int16_t code;
};

static const char *group_rig_peer = "127.0.0.1";

static inline void group_rig_hosts(struct rig *r)
{
    for (unsigned i = 0; i < r->node.data_shards; i++) {
        r->ns[i].groups = group_host_new(&r->ns[i]);
    }
}

static inline void group_rig_open(struct rig *r, unsigned shards, const char *const *overrides)
{
    memset(&told, 0, sizeof told);
    rig_open(r, shards, overrides);
    group_rig_hosts(r);
    rig_topic(r, 1, 1, NULL, NULL); /* the image is not empty */
}

/* Its coordinators have not begun to load when this returns. */
static inline void group_rig_topic_unloaded(struct rig *r, int32_t partitions, const char *key,
                                            const char *value)
{
    rig_topic_named(r, GROUP_RIG_TOPIC, GROUP_TOPIC, partitions, key, value);
}

static inline void group_rig_load(struct rig *r, unsigned loaded)
{
    for (int64_t end = rig_now(r) + 60000; told.loaded < loaded;) {
        rig_turn(r);
        assert_true(rig_now(r) < end);
    }
}

static inline void group_rig_topic(struct rig *r, int32_t partitions, const char *key,
                                   const char *value)
{
    group_rig_topic_unloaded(r, partitions, key, value);
    group_rig_load(r, told.loaded + (unsigned)partitions);
}

static inline void group_rig_request(struct rig *r, struct question *q, unsigned shard)
{
    memset(q, 0, sizeof *q);
    snprintf(q->conn.peer, sizeof q->conn.peer, "%s", group_rig_peer);
    q->cr.conn = &q->conn;
    q->request.cr = &q->cr;
    q->request.ns = &r->ns[shard];
    q->request.image = image_get(r->ns[shard].image);
    q->request.body = q;
}

static inline void group_rig_free(struct question *q)
{
    image_put(q->request.image);
    arena_free(&q->request.arena);
}

static inline void group_rig_done(struct request *rq, struct group_request *g, int16_t code)
{
    struct question *q = CONTAINER_OF(rq, struct question, request);
    assert_ptr_equal(g, &q->g);
    assert_true(shard_is_current(rq->ns->shard));
    q->code = code;
    q->done++;
}

static inline void group_rig_ask(struct rig *r, struct question *q, unsigned shard,
                                 enum group_event_kind kind, const char *id,
                                 const struct fake_commit *commit)
{
    group_rig_request(r, q, shard);
    snprintf(q->id, sizeof q->id, "%s", id);
    if (commit) {
        q->commit = *commit;
        snprintf(q->key, sizeof q->key, "%s", commit->key);
        snprintf(q->text, sizeof q->text, "%s", commit->text);
        q->commit.key = q->key;
        q->commit.text = q->text;
    }
    group_request_start(&q->g, &q->request, kind, bytes_str(q->id), &q->commit, &q->answer,
                        group_rig_done, NULL);
}

static inline void group_rig_commit(struct rig *r, struct question *q, unsigned shard,
                                    const char *id, const char *key, const char *text)
{
    struct fake_commit c = {.key = key, .text = text, .n = 1};
    group_rig_ask(r, q, shard, GROUP_OFFSET_COMMIT, id, &c);
}

static inline void group_rig_wait(struct rig *r, struct question *q)
{
    for (int64_t end = rig_now(r) + 60000; q->done == 0;) {
        rig_turn(r);
        assert_true(rig_now(r) < end);
    }
    assert_int_equal(q->done, 1);
    group_rig_free(q);
}

/* The route's code; the coordinator's is in q->answer. */
static inline int16_t group_rig_answer(struct rig *r, struct question *q)
{
    group_rig_wait(r, q);
    return q->code;
}

/* ---- restart: the same disk, everything else anew ---- */

static inline void group_rig_restart(struct rig *r)
{
    struct errmsg em = {{0}};
    uint64_t failed;
    for (unsigned i = 0; i < r->node.data_shards; i++) {
        group_host_stop(r->ns[i].groups);
        partition_manager_stop(r->ns[i].partitions);
    }
    for (unsigned i = 0; i < r->node.data_shards; i++) {
        struct node_shard *ns = &r->ns[i];
        while (partition_manager_busy(ns->partitions)) {
            rig_turn(r);
        }
        partition_manager_close_clean(ns->partitions, &failed);
        group_host_free(ns->groups);
        partition_manager_free(ns->partitions);
        image_put(ns->image);
        ns->image = NULL;
    }
    log_dir_close(r->dirs[0], false, -1);
    loader_free(r->loader);
    r->loader = loader_new();
    if (log_dir_open(r->ns[0].shard->io, NULL, 0, "/data", true, &r->dirs[0], &em)) {
        fail_msg("%s", em.text);
    }
    for (unsigned i = 0; i < r->node.data_shards; i++) {
        r->ns[i].partitions = partition_manager_new(&r->ns[i]);
    }
    memset(&told, 0, sizeof told);
    group_rig_hosts(r);
}

#endif
