/* See group_world.h: committed offsets, of members and of clients that are none. */
#include <stdio.h>

#include "base/mem.h"
#include "sim/group_world.h"

enum { CALL_US = 5000000, SIDE_CALLS = 3 };

static void ref_of(unsigned bit, unsigned *topic, unsigned *part)
{
    *topic = bit / GM_PARTS_MAX;
    *part = bit % GM_PARTS_MAX;
}

/* ---- OffsetCommit ---- */

static int16_t commit_code(struct gw_call *c, const struct offset_commit_response *resp, unsigned i)
{
    struct group_world *gw = c->m->gw;
    const struct gm_ref *ref = &c->refs[i];
    for (int32_t t = 0; t < resp->topics_n; t++) {
        const struct offset_commit_response_offset_commit_response_topic *topic = &resp->topics[t];
        bool is = c->version >= 10 ? uuid_eq(topic->topic_id, gw->topics[ref->topic].id)
                                   : bytes_eq_str(topic->name, gw->topics[ref->topic].name);
        for (int32_t p = 0; is && p < topic->partitions_n; p++) {
            if (topic->partitions[p].partition_index == (int32_t)ref->part) {
                return topic->partitions[p].error_code;
            }
        }
    }
    run_fail(gw->r, "%s: OffsetCommit's answer says nothing of topic %u, partition %u",
             gw->groups[ref->group].name, ref->topic, ref->part);
}

static void on_commit(struct gw_call *c, int err, struct bytes body)
{
    struct gw_member *m = c->m;
    struct arena a = {0};
    struct offset_commit_response resp;
    bool success = false;
    if (err == 0) {
        gw_decode(c, body, &a, &resp);
    }
    for (unsigned i = 0; i < c->refs_n; i++) {
        int16_t code = err == 0 ? commit_code(c, &resp, i) : 0;
        group_model_commit_done(&m->gw->model, c->refs[i], err, code);
        if (err == 0) {
            success = success || code == 0;
            gw_code(c, code);
        }
    }
    if (success && c->gen < 0 && c->id[0] == 0 && c->instance[0] == 0) {
        group_model_simple(&m->gw->model, c->refs[0].group, c->began);
    }
    if (success && (c->gen >= 0 || c->id[0] != 0)) {
        group_model_success(&m->gw->model, "OffsetCommit", c->refs[0].group, c->began, c->gen,
                            c->gen >= 0 ? bytes_str(c->id) : BYTES_NULL,
                            c->gen >= 0 ? bytes_str(c->instance) : BYTES_NULL);
    }
    arena_free(&a);
}

/* Of the bits as many as fit into one call. */
static void commit(struct gw_member *m, unsigned lane, unsigned group, int32_t gen, const char *id,
                   const char *instance, uint32_t bits)
{
    struct group_world *gw = m->gw;
    struct arena a = {0};
    struct offset_commit_request req;
    struct offset_commit_request_offset_commit_request_topic topics[GM_TOPICS_MAX];
    int16_t version = gw_version(m, API_OFFSET_COMMIT, instance[0] != 0 ? 7 : 2);
    struct gw_call *c = gw_call_new(m, on_commit);
    proto_msg_init(&offset_commit_request_msg, &req);
    for (unsigned t = 0; t < gw->topics_n; t++) {
        struct offset_commit_request_offset_commit_request_topic *topic = &topics[req.topics_n];
        proto_init(&offset_commit_request_offset_commit_request_topic_desc, topic);
        topic->partitions = proto_array(
            &a, &offset_commit_request_offset_commit_request_partition_desc, GM_PARTS_MAX);
        topic->name = bytes_str(version < 10 ? gw->topics[t].name : "");
        topic->topic_id = version >= 10 ? gw->topics[t].id : (struct uuid){0};
        for (unsigned p = 0; p < gw->topics[t].parts_n && c->refs_n < GW_REFS; p++) {
            if (!(bits & gw_bit(t, p))) {
                continue;
            }
            struct gm_ref ref = group_model_commit(&gw->model, group, t, p, version >= 6);
            const struct gm_commit *what = group_model_at(&gw->model, ref);
            struct offset_commit_request_offset_commit_request_partition *part =
                &topic->partitions[topic->partitions_n++];
            char *text = arena_alloc(&a, 64);
            part->partition_index = (int32_t)p;
            part->committed_offset = what->offset;
            part->committed_leader_epoch = what->leader_epoch;
            part->committed_metadata =
                group_model_metadata(what->offset, text, 64) ? bytes_str(text) : BYTES_NULL;
            c->refs[c->refs_n++] = ref;
        }
        req.topics_n += topic->partitions_n > 0;
    }
    req.group_id = bytes_str(gw->groups[group].name);
    req.generation_id_or_member_epoch = gen;
    req.member_id = bytes_str(id);
    req.group_instance_id = instance[0] != 0 ? bytes_str(instance) : BYTES_NULL;
    req.topics = topics;
    c->gen = gen;
    snprintf(c->id, sizeof(c->id), "%s", id);
    snprintf(c->instance, sizeof(c->instance), "%s", instance);
    gw->stats[GW_COMMITS]++;
    if (c->refs_n == 0) {
        mem_free(c);
    } else {
        gw_call(m, lane, API_OFFSET_COMMIT, version, &req, CALL_US, c);
    }
    arena_free(&a);
}

void gw_commit(struct gw_member *m, unsigned lane, int32_t gen, const char *id,
               const char *instance, uint32_t bits)
{
    if (gen >= 0 || id[0] != 0 || instance[0] == 0) {
        commit(m, lane, m->group, gen, id, instance, bits);
    }
}

/* ---- OffsetFetch ---- */

struct found {
    uint32_t bits; /* partitions that the answer speaks of */
    int16_t code;
};

static void found_one(struct gw_call *c, unsigned group, unsigned t, int32_t p, int64_t offset,
                      int32_t epoch, struct bytes metadata, int16_t code, struct found *f)
{
    struct group_world *gw = c->m->gw;
    if (p < 0 || p >= (int32_t)gw->topics[t].parts_n || (f->bits & gw_bit(t, (unsigned)p))) {
        run_fail(gw->r, "%s: OffsetFetch says partition %d of %s, once more or unasked",
                 gw->groups[group].name, p, gw->topics[t].name);
    }
    f->bits |= gw_bit(t, (unsigned)p);
    if (code != 0) {
        f->code = code;
        return;
    }
    if (gw_current(c)) {
        group_model_read(&gw->model, group, t, (unsigned)p, c->began, offset,
                         c->version >= 5 ? epoch : -2, metadata);
    }
}

static unsigned topic_found(struct gw_call *c, struct bytes name, struct uuid id)
{
    struct group_world *gw = c->m->gw;
    for (unsigned t = 0; t < gw->topics_n; t++) {
        if (c->version >= 10 ? uuid_eq(id, gw->topics[t].id)
                             : bytes_eq_str(name, gw->topics[t].name)) {
            return t;
        }
    }
    run_fail(gw->r, "OffsetFetch says the topic '%.*s'", BYTES_FMT(name));
}

static void found_old(struct gw_call *c, const struct offset_fetch_response *resp, struct found *f)
{
    f->code = resp->error_code;
    for (int32_t i = 0; f->code == 0 && i < resp->topics_n; i++) {
        const struct offset_fetch_response_offset_fetch_response_topic *topic = &resp->topics[i];
        unsigned t = topic_found(c, topic->name, (struct uuid){0});
        for (int32_t k = 0; k < topic->partitions_n; k++) {
            const struct offset_fetch_response_offset_fetch_response_partition *p =
                &topic->partitions[k];
            found_one(c, c->refs[0].group, t, p->partition_index, p->committed_offset,
                      p->committed_leader_epoch, p->metadata, p->error_code, f);
        }
    }
}

static void found_new(struct gw_call *c, const struct offset_fetch_response *resp, struct found *f)
{
    RUN_CHECK(c->m->gw->r, resp->groups_n == 1);
    const struct offset_fetch_response_offset_fetch_response_group *g = &resp->groups[0];
    f->code = g->error_code;
    for (int32_t i = 0; f->code == 0 && i < g->topics_n; i++) {
        const struct offset_fetch_response_offset_fetch_response_topics *topic = &g->topics[i];
        unsigned t = topic_found(c, topic->name, topic->topic_id);
        for (int32_t k = 0; k < topic->partitions_n; k++) {
            const struct offset_fetch_response_offset_fetch_response_partitions *p =
                &topic->partitions[k];
            found_one(c, c->refs[0].group, t, p->partition_index, p->committed_offset,
                      p->committed_leader_epoch, p->metadata, p->error_code, f);
        }
    }
}

static void on_fetch(struct gw_call *c, int err, struct bytes body)
{
    struct group_world *gw = c->m->gw;
    struct arena a = {0};
    struct offset_fetch_response resp;
    struct found f = {0};
    if (err == 0) {
        gw_decode(c, body, &a, &resp);
        if (c->version >= 8) {
            found_new(c, &resp, &f);
        } else {
            found_old(c, &resp, &f);
        }
        gw_code(c, f.code);
        bool all = c->refs_n > 1; /* asked for all: what is not said is not there */
        uint32_t rest = f.code == 0 ? c->asked & ~f.bits : 0;
        if (rest != 0 && !all) {
            run_fail(gw->r, "%s: OffsetFetch of %#x says nothing of %#x",
                     gw->groups[c->refs[0].group].name, c->asked, rest);
        }
        for (unsigned bit = 0; bit < 32; bit++) {
            unsigned t;
            unsigned p;
            ref_of(bit, &t, &p);
            if ((rest >> bit & 1) && gw_current(c)) {
                group_model_read(&gw->model, c->refs[0].group, t, p, c->began, -1, -2, BYTES_NULL);
            }
        }
    }
    arena_free(&a);
}

static int32_t *partitions_of(struct arena *a, uint32_t bits, unsigned t, int32_t *n)
{
    int32_t *list = ARENA_ARRAY(a, int32_t, GM_PARTS_MAX);
    *n = 0;
    for (unsigned p = 0; p < GM_PARTS_MAX; p++) {
        if (bits & gw_bit(t, p)) {
            list[(*n)++] = (int32_t)p;
        }
    }
    return list;
}

static void ask_old(struct gw_call *c, struct offset_fetch_request *req, bool all, struct arena *a)
{
    struct group_world *gw = c->m->gw;
    req->group_id = bytes_str(gw->groups[c->refs[0].group].name);
    req->topics =
        proto_array(a, &offset_fetch_request_offset_fetch_request_topic_desc, GM_TOPICS_MAX);
    for (unsigned t = 0; !all && t < gw->topics_n; t++) {
        struct offset_fetch_request_offset_fetch_request_topic *topic =
            &req->topics[req->topics_n++];
        topic->name = bytes_str(gw->topics[t].name);
        topic->partition_indexes = partitions_of(a, c->asked, t, &topic->partition_indexes_n);
    }
    if (all) {
        req->topics = NULL;
        req->topics_n = -1;
    }
}

static void ask_new(struct gw_call *c, struct offset_fetch_request *req, bool all, struct arena *a)
{
    struct group_world *gw = c->m->gw;
    struct offset_fetch_request_offset_fetch_request_group *g =
        proto_array(a, &offset_fetch_request_offset_fetch_request_group_desc, 1);
    g->group_id = bytes_str(gw->groups[c->refs[0].group].name);
    g->topics =
        proto_array(a, &offset_fetch_request_offset_fetch_request_topics_desc, GM_TOPICS_MAX);
    for (unsigned t = 0; !all && t < gw->topics_n; t++) {
        struct offset_fetch_request_offset_fetch_request_topics *topic = &g->topics[g->topics_n++];
        topic->name = bytes_str(c->version < 10 ? gw->topics[t].name : "");
        topic->topic_id = c->version >= 10 ? gw->topics[t].id : (struct uuid){0};
        topic->partition_indexes = partitions_of(a, c->asked, t, &topic->partition_indexes_n);
    }
    if (all) {
        g->topics = NULL;
        g->topics_n = -1;
    }
    req->groups = g;
    req->groups_n = 1;
}

static void fetch(struct gw_member *m, unsigned lane, unsigned group, uint32_t bits)
{
    struct group_world *gw = m->gw;
    struct arena a = {0};
    struct offset_fetch_request req;
    struct gw_call *c = gw_call_new(m, on_fetch);
    c->version = gw_version(m, API_OFFSET_FETCH, gw->fetch_low);
    bool all = c->version >= 2 && run_chance(gw->r, 30);
    proto_msg_init(&offset_fetch_request_msg, &req);
    c->asked = all ? gw->groups[group].all : bits;
    c->refs[0].group = group;
    c->refs_n = all ? 2 : 1;
    req.require_stable = c->version >= 7 && run_chance(gw->r, 50);
    if (c->version >= 8) {
        ask_new(c, &req, all, &a);
    } else {
        ask_old(c, &req, all, &a);
    }
    gw->stats[GW_FETCHES]++;
    gw_call(m, lane, API_OFFSET_FETCH, c->version, &req, CALL_US, c);
    arena_free(&a);
}

void gw_fetch(struct gw_member *m, unsigned lane, uint32_t bits)
{
    fetch(m, lane, m->group, bits);
}

void gw_read(struct gw_member *m, unsigned group)
{
    fetch(m, 0, group, m->gw->groups[group].all);
}

/* ---- OffsetDelete, DeleteGroups ---- */

static void on_forget(struct gw_call *c, int err, struct bytes body)
{
    struct gw_member *m = c->m;
    struct arena a = {0};
    struct offset_delete_response resp;
    int16_t code = 0;
    if (err == 0) {
        gw_decode(c, body, &a, &resp);
        code = resp.error_code;
        if (code == 0) {
            RUN_CHECK(m->gw->r, resp.topics_n == 1 && resp.topics[0].partitions_n == 1);
            code = resp.topics[0].partitions[0].error_code;
        }
        gw_code(c, code);
    }
    group_model_commit_done(&m->gw->model, c->refs[0], err, code);
    arena_free(&a);
}

static void forget(struct gw_member *m, unsigned group)
{
    struct group_world *gw = m->gw;
    struct offset_delete_request req;
    struct offset_delete_request_offset_delete_request_topic topic;
    struct offset_delete_request_offset_delete_request_partition part;
    unsigned t = (unsigned)run_below(gw->r, gw->topics_n);
    unsigned p = (unsigned)run_below(gw->r, gw->topics[t].parts_n);
    proto_msg_init(&offset_delete_request_msg, &req);
    proto_init(&offset_delete_request_offset_delete_request_topic_desc, &topic);
    proto_init(&offset_delete_request_offset_delete_request_partition_desc, &part);
    req.group_id = bytes_str(gw->groups[group].name);
    req.topics = &topic;
    req.topics_n = 1;
    topic.name = bytes_str(gw->topics[t].name);
    topic.partitions = &part;
    topic.partitions_n = 1;
    part.partition_index = (int32_t)p;
    struct gw_call *c = gw_call_new(m, on_forget);
    c->refs[0] = group_model_forget(&gw->model, group, t, p);
    c->refs_n = 1;
    gw_call(m, 0, API_OFFSET_DELETE, 0, &req, CALL_US, c);
}

static void on_delete(struct gw_call *c, int err, struct bytes body)
{
    struct group_model *model = &c->m->gw->model;
    struct arena a = {0};
    struct delete_groups_response resp;
    unsigned group = c->refs[0].group;
    int16_t code = 0;
    if (err == 0) {
        gw_decode(c, body, &a, &resp);
        RUN_CHECK(model->r, resp.results_n == 1);
        code = resp.results[0].error_code;
        gw_code(c, code);
    }
    bool refused = err == 0 && (code == KE_NON_EMPTY_GROUP || code == KE_GROUP_ID_NOT_FOUND ||
                                (code != 0 && model->certain));
    group_model_delete_done(model, group, !refused, err == 0 && (code == 0 || refused));
    for (uint32_t bits = c->asked; bits != 0; bits &= bits - 1) {
        struct gm_ref ref = {.group = group};
        unsigned bit = (unsigned)__builtin_ctz(bits);
        ref_of(bit, &ref.topic, &ref.part);
        ref.index = c->deletes[bit];
        group_model_commit_done(model, ref, err, code);
    }
    mem_free(c->deletes);
    arena_free(&a);
}

void gw_delete(struct gw_member *m, unsigned group)
{
    struct group_world *gw = m->gw;
    struct delete_groups_request req;
    struct bytes name = bytes_str(gw->groups[group].name);
    struct gw_call *c = gw_call_new(m, on_delete);
    proto_msg_init(&delete_groups_request_msg, &req);
    req.groups_names = &name;
    req.groups_names_n = 1;
    c->asked = gw->groups[group].all;
    c->refs[0].group = group;
    c->deletes = mem_zalloc(32 * sizeof(*c->deletes));
    group_model_delete(&gw->model, group);
    for (uint32_t bits = c->asked; bits != 0; bits &= bits - 1) {
        unsigned bit = (unsigned)__builtin_ctz(bits);
        unsigned t;
        unsigned p;
        ref_of(bit, &t, &p);
        c->deletes[bit] = group_model_forget(&gw->model, group, t, p).index;
    }
    gw_call(m, 0, API_DELETE_GROUPS, gw_version(m, API_DELETE_GROUPS, 0), &req, CALL_US, c);
}

/* ---- a client that is no member ---- */

void gw_committer_step(struct gw_member *m)
{
    struct group_world *gw = m->gw;
    struct run *r = gw->r;
    unsigned group = m->group;
    if (m->seeks && gw->hosts_n > 1) {
        gw_find(m, false);
        gw_later(m, gw->pace_us);
        return;
    }
    if (gw->hosts_n == 1 && run_chance(r, 20)) { /* somebody else's: refused while it has members */
        group = (unsigned)run_below(r, gw->model.groups_n);
    }
    uint32_t some = gw->groups[group].all & (uint32_t)prng_next(&r->rng);
    uint64_t what = run_below(r, 100);
    if (m->calls >= SIDE_CALLS) {
        what = 100;
    }
    if (what < 50) {
        if (group == m->group || gw->naughty) {
            commit(m, 0, group, -1, "", "", some);
        }
    } else if (what < 80) {
        fetch(m, 0, group, some != 0 ? some : gw->groups[group].all);
    } else if (what < 90) {
        if (gw->deletes && gw->naughty) {
            forget(m, group);
        }
    } else if (what < 95) {
        if (gw->deletes && gw->naughty) {
            gw_delete(m, group);
        }
    } else if (gw->finds && what < 98) {
        gw_find(m, false);
    } else if (what < 100 && gw_naughty(m, 50)) {
        gw->carrier->hang_up(m, GW_LANES);
    }
    gw_later(m, gw->pace_us);
}
