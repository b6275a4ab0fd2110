/* The first records of a new cluster (formats.md 8.3 of the facts): a metadata transaction with
 * the records of bootstrap.checkpoint and, with ELR on, the cluster's least ISR size, which the
 * brokers' files no longer decide then. */
#include <stdio.h>

#include "controller/decide_topics.h"
#include "proto_features.h"

static int16_t feature_in(struct arena *a, const struct bytes *records, size_t n, const char *name)
{
    int16_t level = 0;
    for (size_t i = 0; i < n; i++) {
        const struct proto_message *m;
        int16_t version;
        void *r;
        if (proto_decode_metadata_record(records[i], a, &m, &version, &r) == 0 &&
            m == &feature_level_record_msg) {
            const struct feature_level_record *f = r;
            level = bytes_eq_str(f->name, name) ? f->feature_level : level;
        }
    }
    return level;
}

static int add_framed(struct decision *d, struct bytes record, struct errmsg *em)
{
    const struct proto_message *m;
    int16_t version;
    void *r;
    int err = proto_decode_metadata_record(record, d->arena, &m, &version, &r);
    if (err) {
        return errmsg_set(em, ERR_CORRUPT, "a record of bootstrap.checkpoint does not decode (%s)",
                          err_text(err));
    }
    decision_add(d, m, version, r);
    return 0;
}

int decide_bootstrap(struct decision *d, const struct bytes *records, size_t n, struct errmsg *em)
{
    int16_t level = feature_in(d->arena, records, n, "metadata.version");
    const struct proto_metadata_version *mv = proto_metadata_version(level);
    struct begin_transaction_record begin;
    struct end_transaction_record end;
    char text[16];
    if (mv == NULL) {
        return errmsg_set(em, ERR_UNSUPPORTED,
                          "bootstrap.checkpoint begins a cluster of metadata.version %d; this "
                          "release knows %d to %d",
                          level, proto_metadata_versions[0].level,
                          proto_metadata_versions[proto_metadata_versions_n - 1].level);
    }
    bool transaction = mv->flags & MV_METADATA_TRANSACTION_SUPPORTED;
    if (transaction) {
        proto_msg_init(&begin_transaction_record_msg, &begin);
        begin.name = bytes_str("Bootstrap records");
        decision_add(d, &begin_transaction_record_msg, 0, &begin);
    }
    int err = 0;
    for (size_t i = 0; i < n && err == 0; i++) {
        err = add_framed(d, records[i], em);
    }
    if (err) {
        return err;
    }
    if (feature_in(d->arena, records, n, "eligible.leader.replicas.version") > 0) {
        snprintf(text, sizeof text, "%d", (int)d->cfg->min_insync_replicas);
        decide_add_config(d, CONFIG_BROKER, bytes_str(""), bytes_str("min.insync.replicas"),
                          bytes_str(text));
    }
    if (transaction) {
        proto_msg_init(&end_transaction_record_msg, &end);
        decision_add(d, &end_transaction_record_msg, 0, &end);
    }
    return 0;
}
