/* The controller's numbers: those of the quorum as it told them, those of the cluster counted in
 * the committed image, here, off its shard. Every controller has them; which one is the active one
 * is a number of its own. */
#include "broker/monitor/metrics.h"
#include "controller/image.h"

struct cluster {
    uint64_t brokers, fenced, leaving, topics, partitions, offline, not_preferred;
};

static void count_partition(const struct image_partition *p, struct cluster *c)
{
    c->partitions++;
    c->offline += p->leader < 0;
    c->not_preferred += p->leader >= 0 && p->replicas_n > 0 && p->leader != p->replicas[0];
}

static void count_cluster(const struct image *img, struct cluster *c)
{
    for (int32_t i = 0; i < img->brokers_n; i++) {
        c->brokers += !img->brokers[i]->fenced;
        c->fenced += img->brokers[i]->fenced;
        c->leaving += img->brokers[i]->in_controlled_shutdown;
    }
    struct image_topic_iter it = {0};
    const struct image_topic *t;
    while ((t = image_next_topic(img, &it)) != NULL) {
        c->topics++;
        for (uint32_t i = 0; i < t->partitions_n; i++) {
            if (t->partitions[i]) {
                count_partition(t->partitions[i], c);
            }
        }
    }
}

static void put_cluster(struct metrics *m, const struct image *img)
{
    struct metrics_text *t = &m->text;
    struct cluster c = {0};
    count_cluster(img, &c);
#define CONTROLLER(name) "kafka_controller_kafkacontroller_" name
    metric_one(t, CONTROLLER("activebrokercount"), "gauge", "Brokers that serve.",
               (double)c.brokers);
    metric_one(t, CONTROLLER("fencedbrokercount"), "gauge", "Brokers that are registered, fenced.",
               (double)c.fenced);
    metric_one(t, CONTROLLER("controlledshutdownbrokercount"), "gauge",
               "Brokers that are leaving in order.", (double)c.leaving);
    metric_one(t, CONTROLLER("globaltopiccount"), "gauge", "Topics of the cluster.",
               (double)c.topics);
    metric_one(t, CONTROLLER("globalpartitioncount"), "gauge", "Partitions of the cluster.",
               (double)c.partitions);
    metric_one(t, CONTROLLER("offlinepartitionscount"), "gauge",
               "Partitions of the cluster without a leader.", (double)c.offline);
    metric_one(t, CONTROLLER("preferredreplicaimbalancecount"), "gauge",
               "Partitions of the cluster that another than their first replica leads.",
               (double)c.not_preferred);
}

static void put_flushes(struct metrics_text *t, const struct controller_status *st)
{
    metric_family(t, "millrace_metadata_log_flush_seconds", "summary",
                  "Flushes of the metadata log: a vote or a change waits for each.");
    metric_suffix(t, "_sum", bytes_of("", 0), (double)st->flushes.sum_us / 1e6);
    metric_suffix(t, "_count", bytes_of("", 0), (double)st->flushes.count);
}

void metrics_put_controller(struct metrics *m)
{
    struct metrics_text *t = &m->text;
    const struct metrics_controller *c = m->controller;
    metric_one(t, CONTROLLER("activecontrollercount"), "gauge",
               "1 on the active controller; over all controllers the sum is 1.",
               c->up && c->status.active);
    if (!c->up) {
        return;
    }
    put_cluster(m, c->image);
    metric_one(t, CONTROLLER("lastappliedrecordoffset"), "gauge",
               "Offset of the newest record in the committed image.", (double)c->image->offset);
    metric_one(t, CONTROLLER("lastcommittedrecordoffset"), "gauge",
               "Offset of the newest committed record of the metadata log.",
               (double)(c->status.committed_offset - 1));
    metric_one(t, CONTROLLER("lastappliedrecordtimestamp"), "gauge",
               "Its time, in milliseconds since 1970.", (double)c->image->time_ms);
    metric_one(t, CONTROLLER("newactivecontrollerscount_total"), "counter",
               "Times that this controller became the active one.", (double)c->status.activations);
    metric_one(t, "millrace_controller_leader_elections_total", "counter",
               "Leaders of partitions that this controller has chosen.",
               (double)c->status.elections);
    metric_one(t, "kafka_controller_controllerstats_uncleanleaderelections_total", "counter",
               "Of them, those that were neither in sync nor eligible: records may be lost.",
               (double)c->status.unclean_elections);
    put_flushes(t, &c->status);
#define RAFT(name) "kafka_server_raft_metrics_" name
    metric_one(t, RAFT("current_leader"), "gauge", "Node that leads the quorum; -1: unknown.",
               c->status.leader_id);
    metric_one(t, RAFT("current_epoch"), "gauge", "Epoch of the quorum.", c->status.epoch);
    metric_one(t, RAFT("high_watermark"), "gauge", "Committed end of the metadata log.",
               (double)c->status.committed_offset);
    metric_one(t, RAFT("log_end_offset"), "gauge", "End of the metadata log here.",
               (double)c->status.log_end_offset);
    if (c->status.voters > 0) { /* one that is no voter is not told */
        metric_one(t, RAFT("number_of_voters"), "gauge", "Controllers of the quorum.",
                   (double)c->status.voters);
    }
}
