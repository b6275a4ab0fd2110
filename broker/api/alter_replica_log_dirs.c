/* AlterReplicaLogDirs (34), versions 1 and 2: replicas of this broker are to lie in another one of
 * its log directories. The answer says that a move has begun (dir_move.h), or that there is nothing
 * to move; DescribeLogDirs shows how far it is.
 *
 * In Kafka's order: a name that leaves no room for the suffix of a future log
 * (INVALID_TOPIC_EXCEPTION), a path that is none of log.dirs, to the letter (LOG_DIR_NOT_FOUND), a
 * directory that is offline or a replica whose own is (KAFKA_STORAGE_ERROR), a replica that this
 * broker does not have: REPLICA_NOT_AVAILABLE, a partition that nobody has:
 * UNKNOWN_TOPIC_OR_PARTITION; if it comes later it is made there (dir_wanted.h). One that is named
 * twice: the last directory. */
#include <inttypes.h>
#include <stdio.h>

#include "broker/api/errors.h"
#include "broker/api/handlers.h"
#include "broker/api/named_once.h"
#include "broker/call.h"
#include "broker/config.h"
#include "broker/dir_move.h"
#include "broker/partition_manager.h"
#include "broker/scatter.h"
#include "controller/image.h"
#include "proto_messages.h"
#include "storage/log.h"

enum { NAME_LEN = 32 }; /* of "-" and a partition, and more */

#define TOPIC struct alter_replica_log_dirs_response_alter_replica_log_dir_topic_result

struct row {
    struct scatter_item it;
    unsigned dir;
    bool unknown; /* there is no such partition */
    TOPIC *topic; /* of the answer */
};

/* A shard that notes directories of partitions which nobody has. */
struct note_call {
    struct call call;
    struct state *s;
};

struct state {
    struct request *r;
    struct alter_replica_log_dirs_response *resp;
    struct row *rows;
    uint32_t n;
    bool unknown; /* some partitions are */
    struct note_call *notes;
    unsigned out;
};

static void run(struct node_shard *home, struct partition *p, struct scatter_item *it, void *user,
                struct arena *a)
{
    const struct row *row = CONTAINER_OF(it, struct row, it);
    UNUSED(user);
    UNUSED(a);
    if (p) {
        it->error = dir_move_ask(p, row->dir);
    } else {
        dir_wanted_set(&home->partitions->dirs, row->topic->topic_name, it->index, row->dir);
        it->error = KE_REPLICA_NOT_AVAILABLE;
    }
}

static void answer(struct state *s)
{
    struct request *r = s->r;
    for (int32_t i = 0; i < s->resp->results_n; i++) {
        TOPIC *t = &s->resp->results[i];
        t->partitions = proto_array(
            &r->arena, &alter_replica_log_dirs_response_alter_replica_log_dir_partition_result_desc,
            (size_t)t->partitions_n);
        t->partitions_n = 0;
    }
    for (uint32_t i = 0; i < s->n; i++) {
        TOPIC *t = s->rows[i].topic;
        t->partitions[t->partitions_n].partition_index = s->rows[i].it.index;
        t->partitions[t->partitions_n++].error_code = s->rows[i].it.error;
    }
    request_reply(r, s->resp);
}

/* ---- notes of what nobody has ---- */

static void note_run(struct shard *sh, struct call *c)
{
    const struct state *s = ((struct note_call *)c->user)->s;
    struct dir_wanted *w = &node_shard_of(sh)->partitions->dirs;
    for (uint32_t i = 0; i < s->n; i++) {
        if (s->rows[i].unknown) {
            dir_wanted_set(w, s->rows[i].topic->topic_name, s->rows[i].it.index, s->rows[i].dir);
        }
    }
    call_finish(sh, c);
}

static void note_done(struct shard *sh, struct call *c)
{
    struct state *s = ((struct note_call *)c->user)->s;
    UNUSED(sh);
    if (--s->out == 0) {
        answer(s);
    }
}

static void done(struct request *r, void *user)
{
    struct state *s = user;
    if (!s->unknown) {
        answer(s);
        return;
    }
    s->out = request_node(r)->data_shards;
    s->notes = ARENA_ARRAY(&r->arena, struct note_call, s->out);
    for (unsigned i = 0; i < request_node(r)->data_shards; i++) {
        s->notes[i].s = s;
        call_start(r->ns->shard, i, &s->notes[i].call, note_run, note_done, &s->notes[i]);
    }
}

/* ---- the request ---- */

static bool name_fits(struct request *r, struct bytes topic, int32_t index)
{
    char *name = arena_alloc(&r->arena, topic.len + NAME_LEN);
    snprintf(name, topic.len + NAME_LEN, "%.*s-%" PRId32, (int)topic.len, (const char *)topic.data,
             index);
    return plog_future_name_fits(name);
}

/* The directory of that path; a wire code if it will not do. */
static int16_t find_dir(struct request *r, struct bytes path, unsigned *dir)
{
    const struct node *n = request_node(r);
    for (unsigned d = 0; d < n->log_dirs_n; d++) {
        if (bytes_eq_str(path, n->config->log_dirs[d])) {
            *dir = d;
            return n->log_dirs[d] == NULL || r->ns->partitions->store.dir_offline[d]
                       ? KE_KAFKA_STORAGE_ERROR
                       : KE_NONE;
        }
    }
    return KE_LOG_DIR_NOT_FOUND;
}

static void set_row(struct state *s, struct row *row, struct bytes topic, int16_t dir_error,
                    unsigned dir)
{
    struct request *r = s->r;
    const struct image_topic *t = image_topic_by_name(r->image, topic);
    row->dir = dir;
    row->unknown = false;
    if (!name_fits(r, topic, row->it.index)) {
        row->it.error = KE_INVALID_TOPIC_EXCEPTION;
    } else if (dir_error) {
        row->it.error = dir_error;
    } else if (t == NULL || image_partition(t, row->it.index) == NULL) {
        row->it.error = KE_UNKNOWN_TOPIC_OR_PARTITION;
        row->unknown = s->unknown = true;
    } else {
        row->it.error = KE_NONE;
        row->it.topic_id = t->id;
    }
}

static void add_topic(struct state *s, struct named_once *once, struct bytes name,
                      const int32_t *partitions, int32_t n, int16_t dir_error, unsigned dir)
{
    TOPIC *o = &s->resp->results[s->resp->results_n];
    TOPIC *before = named_topic(once, name, o);
    s->resp->results_n += before == NULL;
    o = before ? before : o;
    o->topic_name = name;
    for (int32_t i = 0; i < n; i++) {
        struct row *row = &s->rows[s->n];
        struct row *twin = named_partition(once, o, partitions[i], row);
        if (twin == NULL) {
            s->n++;
            o->partitions_n++;
            row->topic = o;
            row->it.index = partitions[i];
        }
        set_row(s, twin ? twin : row, name, dir_error, dir);
    }
}

void api_alter_replica_log_dirs(struct request *r)
{
    const struct alter_replica_log_dirs_request *q = r->body;
    struct arena *a = &r->arena;
    struct state *s = ARENA_NEW(a, struct state);
    size_t topics = 0;
    size_t total = 0;
    for (int32_t i = 0; i < q->dirs_n; i++) {
        topics += (size_t)q->dirs[i].topics_n;
        for (int32_t k = 0; k < q->dirs[i].topics_n; k++) {
            total += (size_t)q->dirs[i].topics[k].partitions_n;
        }
    }
    s->r = r;
    s->rows = ARENA_ARRAY(a, struct row, total + 1);
    s->resp = request_response(r);
    s->resp->results = proto_array(
        a, &alter_replica_log_dirs_response_alter_replica_log_dir_topic_result_desc, topics);
    struct named_once once = named_once_of(r);
    for (int32_t i = 0; i < q->dirs_n; i++) {
        unsigned dir = 0;
        int16_t code = find_dir(r, q->dirs[i].path, &dir);
        for (int32_t k = 0; k < q->dirs[i].topics_n; k++) {
            add_topic(s, &once, q->dirs[i].topics[k].name, q->dirs[i].topics[k].partitions,
                      q->dirs[i].topics[k].partitions_n, code, dir);
        }
    }
    named_once_free(&once);
    scatter_start(r, s->rows, sizeof s->rows[0], s->n, run, done, s);
}
