/* meta.properties and partition.metadata: who this directory, and this partition, belongs to.
 * formats.md sections 1.1 and 1.2. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/properties.h"
#include "storage/log_dir.h"

enum { SMALL_FILE_MAX = 64 << 10 };

/* ---- meta.properties ---- */

struct meta_reader {
    struct meta_properties *m;
    bool has_version;
    struct errmsg *em;
    const char *path;
};

static int parse_int(const char *s, int32_t *out)
{
    char *end;
    long v = strtol(s, &end, 10);
    if (*s == 0 || *end != 0 || v < INT32_MIN || v > INT32_MAX) {
        return ERR_CORRUPT;
    }
    *out = (int32_t)v;
    return 0;
}

static int meta_pair(void *ctx, const char *key, const char *value, unsigned line)
{
    struct meta_reader *r = ctx;
    int rc = 0;
    if (strcmp(key, "version") == 0) {
        r->has_version = true;
        rc = parse_int(value, &r->m->version);
    } else if (strcmp(key, "node.id") == 0 || strcmp(key, "broker.id") == 0) {
        rc = parse_int(value, &r->m->node_id);
    } else if (strcmp(key, "cluster.id") == 0) {
        size_t n = strlen(value);
        if (n >= sizeof r->m->cluster_id) {
            rc = ERR_CORRUPT;
        } else {
            memcpy(r->m->cluster_id, value, n + 1);
        }
    } else if (strcmp(key, "directory.id") == 0) {
        rc = uuid_parse(value, strlen(value), &r->m->directory_id) < 0 ? ERR_CORRUPT : 0;
    }
    return rc < 0 ? errmsg_set(r->em, rc, "%s line %u: %s has the value \"%.100s\", which is none",
                               r->path, line, key, value)
                  : 0;
}

static int meta_check(const struct meta_reader *r)
{
    if (!r->has_version) {
        return errmsg_set(r->em, ERR_CORRUPT, "%s has no version", r->path);
    }
    if (r->m->version != 0 && r->m->version != 1) {
        return errmsg_set(r->em, ERR_UNSUPPORTED,
                          "%s is of version %d; this program knows versions 0 and 1", r->path,
                          r->m->version);
    }
    if (r->m->version == 1 && (r->m->node_id < 0 || r->m->cluster_id[0] == 0)) {
        return errmsg_set(r->em, ERR_CORRUPT, "%s has no %s", r->path,
                          r->m->node_id < 0 ? "node.id" : "cluster.id");
    }
    return 0;
}

int meta_properties_read(struct io *io, const char *dir, struct meta_properties *out,
                         struct errmsg *em)
{
    struct buf path = {0};
    struct buf text = {0};
    buf_printf(&path, "%s/" LOG_DIR_META, dir);
    *out = (struct meta_properties){.version = -1, .node_id = -1};
    int rc = io_read_file(io, buf_cstr(&path), SMALL_FILE_MAX, &text);
    if (rc < 0) {
        errmsg_set(em, rc, "%s cannot be read: %s", buf_cstr(&path), err_text(rc));
        goto out;
    }
    struct meta_reader r = {.m = out, .em = em, .path = buf_cstr(&path)};
    struct errmsg why = {{0}};
    rc = properties_parse(buf_bytes(&text), meta_pair, &r, &why);
    if (rc < 0 && why.text[0] != 0) {
        errmsg_set(em, rc, "%s: %s", buf_cstr(&path), why.text);
    }
    if (rc == 0) {
        rc = meta_check(&r);
    }
out:
    buf_free(&text);
    buf_free(&path);
    return rc < 0 ? rc : 0;
}

/* Java escapes these in a value. */
static void put_escaped(struct buf *out, const char *s)
{
    static const char controls[] = "\t\n\r\f";
    for (const char *p = s; *p; p++) {
        const char *control = strchr(controls, *p);
        if (control || strchr("\\:=#!", *p) || (*p == ' ' && p == s)) {
            buf_put_u8(out, '\\');
        }
        buf_put_u8(out, (uint8_t)(control ? "tnrf"[control - controls] : *p));
    }
}

int meta_properties_write(struct io *io, const char *dir, const struct meta_properties *m)
{
    struct buf path = {0};
    struct buf text = {0};
    char date[64];
    char id[UUID_TEXT];
    time_t now = (time_t)(io_wall_ms(io) / 1000);
    struct tm tm;
    gmtime_r(&now, &tm);
    strftime(date, sizeof date, "%a %b %d %H:%M:%S UTC %Y", &tm);
    buf_printf(&text, "#\n#%s\nnode.id=%d\n", date, m->node_id);
    if (!uuid_is_zero(m->directory_id)) {
        buf_printf(&text, "directory.id=%s\n", uuid_text(m->directory_id, id));
    }
    buf_put_str(&text, "version=1\ncluster.id=");
    put_escaped(&text, m->cluster_id);
    buf_put_u8(&text, '\n');
    buf_printf(&path, "%s/" LOG_DIR_META, dir);
    int rc = io_replace_file(io, buf_cstr(&path), text.data, text.len);
    buf_free(&text);
    buf_free(&path);
    return rc;
}

/* ---- partition.metadata ---- */

static int parse_partition_metadata(const char *text, struct uuid *out)
{
    int version = -1;
    char id[64] = "";
    if (sscanf(text, " version: %d topic_id: %63s", &version, id) != 2) {
        return ERR_CORRUPT;
    }
    if (version != 0) {
        return ERR_UNSUPPORTED;
    }
    return uuid_parse(id, strlen(id), out) < 0 ? ERR_CORRUPT : 0;
}

int partition_metadata_read(struct io *io, const char *partition_dir, struct uuid *topic_id,
                            struct errmsg *em)
{
    struct buf path = {0};
    struct buf text = {0};
    *topic_id = UUID_ZERO;
    buf_printf(&path, "%s/partition.metadata", partition_dir);
    int rc = io_read_file(io, buf_cstr(&path), SMALL_FILE_MAX, &text);
    if (rc == 0) {
        rc = parse_partition_metadata(buf_cstr(&text), topic_id);
    }
    if (rc < 0) {
        errmsg_set(em, rc, "%s: %s", buf_cstr(&path),
                   rc == ERR_CORRUPT ? "is not \"version: 0\" and \"topic_id: <uuid>\""
                                     : err_text(rc));
    }
    buf_free(&text);
    buf_free(&path);
    return rc;
}

void partition_metadata_text(struct uuid topic_id, struct buf *out)
{
    char id[UUID_TEXT];
    buf_printf(out, "version: 0\ntopic_id: %s", uuid_text(topic_id, id));
}

int partition_metadata_write(struct io *io, const char *partition_dir, struct uuid topic_id)
{
    struct buf path = {0};
    struct buf text = {0};
    buf_printf(&path, "%s/partition.metadata", partition_dir);
    partition_metadata_text(topic_id, &text);
    int rc = io_replace_file(io, buf_cstr(&path), text.data, text.len);
    buf_free(&text);
    buf_free(&path);
    return rc;
}
