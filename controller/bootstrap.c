#include "controller/bootstrap.h"

#include <stdio.h>

#include "base/assert.h"
#include "proto/record_batch.h"
#include "proto_features.h"
#include "proto_messages.h"

enum { FILE_MAX = 64 << 20, FILE_PATH_MAX = 4096 };

/* ---- which features ---- */

static size_t version_index(int16_t level)
{
    size_t i = 0;
    while (i < proto_metadata_versions_n && proto_metadata_versions[i].level != level) {
        i++;
    }
    return i;
}

int16_t format_newest_release(void)
{
    int16_t level = 0;
    for (size_t i = 0; i < proto_metadata_versions_n; i++) {
        level = proto_metadata_versions[i].production ? proto_metadata_versions[i].level : level;
    }
    return level;
}

static const struct proto_feature_level *find_level(const char *feature, int16_t level)
{
    for (size_t i = 0; i < proto_feature_levels_n; i++) {
        const struct proto_feature_level *l = &proto_feature_levels[i];
        if (strcmp(l->feature, feature) == 0 && l->level == level) {
            return l;
        }
    }
    return NULL;
}

static void set_feature(struct bootstrap_features *f, const char *name, int16_t level)
{
    size_t at = 0;
    while (at < f->n && strcmp(f->v[at].name, name) != 0) {
        at++;
    }
    if (at < f->n && level > 0) {
        f->v[at].level = level;
    } else if (at < f->n) {
        f->n--;
        memmove(&f->v[at], &f->v[at + 1], (f->n - at) * sizeof f->v[0]);
    } else if (level > 0) {
        ASSERT(f->n < BOOTSTRAP_FEATURES_MAX);
        at = 1; /* metadata.version stays in front */
        while (at < f->n && strcmp(f->v[at].name, name) < 0) {
            at++;
        }
        memmove(&f->v[at + 1], &f->v[at], (f->n - at) * sizeof f->v[0]);
        f->v[at] = (struct format_feature){name, level};
        f->n++;
    }
}

/* It follows from how the voters are named. */
static int check_kraft_version(int16_t level, bool voter, struct errmsg *em)
{
    if (level == (voter ? 1 : 0)) {
        return 0;
    }
    return errmsg_set(em, ERR_INVALID,
                      voter ? "kraft.version=%d is not allowed with --standalone or "
                              "--initial-controllers, which make kraft.version 1"
                            : "kraft.version=%d is not allowed: the voters are those of "
                              "controller.quorum.voters, which is kraft.version 0",
                      level);
}

static int check_feature(const struct format_feature *want, int16_t metadata_version, bool voter,
                         struct errmsg *em)
{
    const struct proto_feature *known = proto_feature(want->name);
    if (known == NULL) {
        return errmsg_set(em, ERR_INVALID, "%s is no feature of this release", want->name);
    }
    if (strcmp(want->name, "kraft.version") == 0) {
        return check_kraft_version(want->level, voter, em);
    }
    const struct proto_feature_level *l = find_level(want->name, want->level);
    if (want->level < 0 || want->level > known->supported_max || (want->level > 0 && l == NULL)) {
        return errmsg_set(em, ERR_INVALID, "%s=%d is not allowed; allowed: %d to %d", want->name,
                          want->level, known->supported_min, known->supported_max);
    }
    if (want->level > 0 && l->needs_metadata_version > metadata_version) {
        return errmsg_set(em, ERR_INVALID,
                          "%s=%d needs metadata.version %d or higher, but it is %d", want->name,
                          want->level, l->needs_metadata_version, metadata_version);
    }
    return 0;
}

int bootstrap_choose(const struct format_options *opt, struct bootstrap_features *out,
                     struct errmsg *em)
{
    int16_t level = opt->metadata_version ? opt->metadata_version : format_newest_release();
    for (size_t i = 0; i < opt->features_n; i++) {
        if (strcmp(opt->features[i].name, "metadata.version") == 0) {
            level = opt->features[i].level;
        }
    }
    size_t at = version_index(level);
    if (at == proto_metadata_versions_n || !proto_metadata_versions[at].production) {
        return errmsg_set(em, ERR_INVALID, "metadata.version=%d is not allowed; allowed: %d to %d",
                          level, proto_metadata_versions[0].level, format_newest_release());
    }
    *out = (struct bootstrap_features){{{"metadata.version", level}}, 1};
    for (size_t i = 0; i < proto_features_n; i++) {
        const struct proto_feature *f = &proto_features[i];
        if (f->default_at && strcmp(f->name, "kraft.version") != 0) {
            set_feature(out, f->name, f->default_at[at]);
        }
    }
    for (size_t i = 0; i < opt->features_n; i++) {
        const struct format_feature *want = &opt->features[i];
        if (strcmp(want->name, "metadata.version") == 0) {
            continue;
        }
        int err = check_feature(want, level, opt->voter != NULL, em);
        if (err) {
            return err;
        }
        if (strcmp(want->name, "kraft.version") != 0) { /* no record has it */
            set_feature(out, want->name, want->level);
        }
    }
    return 0;
}

/* ---- writing ---- */

static void put_control(struct batch_builder *b, enum control_type type,
                        const struct proto_message *m, const void *record, int64_t now_ms)
{
    struct buf value = {0};
    int err = proto_encode(m, 0, record, &value, NULL);
    ASSERT(err == 0);
    batch_builder_add_control(b, now_ms, type, buf_bytes(&value));
    buf_free(&value);
}

static void begin(struct batch_builder *b, int64_t offset, bool control)
{
    struct batch_options opt = BATCH_OPTIONS_DEFAULT;
    opt.base_offset = offset;
    opt.leader_epoch = 0;
    opt.control = control;
    batch_builder_init(b, &opt);
}

static void feature_record(const struct format_feature *f, struct buf *out)
{
    struct feature_level_record r;
    proto_msg_init(&feature_level_record_msg, &r);
    r.name = bytes_str(f->name);
    r.feature_level = f->level;
    int err = proto_encode_metadata_record(&feature_level_record_msg, 0, &r, out, NULL);
    ASSERT(err == 0);
}

void bootstrap_encode(const struct bootstrap_features *f, int64_t now_ms, struct buf *out)
{
    struct batch_builder b = {0};
    struct snapshot_header_record header;
    struct snapshot_footer_record footer;
    struct buf value = {0};
    proto_msg_init(&snapshot_header_record_msg, &header);
    proto_msg_init(&snapshot_footer_record_msg, &footer);
    begin(&b, 0, true);
    put_control(&b, CONTROL_SNAPSHOT_HEADER, &snapshot_header_record_msg, &header, now_ms);
    int err = batch_builder_finish(&b, out);
    begin(&b, 1, false);
    for (size_t i = 0; i < f->n; i++) {
        buf_clear(&value);
        feature_record(&f->v[i], &value);
        batch_builder_add(&b, now_ms, BYTES_NULL, buf_bytes(&value), NULL, 0);
    }
    err |= batch_builder_finish(&b, out);
    begin(&b, 1 + (int64_t)f->n, true);
    put_control(&b, CONTROL_SNAPSHOT_FOOTER, &snapshot_footer_record_msg, &footer, now_ms);
    err |= batch_builder_finish(&b, out);
    ASSERT(err == 0); /* no codec */
    batch_builder_free(&b);
    buf_free(&value);
}

void bootstrap_encode_voter(int32_t node_id, struct uuid directory_id,
                            const struct format_voter *voter, int64_t now_ms, struct buf *out)
{
    struct batch_builder b = {0};
    struct snapshot_header_record header;
    struct snapshot_footer_record footer;
    struct kraft_version_record version;
    struct voters_record voters;
    struct voters_record_voter v;
    struct voters_record_endpoint e;
    proto_msg_init(&snapshot_header_record_msg, &header);
    proto_msg_init(&snapshot_footer_record_msg, &footer);
    proto_msg_init(&kraft_version_record_msg, &version);
    proto_msg_init(&voters_record_msg, &voters);
    proto_init(&voters_record_voter_desc, &v);
    proto_init(&voters_record_endpoint_desc, &e);
    header.last_contained_log_timestamp = now_ms;
    version.kraft_version = 1;
    e.name = bytes_str(voter->listener);
    e.host = bytes_str(voter->host);
    e.port = voter->port;
    v.voter_id = node_id;
    v.voter_directory_id = directory_id;
    v.endpoints = &e;
    v.endpoints_n = 1;
    v.kraft_version_feature.min_supported_version = 0;
    v.kraft_version_feature.max_supported_version = 1;
    voters.voters = &v;
    voters.voters_n = 1;
    begin(&b, 0, true);
    put_control(&b, CONTROL_SNAPSHOT_HEADER, &snapshot_header_record_msg, &header, now_ms);
    put_control(&b, CONTROL_KRAFT_VERSION, &kraft_version_record_msg, &version, now_ms);
    put_control(&b, CONTROL_KRAFT_VOTERS, &voters_record_msg, &voters, now_ms);
    int err = batch_builder_finish(&b, out);
    begin(&b, 3, true);
    put_control(&b, CONTROL_SNAPSHOT_FOOTER, &snapshot_footer_record_msg, &footer, now_ms);
    err |= batch_builder_finish(&b, out);
    ASSERT(err == 0); /* no codec */
    batch_builder_free(&b);
}

/* ---- reading ---- */

struct collected {
    enum control_type
        last;    /* control record; CONTROL_UNKNOWN: none yet, or a batch of data since */
    bool headed; /* the first batch is the header */
    struct arena *a;
    struct bytes *v;
    size_t n;
    size_t cap;
};

static void collect(struct collected *c, struct bytes value)
{
    if (c->n == c->cap) {
        struct bytes *old = c->v;
        c->cap = c->cap ? 2 * c->cap : 16;
        c->v = ARENA_ARRAY(c->a, struct bytes, c->cap);
        if (c->n) {
            memcpy(c->v, old, c->n * sizeof *old);
        }
    }
    c->v[c->n++] = bytes_of(arena_strndup(c->a, value.data, value.len), value.len);
}

static int read_batch(struct collected *c, struct bytes batch)
{
    struct record_reader rr;
    struct record rec;
    int err = batch_crc_check(batch) ? record_reader_open(&rr, batch, 0) : ERR_CORRUPT;
    if (err) {
        return err;
    }
    while ((err = record_reader_next(&rr, &rec)) == 1) {
        const struct proto_message *m;
        int16_t version;
        void *record;
        if (batch_is_control(&rr.h)) {
            err = control_key_read(rec.key, &c->last);
            c->headed = c->headed || (c->n == 0 && c->last == CONTROL_SNAPSHOT_HEADER);
            if (err) {
                break;
            }
            continue;
        }
        c->last = CONTROL_UNKNOWN;
        err = bytes_is_null(rec.value)
                  ? ERR_CORRUPT
                  : proto_decode_metadata_record(rec.value, c->a, &m, &version, &record);
        if (err) {
            break;
        }
        collect(c, rec.value);
    }
    record_reader_close(&rr);
    return err;
}

static int read_file(struct collected *c, const char *path, struct bytes rest, struct errmsg *em)
{
    struct bytes batch;
    int got = 0;
    int err = 0;
    while (err == 0 && (got = batch_next(&rest, &batch)) == 1) {
        err = read_batch(c, batch);
    }
    err = err ? err : got < 0 || rest.len ? ERR_CORRUPT : 0;
    if (err == 0 && (!c->headed || c->last != CONTROL_SNAPSHOT_FOOTER)) {
        err = ERR_TRUNCATED; /* cut between two batches */
    }
    return err ? errmsg_set(em, ERR_CORRUPT,
                            "%s is damaged (%s): format the directory again, or put back its copy",
                            path, err_text(err))
               : 0;
}

static int defaults(struct collected *c, struct errmsg *em)
{
    struct format_options opt = {0};
    struct bootstrap_features f;
    struct buf value = {0};
    int err = bootstrap_choose(&opt, &f, em);
    for (size_t i = 0; err == 0 && i < f.n; i++) {
        buf_clear(&value);
        feature_record(&f.v[i], &value);
        collect(c, buf_bytes(&value));
    }
    buf_free(&value);
    return err;
}

int bootstrap_read(struct io *io, const char *dir, struct arena *a, struct bytes **records,
                   size_t *n, struct errmsg *em)
{
    char path[FILE_PATH_MAX];
    struct buf file = {0};
    struct collected c = {.a = a};
    snprintf(path, sizeof path, "%s/bootstrap.checkpoint", dir);
    int err = io_read_file(io, path, FILE_MAX, &file);
    if (err == ERR_NOTFOUND) {
        err = defaults(&c, em);
    } else if (err) {
        errmsg_set(em, err, "%s cannot be read: %s", path, err_text(err));
    } else {
        err = read_file(&c, path, buf_bytes(&file), em);
    }
    buf_free(&file);
    *records = c.v;
    *n = c.n;
    return err;
}
