/* Scenario `cluster`, what the nodes' memory says, looked at every few hundredths of a second of
 * virtual time, between two turns:
 *   - in an epoch of the quorum one node leads, in an epoch of a partition one broker does;
 *   - images of the metadata are equal at equal offsets;
 *   - copies of a partition are equal, batch by batch, below their high watermarks, at any time;
 *   - what was below a high watermark stays there: a copy is never cut below its own;
 *   - whoever is in the committed ISR or ELR, and runs, has all that any leader called committed;
 *   - nobody leaves who was not told to stop.
 * Of partitions that may have lost something (cluster_run.h) only the leaders are looked at until
 * the next round. */
#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "broker/lifecycle.h"
#include "broker/partition.h"
#include "broker/partition_manager.h"
#include "sim/cluster_run.h"

/* To the limit: a follower whose leader has given up the connection unheard, in a cut, waits for
 * replica.socket.timeout.ms, 30 seconds, before it fetches anew. */
enum { READ_BYTES = 65536, COMPARE_LIMIT_US = 45000000 };

/* ---- nodes ---- */

unsigned cluster_index_of(const struct cluster_run *cr, int32_t node_id)
{
    for (unsigned i = 0; i < cr->nr.w.machines_n; i++) {
        if (cr->nr.w.machines[i].node_id == node_id) {
            return i;
        }
    }
    run_fail(cr->nr.r, "there is no node %d", node_id);
}

bool cluster_leads(const struct machine *m, int32_t *epoch)
{
    struct controller_status st;
    controller_status(m->node->controller, &st);
    *epoch = st.epoch;
    return st.active && st.leader_id == m->node_id;
}

struct machine *cluster_active(struct cluster_run *cr)
{
    struct machine *best = NULL;
    int32_t epoch = -1;
    for (unsigned i = 0; i < cr->nr.w.machines_n; i++) {
        struct machine *m = &cr->nr.w.machines[i];
        int32_t its;
        if (cluster_shows(m) && m->node->controller != NULL && cluster_leads(m, &its) &&
            its > epoch) {
            best = m;
            epoch = its;
        }
    }
    return best;
}

const struct image *cluster_image(struct cluster_run *cr)
{
    struct machine *m = cluster_active(cr);
    return m ? controller_image(m->node->controller) : NULL;
}

struct machine *cluster_leader(struct cluster_run *cr, const struct topic *t, int32_t partition)
{
    const struct image *img = cluster_image(cr);
    const struct image_topic *it = img ? image_topic_by_name(img, bytes_str(t->name)) : NULL;
    const struct image_partition *p = it ? image_partition(it, partition) : NULL;
    return p && p->leader >= 0 ? &cr->nr.w.machines[cluster_index_of(cr, p->leader)] : NULL;
}

/* ---- the quorum, and images ---- */

static void look_at_epoch(struct cluster_run *cr, struct machine *m)
{
    struct cluster_watch *w = &cr->watch;
    int32_t its;
    if (!cluster_leads(m, &its)) {
        return;
    }
    size_t epoch = (size_t)its;
    if (epoch >= w->epochs_cap) {
        size_t cap = 2 * epoch + 64;
        w->epochs = mem_realloc(w->epochs, cap);
        memset(w->epochs + w->epochs_cap, 0, cap - w->epochs_cap);
        w->epochs_cap = cap;
    }
    if (w->epochs[epoch] != 0 && w->epochs[epoch] != m->index + 1) {
        run_fail(cr->nr.r, "nodes %d and %d both led the quorum in epoch %d",
                 cr->nr.w.machines[w->epochs[epoch] - 1].node_id, m->node_id, its);
    }
    w->epochs[epoch] = (uint8_t)(m->index + 1);
}

static uint64_t digest(struct cluster_watch *w, const struct image *img)
{
    struct image_writer iw;
    uint64_t d = 1;
    image_writer_init(&iw, img);
    buf_clear(&w->buf);
    while (image_writer_next(&iw, &w->buf)) {
        d = (d ^ crc32c(0, w->buf.data, w->buf.len)) * 0x9e3779b97f4a7c15ull;
        d ^= d >> 29;
        buf_clear(&w->buf);
    }
    return d | 1;
}

/* The newest committed metadata that any node was seen with; NULL: no active controller has them.
 * One that stands still, and was deposed meanwhile, may be all that is left of them for a moment.
 */
static const struct image *newest_image(struct cluster_run *cr)
{
    const struct image *img = cluster_image(cr);
    return img != NULL && img->offset >= cr->watch.newest ? img : NULL;
}

static void look_at_image(struct cluster_run *cr, struct machine *m, const struct image *img,
                          int64_t *seen)
{
    struct cluster_watch *w = &cr->watch;
    if (img == NULL || img->offset < 0 || img->offset == *seen) {
        return;
    }
    size_t at = (size_t)img->offset;
    *seen = img->offset;
    w->newest = img->offset > w->newest ? img->offset : w->newest;
    if (at >= w->images_cap) {
        size_t cap = 2 * at + 256;
        w->images = mem_realloc(w->images, cap * sizeof(*w->images));
        memset(w->images + w->images_cap, 0, (cap - w->images_cap) * sizeof(*w->images));
        w->images_cap = cap;
    }
    uint64_t d = digest(w, img);
    if (w->images[at] != 0 && w->images[at] != d) {
        run_fail(cr->nr.r, "node %d has another metadata image at offset %lld than others had",
                 m->node_id, (long long)img->offset);
    }
    w->images[at] = d;
}

/* ---- partitions ---- */

static struct watched_part *watched(struct cluster_run *cr, struct uuid topic, int32_t index)
{
    struct cluster_watch *w = &cr->watch;
    for (unsigned i = 0; i < w->parts_n; i++) {
        if (w->parts[i].index == index && uuid_eq(w->parts[i].topic, topic)) {
            return &w->parts[i];
        }
    }
    RUN_CHECK(cr->nr.r, w->parts_n < CLUSTER_PARTS_MAX);
    struct watched_part *p = &w->parts[w->parts_n++];
    *p = (struct watched_part){
        .topic = topic, .index = index, .min_isr = INT32_MAX, .lost = cr->lost};
    return p;
}

static void put_ids(struct buf *b, const char *what, const int32_t *v, uint32_t n)
{
    buf_printf(b, " %s", what);
    for (uint32_t i = 0; i < n; i++) {
        buf_printf(b, "%s%d", i > 0 ? "," : " ", v[i]);
    }
}

/* A line of the story for each change that is seen. */
static void tell(struct cluster_run *cr, const struct image_topic *t,
                 const struct image_partition *ip, struct watched_part *p)
{
    struct buf b = {0};
    if (!cr->nr.r->verbose || p->told == ip->partition_epoch + 1) {
        return;
    }
    p->told = ip->partition_epoch + 1;
    buf_printf(&b, "%.*s-%d: leader %d in epoch %d,", BYTES_FMT(t->name), ip->index, ip->leader,
               ip->leader_epoch);
    put_ids(&b, "replicas", ip->replicas, ip->replicas_n);
    put_ids(&b, "isr", ip->isr, ip->isr_n);
    put_ids(&b, "elr", ip->elr, ip->elr_n);
    put_ids(&b, "last known", ip->last_known_elr, ip->last_known_elr_n);
    put_ids(&b, "adding", ip->adding, ip->adding_n);
    put_ids(&b, "removing", ip->removing, ip->removing_n);
    run_note(cr->nr.r, "%s, at least %d, committed %lld", buf_cstr(&b), p->min_isr,
             (long long)p->committed);
    buf_free(&b);
}

/* What the metadata says of it: where its copies are, and how many there must be. */
static void look_at_metadata(struct cluster_run *cr, const struct image *img)
{
    struct image_topic_iter it = {0};
    const struct image_topic *t;
    while ((t = image_next_topic(img, &it)) != NULL) {
        struct bytes v =
            image_config_value(img, CONFIG_TOPIC, t->name, bytes_str("min.insync.replicas"));
        struct bytes u = image_config_value(img, CONFIG_TOPIC, t->name,
                                            bytes_str("unclean.leader.election.enable"));
        bool unclean = bytes_eq_str(u, "true");
        for (uint32_t k = 0; k < t->partitions_n; k++) {
            const struct image_partition *ip = image_partition(t, (int32_t)k);
            if (ip == NULL) {
                continue;
            }
            struct watched_part *p = watched(cr, t->id, (int32_t)k);
            snprintf(p->name, sizeof(p->name), "%.*s", BYTES_FMT(t->name));
            int32_t least = v.len == 1 ? v.data[0] - '0' : cr->min_isr;
            least = least < (int32_t)ip->replicas_n ? least : (int32_t)ip->replicas_n;
            p->min_isr = least < p->min_isr ? least : p->min_isr;
            tell(cr, t, ip, p);
            p->may_lose = p->may_lose || (unclean && !cr->rested);
            for (uint32_t i = 0; i < ip->replicas_n; i++) {
                p->replicas |= 1u << cluster_index_of(cr, ip->replicas[i]);
            }
        }
    }
}

static void look_at_leader(struct cluster_run *cr, struct machine *m, const struct partition *p,
                           struct watched_part *wp)
{
    unsigned i = (unsigned)p->leader_epoch % CLUSTER_LEADERS_MAX;
    if (wp->leaders[i].machine != 0 && wp->leaders[i].epoch == p->leader_epoch &&
        wp->leaders[i].machine != m->index + 1) {
        run_fail(cr->nr.r, "%s: brokers %d and %d both led in epoch %d", plog_name(p->log),
                 cr->nr.w.machines[wp->leaders[i].machine - 1].node_id, m->node_id,
                 p->leader_epoch);
    }
    wp->leaders[i].machine = m->index + 1;
    wp->leaders[i].epoch = p->leader_epoch;
    int64_t hw = wp->may_lose ? 0 : plog_high_watermark(p->log);
    wp->committed = hw > wp->committed ? hw : wp->committed;
}

/* One committed batch. */
static void compare_batch(struct cluster_run *cr, struct machine *m, const struct partition *p,
                          struct watched_part *wp, struct bytes batch)
{
    struct batch_header h;
    RUN_CHECK(cr->nr.r, batch_header_read(batch, &h) == 0);
    size_t at = (size_t)h.base_offset;
    if (at >= wp->crcs_cap) {
        size_t cap = 2 * at + 256;
        wp->crcs = mem_realloc(wp->crcs, cap * sizeof(*wp->crcs));
        memset(wp->crcs + wp->crcs_cap, 0, (cap - wp->crcs_cap) * sizeof(*wp->crcs));
        wp->crcs_cap = cap;
    }
    uint32_t crc = crc32c(0, batch.data, batch.len);
    crc = crc ? crc : 1;
    if (wp->crcs[at] != 0 && wp->crcs[at] != crc) {
        run_fail(cr->nr.r, "%s: node %d has another batch at offset %lld than others have",
                 plog_name(p->log), m->node_id, (long long)h.base_offset);
    }
    wp->crcs[at] = crc;
    wp->read[m->index] = batch_last_offset(&h) + 1;
}

struct reading {
    struct cluster_run *cr;
    struct machine *m;
    struct partition *p;
    struct watched_part *wp;
    int64_t to;
};

static void read_fn(void *arg)
{
    struct reading *rd = arg;
    struct cluster_watch *w = &rd->cr->watch;
    int64_t *at = &rd->wp->read[rd->m->index];
    while (*at < rd->to) {
        struct bytes batch;
        int64_t before = *at;
        buf_clear(&w->buf);
        int64_t n = plog_read_copy(rd->p->log, *at, READ_BYTES, true, rd->to, &w->buf);
        struct bytes rest = buf_bytes(&w->buf);
        while (n > 0 && batch_next(&rest, &batch) == 1) {
            compare_batch(rd->cr, rd->m, rd->p, rd->wp, batch);
        }
        if (*at == before) {
            return; /* its disk does not read, or the range ends in the middle of a batch */
        }
    }
}

/* Tells a copy from another one that the broker had before it lost and got back the partition. */
static uint64_t folder_of(struct machine *m, const struct partition *p)
{
    char path[300];
    snprintf(path, sizeof(path), "%s/%s", world_dir(plog_dir_index(p->log)), plog_name(p->log));
    return sim_disk_id(m->host->disk, path);
}

static void look_at_copy(struct cluster_run *cr, struct machine *m, struct partition *p,
                         struct watched_part *wp)
{
    int64_t start = plog_start_offset(p->log);
    int64_t hw = plog_high_watermark(p->log);
    int64_t end = plog_end_offset(p->log);
    int64_t *read = &wp->read[m->index];
    if (hw > end) {
        run_fail(cr->nr.r, "%s: node %d has the high watermark %lld, its log ends at %lld",
                 plog_name(p->log), m->node_id, (long long)hw, (long long)end);
    }
    uint64_t folder = folder_of(m, p);
    if (wp->starts[m->index] != m->starts || wp->folders[m->index] != folder) {
        wp->starts[m->index] = m->starts; /* another process, or copy: all is read anew */
        wp->folders[m->index] = folder;
        *read = 0;
    }
    if (*read > end) {
        run_fail(cr->nr.r, "%s: node %d has cut its log to %lld; %lld were committed",
                 plog_name(p->log), m->node_id, (long long)end, (long long)*read);
    }
    int64_t from = *read > start ? *read : start;
    struct reading rd = {.cr = cr, .m = m, .p = p, .wp = wp, .to = hw};
    if (from < hw) { /* an empty copy may begin anew further down, inside a batch */
        *read = from;
        sim_proc_run(m->proc, read_fn, &rd);
    }
}

struct partition *cluster_copy(struct machine *m, struct uuid topic, int32_t index)
{
    for (unsigned i = 0; i < m->node->data_shards; i++) {
        struct partition_manager *pm = m->node->shards[i].partitions;
        struct partition *p = pm ? partition_find(pm, topic, index) : NULL;
        if (p != NULL) {
            return p->log != NULL && !p->offline && !p->gone ? p : NULL;
        }
    }
    return NULL;
}

static void look_at_partitions(struct cluster_run *cr, struct machine *m)
{
    for (unsigned i = 0; i < m->node->data_shards; i++) {
        struct partition_manager *pm = m->node->shards[i].partitions;
        if (pm == NULL) {
            continue;
        }
        list_for_each (it, &pm->all) {
            struct partition *p = LIST_ENTRY(it, struct partition, all);
            struct uuid id;
            memcpy(&id, p->key, sizeof(id));
            struct watched_part *wp = watched(cr, id, p->index);
            if (p->log == NULL || p->offline || p->gone) {
                continue;
            }
            if (p->is_leader) {
                look_at_leader(cr, m, p, wp);
            }
            if (!wp->may_lose) {
                look_at_copy(cr, m, p, wp);
            }
        }
    }
}

/* A member of the ISR whose copy ends where no leader had committed more is a copy again. It runs,
 * so it was registered, and left the ISR by that, since it lost what it had. */
static void look_at_return(struct cluster_run *cr, struct watched_part *wp, int32_t id)
{
    unsigned i = cluster_index_of(cr, id);
    struct machine *m = &cr->nr.w.machines[i];
    if ((wp->lost >> i & 1) == 0 || m->state != NODE_RUNNING || !cluster_shows(m)) {
        return;
    }
    const struct partition *p = cluster_copy(m, wp->topic, wp->index);
    if (p != NULL && plog_end_offset(p->log) >= wp->committed) {
        wp->lost &= ~(1u << i);
    }
}

/* One of the ISR, or of those that may lead without it, has all that is committed. */
static void look_at_member(struct cluster_run *cr, const struct watched_part *wp, int32_t id,
                           const char *where)
{
    struct machine *m = &cr->nr.w.machines[cluster_index_of(cr, id)];
    struct partition *p =
        m->state == NODE_RUNNING && cluster_shows(m) ? cluster_copy(m, wp->topic, wp->index) : NULL;
    if (p != NULL && plog_end_offset(p->log) < wp->committed) {
        run_fail(cr->nr.r, "%s: broker %d is in the %s and ends at %lld, %lld are committed",
                 plog_name(p->log), id, where, (long long)plog_end_offset(p->log),
                 (long long)wp->committed);
    }
}

/* In the newest committed metadata. */
static void look_at_members(struct cluster_run *cr, const struct image *img)
{
    for (unsigned i = 0; i < cr->watch.parts_n; i++) {
        struct watched_part *wp = &cr->watch.parts[i];
        const struct image_topic *t = image_topic_by_id(img, wp->topic);
        const struct image_partition *ip = t ? image_partition(t, wp->index) : NULL;
        for (uint32_t k = 0; ip != NULL && !wp->may_lose && k < ip->isr_n; k++) {
            look_at_member(cr, wp, ip->isr[k], "ISR");
            look_at_return(cr, wp, ip->isr[k]);
        }
        for (uint32_t k = 0; ip != NULL && !wp->may_lose && k < ip->elr_n; k++) {
            look_at_member(cr, wp, ip->elr[k], "ELR");
        }
    }
}

/* Who is said to leave was told to: not by the word of a process that was there before. */
static void look_at_broker(struct cluster_run *cr, struct machine *m, const struct image *img)
{
    const struct image_broker *b = image_broker(img, m->node_id);
    if (b != NULL && b->in_controlled_shutdown && m->state == NODE_RUNNING &&
        b->epoch == lifecycle_broker_epoch(m->node->lifecycle) && !cr->members[m->index].stopping) {
        run_fail(cr->nr.r, "broker %d is in its controlled shutdown and was not told to stop",
                 m->node_id);
    }
}

void cluster_look(struct cluster_run *cr)
{
    const struct image *img = newest_image(cr);
    if (img != NULL) {
        look_at_metadata(cr, img);
    }
    cluster_judge_losses(cr);
    for (unsigned i = 0; i < cr->nr.w.machines_n; i++) {
        struct machine *m = &cr->nr.w.machines[i];
        if (!cluster_shows(m)) {
            continue;
        }
        if (m->node->controller != NULL) {
            look_at_epoch(cr, m);
            look_at_image(cr, m, controller_image(m->node->controller),
                          &cr->watch.image_seen[i][1]);
        }
        if (cr->members[i].broker) {
            look_at_image(cr, m, m->node->shards[0].image, &cr->watch.image_seen[i][0]);
            look_at_partitions(cr, m);
            if (img != NULL) {
                look_at_broker(cr, m, img);
            }
        }
    }
    if (img != NULL && img == newest_image(cr)) { /* no node has shown newer ones */
        look_at_members(cr, img);
    }
    cluster_wipe_look(cr);
}

/* What clients may count on again. */
static void settle_topics(struct node_run *nr)
{
    for (unsigned i = 0; i < nr->topics_n; i++) {
        struct topic *t = &nr->topics[i];
        bool was = topic_may_lose(t);
        if (!t->settings_open && t->state == TOPIC_EXISTS) {
            t->min_isr = t->min_isr_set;
            t->unclean = t->unclean_set;
        }
        nr->losses += was && !topic_may_lose(t);
    }
}

void cluster_watch_new_round(struct cluster_run *cr)
{
    settle_topics(&cr->nr);
    for (unsigned i = 0; i < cr->watch.parts_n; i++) {
        struct watched_part *p = &cr->watch.parts[i];
        p->replicas = p->lost = 0;
        p->min_isr = INT32_MAX;
        if (p->may_lose) {
            p->committed = 0;
            memset(p->read, 0, sizeof(p->read));
            for (size_t k = 0; k < p->crcs_cap; k++) {
                p->crcs[k] = 0;
            }
        }
        p->may_lose = false;
    }
    cr->lost = 0;
    cr->wipe.spent = false;
}

void cluster_watch_free(struct cluster_run *cr)
{
    for (unsigned i = 0; i < cr->watch.parts_n; i++) {
        mem_free(cr->watch.parts[i].crcs);
    }
    mem_free(cr->watch.epochs);
    mem_free(cr->watch.images);
    buf_free(&cr->watch.buf);
}

/* ---- all is well ---- */

static bool has_metadata(const struct machine *m, const struct image *img, char *why, size_t n)
{
    for (unsigned i = 0; i < m->node->data_shards; i++) {
        if (image_version(&m->node->shards[i]) < img->offset) {
            snprintf(why, n, "broker %d has the metadata up to %lld, not %lld", m->node_id,
                     (long long)image_version(&m->node->shards[i]), (long long)img->offset);
            return false;
        }
    }
    return true;
}

static bool all_have_metadata(struct cluster_run *cr, char *why, size_t n)
{
    const struct image *img = cluster_image(cr);
    if (img == NULL) {
        snprintf(why, n, "no controller leads");
        return false;
    }
    for (unsigned i = 0; i < cr->nr.w.machines_n; i++) {
        const struct machine *m = &cr->nr.w.machines[i];
        if (!cluster_shows(m)) {
            snprintf(why, n, "node %d does not run", m->node_id);
            return false;
        }
        if (cr->members[i].broker && !has_metadata(m, img, why, n)) {
            return false;
        }
    }
    return true;
}

void cluster_await_metadata(struct cluster_run *cr)
{
    char why[300] = "";
    int64_t until = cr->nr.w.sim->clock.now_us + COMPARE_LIMIT_US;
    while (!all_have_metadata(cr, why, sizeof(why))) {
        if (cr->nr.w.sim->clock.now_us > until) {
            run_fail(cr->nr.r, "metadata are late although nothing is wrong: %s", why);
        }
        cluster_run_for(cr, 20000);
    }
}

static bool node_in_sync(struct cluster_run *cr, struct machine *m, const struct image *img,
                         char *why, size_t n)
{
    const struct image_broker *b = image_broker(img, m->node_id);
    if (!machine_up(m) || m->state != NODE_RUNNING || cr->members[m->index].stopping) {
        snprintf(why, n, "node %d does not run", m->node_id);
        return false;
    }
    if (m->node->controller != NULL &&
        controller_image(m->node->controller)->offset < img->offset) {
        snprintf(why, n, "node %d is a controller and behind", m->node_id);
        return false;
    }
    if (!cr->members[m->index].broker) {
        return true;
    }
    if (b == NULL || b->fenced || b->in_controlled_shutdown) {
        snprintf(why, n, "broker %d is %s", m->node_id,
                 b == NULL   ? "not registered"
                 : b->fenced ? "fenced"
                             : "leaving");
        return false;
    }
    return has_metadata(m, img, why, n) && log_dirs_settled(m, why, n);
}

static bool part_in_sync(struct cluster_run *cr, const struct image_topic *t,
                         const struct image_partition *ip, char *why, size_t n)
{
    bool recovering = ip->leader_recovery_state != 0 && ip->replicas_n > 1;
    bool moving = ip->adding_n > 0 || ip->removing_n > 0;
    bool owes = ip->elr_n > 0 || ip->last_known_elr_n > 0; /* once all is well nobody needs these */
    if (ip->leader < 0 || ip->isr_n != ip->replicas_n || recovering || moving || owes) {
        snprintf(why, n, "%.*s-%d: leader %d, %u of %u replicas in sync%s%s%s", BYTES_FMT(t->name),
                 ip->index, ip->leader, ip->isr_n, ip->replicas_n,
                 ip->leader_recovery_state ? ", recovering" : "", moving ? ", moving" : "",
                 owes ? ", others eligible" : "");
        return false;
    }
    for (uint32_t k = 0; k < ip->replicas_n; k++) {
        struct machine *m = &cr->nr.w.machines[cluster_index_of(cr, ip->replicas[k])];
        const struct partition *p = cluster_copy(m, t->id, ip->index);
        if (p == NULL || p->leader_epoch != ip->leader_epoch ||
            p->is_leader != (ip->replicas[k] == ip->leader)) {
            snprintf(why, n, "%.*s-%d: broker %d has %s", BYTES_FMT(t->name), ip->index, m->node_id,
                     p == NULL ? "no log" : "another idea of the leader");
            return false;
        }
        int64_t end = plog_end_offset(p->log);
        int64_t hw = plog_high_watermark(p->log);
        if (cr->rested && (hw != end || watched(cr, t->id, ip->index)->committed != end)) {
            snprintf(why, n, "%.*s-%d: broker %d ends at %lld, high watermark %lld",
                     BYTES_FMT(t->name), ip->index, m->node_id, (long long)end, (long long)hw);
            return false;
        }
    }
    return true;
}

bool cluster_in_sync(struct cluster_run *cr, char *why, size_t n)
{
    const struct image *img = cluster_image(cr);
    struct image_topic_iter it = {0};
    const struct image_topic *t;
    if (img == NULL) {
        snprintf(why, n, "no controller leads");
        return false;
    }
    for (unsigned i = 0; i < cr->nr.w.machines_n; i++) {
        if (!node_in_sync(cr, &cr->nr.w.machines[i], img, why, n)) {
            return false;
        }
    }
    if (!cluster_wipe_settled(cr, why, n)) {
        return false;
    }
    while ((t = image_next_topic(img, &it)) != NULL) {
        for (uint32_t k = 0; k < t->partitions_n; k++) {
            const struct image_partition *ip = image_partition(t, (int32_t)k);
            if (ip != NULL && !part_in_sync(cr, t, ip, why, n)) {
                return false;
            }
        }
    }
    return true;
}

void cluster_compare(struct cluster_run *cr)
{
    char why[300] = "";
    int64_t until = cr->nr.w.sim->clock.now_us + COMPARE_LIMIT_US;
    cluster_watch_new_round(cr);
    cr->rested = true;
    cluster_look(cr);
    while (!cluster_in_sync(cr, why, sizeof(why))) {
        if (cr->nr.w.sim->clock.now_us > until) {
            run_fail(cr->nr.r, "copies differ although nothing is wrong: %s", why);
        }
        cluster_run_for(cr, 20000);
        cluster_look(cr);
    }
    cr->rested = false;
}
