/* Log directories of the scenarios `node` and `cluster`: in some runs a node has several, and the
 * administrator moves replicas between them (AlterReplicaLogDirs). When nothing is wrong every move
 * ends: each replica lies in one directory, the one that the metadata has, and on the disk nowhere
 * else. How many there are comes from the seed and not from the run's dice. */
#include <stdio.h>
#include <string.h>

#include "broker/partition.h"
#include "broker/partition_manager.h"
#include "controller/image.h"
#include "sim/node_run.h"
#include "storage/log_dir.h"

enum { SETTLE_US = 60000000, LOOK_US = 20000, ASK_US = 1000000 };

unsigned log_dirs_drawn(const struct run *r)
{
    uint64_t x = (r->seed + 1) * 0x9e3779b97f4a7c15ull;
    x ^= x >> 31;
    return x % 10 < 4 ? 2 + (unsigned)(x / 10 % (WORLD_DIRS_MAX - 1)) : 1;
}

/* So many directories hold it under its name. */
static unsigned copies_of(const struct machine *m, const char *name)
{
    unsigned n = 0;
    for (unsigned d = 0; d < m->w->dirs; d++) {
        char path[400];
        struct io_stat st;
        snprintf(path, sizeof(path), "%s/%s", world_dir(d), name);
        n += sim_disk_stat(m->host->disk, path, &st) == 0;
    }
    return n;
}

static bool is_settled(const struct machine *m, const struct partition *p, const struct image *img,
                       char *why, size_t n)
{
    const struct image_topic *t = image_topic_by_id(img, p->topic->id);
    const struct image_partition *ip = t ? image_partition(t, p->index) : NULL;
    if (p->move != NULL || p->log == NULL) {
        snprintf(why, n, "%s-%d of node %d %s", p->topic->name, p->index, m->node_id,
                 p->move ? "is being moved" : "has no log");
        return false;
    }
    unsigned copies = copies_of(m, plog_name(p->log));
    if (copies != 1) {
        snprintf(why, n, "%s of node %d lies in %u directories", plog_name(p->log), m->node_id,
                 copies);
        return false;
    }
    const struct log_dir *dir = m->node->log_dirs[plog_dir_index(p->log)];
    for (uint32_t i = 0; ip != NULL && i < ip->replicas_n; i++) {
        if (ip->replicas[i] == m->node_id && !uuid_eq(ip->directories[i], dir->meta.directory_id)) {
            snprintf(why, n, "%s of node %d lies in %s, and the metadata has another directory",
                     plog_name(p->log), m->node_id, dir->path);
            return false;
        }
    }
    return true;
}

bool log_dirs_settled(const struct machine *m, char *why, size_t n)
{
    if (m->node == NULL || m->state != NODE_RUNNING) { /* its directories may be closed already */
        snprintf(why, n, "node %d does not run", m->node_id);
        return false;
    }
    for (unsigned i = 0; m->w->dirs > 1 && i < m->node->data_shards; i++) {
        const struct partition_manager *pm = m->node->shards[i].partitions;
        list_for_each (it, &pm->all) {
            const struct partition *p = LIST_ENTRY(it, struct partition, all);
            if (!is_settled(m, p, m->node->shards[i].image, why, n)) {
                return false;
            }
        }
    }
    return true;
}

void log_dirs_move_all(struct node_run *nr, unsigned d)
{
    for (unsigned i = 0; i < nr->topics_n; i++) {
        struct topic *t = &nr->topics[i];
        for (int32_t k = 0; t->state == TOPIC_EXISTS && k < t->parts_n && !node_ended(nr); k++) {
            struct alter_replica_log_dirs_request req;
            struct alter_replica_log_dirs_request_alter_replica_log_dir dir;
            struct alter_replica_log_dirs_request_alter_replica_log_dir_topic topic;
            struct alter_replica_log_dirs_response resp;
            proto_msg_init(&alter_replica_log_dirs_request_msg, &req);
            proto_init(&alter_replica_log_dirs_request_alter_replica_log_dir_desc, &dir);
            proto_init(&alter_replica_log_dirs_request_alter_replica_log_dir_topic_desc, &topic);
            req.dirs = &dir;
            req.dirs_n = 1;
            dir.path = bytes_str(world_dir(d));
            dir.topics = &topic;
            dir.topics_n = 1;
            topic.name = bytes_str(t->name);
            topic.partitions = &k;
            topic.partitions_n = 1;
            check_call(nr, API_ALTER_REPLICA_LOG_DIRS, 2, &req, &resp, ASK_US);
        }
    }
}

void log_dirs_settle(struct node_run *nr)
{
    char why[400] = "";
    int64_t until = nr->w.sim->clock.now_us + SETTLE_US;
    while (!log_dirs_settled(nr->m, why, sizeof(why))) {
        if (nr->w.sim->clock.now_us > until) {
            run_fail(nr->r, "a minute after the last fault %s", why);
        }
        world_run(&nr->w, LOOK_US, NULL, NULL);
    }
}
