/* Scenario `cluster`, groups: a few members of one group and clients that are none (group_world.h)
 * commit offsets while their coordinators move with the leaders of __consumer_offsets. What the
 * model holds against the answers, of several nodes, is at the head of group_model.h. When all is
 * well again, groups settle as in scenario `groups`. */
#include <stdio.h>

#include "base/mem.h"
#include "broker/group_route.h"
#include "sim/cluster_run.h"
#include "sim/groups_run.h"

enum { LIMIT_US = 60000000, PAUSE_US = 100000, STEP_US = 500000 };

static const struct image_partition *partition_of(struct cluster_run *cr, unsigned group,
                                                  struct uuid *topic)
{
    const struct image *img = cluster_image(cr);
    const struct image_topic *t =
        img != NULL ? image_topic_by_name(img, bytes_str("__consumer_offsets")) : NULL;
    if (t == NULL || t->partitions_n == 0) {
        return NULL;
    }
    *topic = t->id;
    struct bytes name = bytes_str(cr->groups->gw.groups[group].name);
    return image_partition(t, group_partition_of(name, (int32_t)t->partitions_n));
}

/* As the newest committed metadata has it. */
static int64_t lead(struct group_world *gw, unsigned group)
{
    struct cluster_groups *cg = CONTAINER_OF(gw, struct cluster_groups, gw);
    struct uuid topic;
    const struct image_partition *p = partition_of(cg->cr, group, &topic);
    for (int i = 0; p != NULL && i < gw->hosts_n; i++) {
        if (cg->net.hosts[i]->node_id == p->leader) {
            return gw_lead(i, p->leader_epoch);
        }
    }
    return -1;
}

void cluster_groups_make(struct cluster_run *cr)
{
    struct node_run *nr = &cr->nr;
    if (!run_chance(nr->r, 35)) {
        return;
    }
    struct cluster_groups *cg = cr->groups = MEM_NEW(struct cluster_groups);
    cg->cr = cr;
    net_carrier_init(&cg->net, &nr->w);
    group_world_init(&cg->gw, nr->r, &nr->w.sim->clock, &net_carrier, &cg->net, true);
    cg->gw.model.many = true;
    cg->gw.finds = true;
    cg->gw.lead = lead;
    cg->checker = group_world_checker(&cg->gw);
    for (unsigned i = 0; i < nr->brokers_n; i++) {
        net_carrier_host(&cg->net, &cg->gw, nr->brokers[i]);
    }
    for (unsigned i = 0; i < cg->gw.members_n; i++) {
        cg->gw.members[i]->seeks = true;
    }
}

void cluster_groups_start(struct cluster_run *cr)
{
    struct cluster_groups *cg = cr->groups;
    if (cg == NULL) {
        return;
    }
    if (!cg->gw.topic_ids) {
        groups_make_topics(&cr->nr, &cg->gw);
    }
    cg->gw.naughty = true;
    group_world_start(&cg->gw);
}

/* More machines than may have lost what was not flushed: from now on anything may be gone. */
void cluster_groups_judge(struct cluster_run *cr)
{
    struct cluster_groups *cg = cr->groups;
    const struct image *img = cg != NULL ? cluster_image(cr) : NULL;
    const struct image_topic *t =
        img != NULL ? image_topic_by_name(img, bytes_str("__consumer_offsets")) : NULL;
    for (unsigned i = 0; cg != NULL && i < cr->watch.parts_n; i++) {
        const struct watched_part *p = &cr->watch.parts[i];
        if (p->may_lose && (t == NULL || uuid_eq(p->topic, t->id))) {
            cg->lost = true;
            group_model_blind(&cg->gw.model);
        }
    }
}

/* By its coordinator; false also when nobody knows that one now. */
static bool is_described(struct cluster_run *cr, unsigned group, char *why, size_t n)
{
    struct node_run *nr = &cr->nr;
    struct uuid topic;
    const struct image_partition *p = partition_of(cr, group, &topic);
    if (p == NULL || p->leader < 0) {
        snprintf(why, n, "%s: it has no coordinator", cr->groups->gw.groups[group].name);
        return false;
    }
    nr->m = &nr->w.machines[cluster_index_of(cr, p->leader)];
    sim_client_close(&nr->checker);
    bool good = groups_described(nr, &cr->groups->gw, group, 1, why, n);
    sim_client_close(&nr->checker);
    return good;
}

static bool is_settled(struct cluster_run *cr, char *why, size_t n)
{
    const struct group_world *gw = &cr->groups->gw;
    bool good = group_world_settled(&cr->groups->gw, why, n);
    for (unsigned g = 0; g < gw->model.groups_n && good; g++) {
        good = !gw->groups[g].members || is_described(cr, g, why, n);
    }
    return good;
}

void cluster_groups_settle(struct cluster_run *cr)
{
    struct cluster_groups *cg = cr->groups;
    char why[200] = "";
    if (cg == NULL) {
        return;
    }
    int64_t until = cr->nr.w.sim->clock.now_us + group_world_patience_us(&cg->gw);
    cg->gw.naughty = false;
    while (!is_settled(cr, why, sizeof(why))) {
        if (cr->nr.w.sim->clock.now_us >= until) {
            run_fail(cr->nr.r, "a group does not settle: %s", why);
        }
        cluster_run_for(cr, STEP_US);
    }
    run_note(cr->nr.r, "groups have settled");
}

/* All offsets of a group, from its coordinator. */
static void read_group(struct cluster_run *cr, unsigned group)
{
    struct cluster_groups *cg = cr->groups;
    struct group_model *m = &cg->gw.model;
    int64_t until = cr->nr.w.sim->clock.now_us + LIMIT_US;
    uint64_t before = m->read;
    cg->checker->group = group;
    cg->checker->seeks = true;
    while (m->read == before) {
        if (cr->nr.w.sim->clock.now_us > until) {
            run_fail(cr->nr.r, "%s: its offsets cannot be read", cg->gw.groups[group].name);
        }
        if (cg->checker->seeks) {
            gw_find(cg->checker, false);
        } else {
            gw_read(cg->checker, group);
        }
        world_run(&cr->nr.w, LIMIT_US, group_world_idle, &cg->gw);
        if (m->read == before) {
            world_run(&cr->nr.w, PAUSE_US, NULL, NULL);
        }
    }
}

/* Everything is in sync, and nobody writes. */
void cluster_groups_check(struct cluster_run *cr)
{
    struct cluster_groups *cg = cr->groups;
    if (cg == NULL) {
        return;
    }
    group_world_rest(&cg->gw);
    if (!world_run(&cr->nr.w, LIMIT_US, group_world_idle, &cg->gw)) {
        run_fail(cr->nr.r, "a member's call neither ends nor times out");
    }
    group_world_down(&cg->gw, cg->lost, cg->lost);
    cg->lost = false;
    for (unsigned g = 0; g < cg->gw.model.groups_n; g++) {
        read_group(cr, g);
    }
    run_note(cr->nr.r, "groups: %llu commits acknowledged, %llu refused, %llu lost, %llu reads",
             (unsigned long long)cg->gw.model.acked, (unsigned long long)cg->gw.model.refused,
             (unsigned long long)cg->gw.model.lost, (unsigned long long)cg->gw.model.read);
}

void cluster_groups_free(struct cluster_run *cr)
{
    if (cr->groups != NULL) {
        group_world_free(&cr->groups->gw);
        mem_free(cr->groups);
    }
}
