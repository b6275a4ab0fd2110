/* Scenario `groups`, the checker: topics to commit for, how groups are described, what is
 * committed. */
#include <stdio.h>

#include "base/mem.h"
#include "sim/groups_run.h"

enum { LIMIT_US = 60000000, PAUSE_US = 200000 };

static int64_t now_us(const struct groups_run *gr)
{
    return gr->nr.w.sim->clock.now_us;
}

static void make_topic(struct node_run *nr, struct gw_topic *t)
{
    int64_t until = nr->w.sim->clock.now_us + LIMIT_US;
    int16_t code = -1;
    while (code != 0 && nr->w.sim->clock.now_us < until) {
        struct create_topics_request req;
        struct create_topics_request_creatable_topic topic;
        struct create_topics_response resp;
        proto_msg_init(&create_topics_request_msg, &req);
        proto_init(&create_topics_request_creatable_topic_desc, &topic);
        topic.name = bytes_str(t->name);
        topic.num_partitions = (int32_t)t->parts_n;
        topic.replication_factor = 1;
        req.topics = &topic;
        req.topics_n = 1;
        req.timeout_ms = 5000;
        if (check_call(nr, API_CREATE_TOPICS, 7, &req, &resp, LIMIT_US)) {
            code = resp.topics[0].error_code;
            t->id = resp.topics[0].topic_id;
        }
        RUN_CHECK(nr->r, code != KE_TOPIC_ALREADY_EXISTS); /* its id would not be known */
        if (code != 0) {
            world_run(&nr->w, PAUSE_US, NULL, NULL);
        }
    }
    if (code != 0) {
        run_fail(nr->r, "%s cannot be created: %d", t->name, code);
    }
}

void groups_make_topics(struct node_run *nr, struct group_world *gw)
{
    for (unsigned t = 0; t < gw->topics_n; t++) {
        make_topic(nr, &gw->topics[t]);
    }
    gw->topic_ids = true;
    sim_client_close(&nr->checker);
}

/* ---- DescribeGroups ---- */

static bool described(const struct group_world *gw, unsigned group,
                      const struct describe_groups_response_described_group *d, char *why, size_t n)
{
    int32_t living = 0;
    bool good = d->error_code == 0 || d->error_code == KE_GROUP_ID_NOT_FOUND;
    for (unsigned i = 0; i < gw->members_n; i++) {
        const struct gw_member *m = gw->members[i];
        bool there = false;
        if (m->group != group || m->committer || m->state != GW_STABLE) {
            continue;
        }
        for (int32_t k = 0; k < d->members_n; k++) {
            there = there || bytes_eq_str(d->members[k].member_id, m->id);
        }
        good = good && there;
        living++;
    }
    bool state = bytes_eq_str(d->group_state, living > 0 ? "Stable" : "Empty") ||
                 (living == 0 && bytes_eq_str(d->group_state, "Dead"));
    if (!good || !state || d->members_n != living) {
        snprintf(why, n, "%s: %d members believe in it; DescribeGroups says %d, %.*s, %d members",
                 gw->groups[group].name, living, d->error_code, BYTES_FMT(d->group_state),
                 d->members_n);
        return false;
    }
    return true;
}

bool groups_described(struct node_run *nr, struct group_world *gw, unsigned first, unsigned count,
                      char *why, size_t n)
{
    struct describe_groups_request req;
    struct describe_groups_response resp;
    struct bytes names[GM_GROUPS_MAX];
    for (unsigned i = 0; i < count; i++) {
        names[i] = bytes_str(gw->groups[first + i].name);
    }
    proto_msg_init(&describe_groups_request_msg, &req);
    req.groups = names;
    req.groups_n = (int32_t)count;
    int16_t version = (int16_t)run_below(nr->r, 7);
    if (!check_call(nr, API_DESCRIBE_GROUPS, version, &req, &resp, LIMIT_US)) {
        run_fail(nr->r, "DescribeGroups is not answered");
    }
    RUN_CHECK(nr->r, resp.groups_n == req.groups_n);
    for (unsigned i = 0; i < count; i++) {
        RUN_CHECK(nr->r, bytes_eq(resp.groups[i].group_id, names[i]));
        if (!described(gw, first + i, &resp.groups[i], why, n)) {
            return false;
        }
    }
    return true;
}

/* ---- OffsetFetch ---- */

void groups_check_offsets(struct groups_run *gr)
{
    struct group_model *m = &gr->gw.model;
    for (unsigned g = 0; g < m->groups_n; g++) {
        int64_t until = now_us(gr) + LIMIT_US;
        uint64_t before;
        do { /* it may still be loading: then nothing is read */
            if (now_us(gr) > until) {
                run_fail(gr->nr.r, "%s: its offsets cannot be read", gr->gw.groups[g].name);
            }
            before = m->read;
            gw_read(gr->checker, g);
            world_run(&gr->nr.w, LIMIT_US, group_world_idle, &gr->gw);
            if (m->read == before) {
                gw_find(gr->checker, false); /* the topic may not be there yet */
                world_run(&gr->nr.w, PAUSE_US, NULL, NULL);
            }
        } while (m->read == before);
    }
}
