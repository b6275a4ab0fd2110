/* Makes seeds for the fuzz targets: fuzz_seeds OUT_FOLDER FILE...
 *
 * FILE is a table of golden vectors (.tsv, .tsv.zst), a log segment (.log: with the files beside
 * it), a metadata snapshot (.checkpoint) or a small file of a log directory, by its name. Each
 * vector and each file becomes one or more files OUT_FOLDER/TARGET/NUMBER in the form that its
 * target wants. The folders must exist. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "../vectors/vector.h"
#include "base/mem.h"
#include "proto/record_batch.h"

enum { LOG_MAX = 2000, METADATA_MAX = 1 << 20 };
/* As in fuzz_metadata.c. */
enum { PIECE_ENDS = 1 << 15, PIECE_CONTROL = 1 << 14, PIECE_LENGTH = (1 << 10) - 1 };

static size_t written;

static int put_file(const char *folder, const char *target, struct bytes data)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s/seed-%06zu", folder, target, written++);
    FILE *f = fopen(path, "wb");
    if (f == NULL || fwrite(data.data, 1, data.len, f) != data.len || fclose(f) != 0) {
        fprintf(stderr, "fuzz_seeds: %s: %s\n", path, strerror(errno));
        return -1;
    }
    return 0;
}

/* ---- Vectors ---- */

static size_t index_of(const struct proto_message *m)
{
    size_t n;
    const struct proto_message *const *all = proto_all(&n);
    for (size_t i = 0; i < n; i++) {
        if (all[i] == m) {
            return i;
        }
    }
    return 0;
}

static const char *make_seed(const struct vector *v, struct bytes wire, struct buf *out)
{
    switch (v->framing == FRAME_NONE ? v->m->kind : PROTO_METADATA) {
    case PROTO_REQUEST:
        proto_put_request_header(out, v->m->key, v->version, 7, bytes_str("seed"));
        buf_put(out, wire.data, wire.len);
        return "requests";
    case PROTO_RESPONSE:
        buf_put_be16(out, (uint16_t)v->m->key);
        buf_put_be16(out, (uint16_t)v->version);
        proto_put_response_header(out, v->m->key, v->version, 7);
        buf_put(out, wire.data, wire.len);
        return "responses";
    case PROTO_HEADER:
        buf_put_u8(out, strcmp(v->m->name, "RequestHeader") == 0 ? (uint8_t)(2 + v->version - 1)
                                                                 : (uint8_t)v->version);
        buf_put(out, wire.data, wire.len);
        return "headers";
    default:
        break;
    }
    if (v->framing == FRAME_NONE || v->framing == FRAME_VERSION_PREFIX) {
        buf_put_u8(out, 255);
        buf_put_be16(out, (uint16_t)index_of(v->m));
        if (v->framing == FRAME_NONE) {
            buf_put_be16(out, (uint16_t)v->version);
        }
    } else {
        buf_put_u8(out, (uint8_t)(v->m->store - PROTO_STORE_METADATA));
    }
    buf_put(out, wire.data, wire.len);
    return "records";
}

/* A row of batches, as it is and its first batch's compressed records alone. */
static int put_batch(const char *folder, struct bytes wire)
{
    struct buf seed = {0};
    struct batch_header h;
    buf_put_u8(&seed, 0);
    buf_put_u8(&seed, CODEC_COUNT);
    buf_put(&seed, wire.data, wire.len);
    int rv = put_file(folder, "batch", buf_bytes(&seed));
    if (rv == 0 && batch_header_read(wire, &h) == 0 && codec_valid(batch_codec(&h))) {
        buf_clear(&seed);
        buf_put_u8(&seed, (uint8_t)batch_codec(&h));
        buf_put_u8(&seed, 128);
        buf_put(&seed, wire.data + BATCH_HEADER_SIZE, wire.len - BATCH_HEADER_SIZE);
        rv = put_file(folder, "compress", buf_bytes(&seed));
    }
    buf_free(&seed);
    return rv;
}

/* A framed metadata record alone in its batch. */
static int put_metadata_record(const char *folder, struct bytes wire)
{
    struct buf seed = {0};
    buf_put_u8(&seed, 0);
    buf_put_be16(&seed, (uint16_t)(PIECE_ENDS | (wire.len & PIECE_LENGTH)));
    buf_put(&seed, wire.data, wire.len);
    int rv = wire.len <= PIECE_LENGTH ? put_file(folder, "metadata", buf_bytes(&seed)) : 0;
    buf_free(&seed);
    return rv;
}

/* A key alone and a value under a key that suits every type, as pieces of fuzz_group.c. */
static int put_group_record(const char *folder, const struct vector *v, struct bytes wire)
{
    static const uint8_t suits[] = "\0\1g\0\1m\0\0\0\0"; /* group, topic or member, partition */
    static const uint8_t value[] = "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    bool key = v->m->kind == PROTO_COORDINATOR_KEY;
    size_t key_n = 2 + (key ? wire.len : sizeof suits - 1);
    size_t value_n = key ? sizeof value - 1 : 2 + wire.len;
    struct buf seed = {0};
    buf_put_u8(&seed, 0);
    buf_put_be16(&seed, (uint16_t)key_n);
    buf_put_be16(&seed, (uint16_t)value_n);
    buf_put_be16(&seed, (uint16_t)v->m->key);
    buf_put(&seed, key ? wire.data : suits, key_n - 2);
    if (key) {
        buf_put(&seed, value, value_n);
    } else {
        buf_put_be16(&seed, (uint16_t)v->version);
        buf_put(&seed, wire.data, wire.len);
    }
    int rv = put_file(folder, "group", buf_bytes(&seed));
    buf_free(&seed);
    return rv;
}

static int row(const char *folder, const struct table_row *r)
{
    struct buf wire = {0};
    struct buf seed = {0};
    struct vector v;
    int rv = -1;
    if (r->n == 5 && table_hex(&wire, r->col[1]) == 0) {
        rv = put_batch(folder, buf_bytes(&wire));
    } else if (r->n == 6 && vector_of(&v, r) == 0 && table_hex(&wire, r->col[3]) == 0) {
        const char *target = make_seed(&v, buf_bytes(&wire), &seed);
        rv = put_file(folder, target, buf_bytes(&seed));
        if (rv == 0 && v.framing != FRAME_NONE && v.m->store == PROTO_STORE_METADATA) {
            rv = put_metadata_record(folder, buf_bytes(&wire));
        } else if (rv == 0 && v.framing == FRAME_NONE &&
                   v.m->store == PROTO_STORE_CONSUMER_OFFSETS) {
            rv = put_group_record(folder, &v, buf_bytes(&wire));
        }
    } else {
        fprintf(stderr, "fuzz_seeds: line %zu is no vector\n", r->line);
    }
    buf_free(&wire);
    buf_free(&seed);
    return rv;
}

static int table(const char *folder, const char *path)
{
    struct table t;
    int rv = table_load(&t, path);
    for (size_t k = 0; rv == 0 && k < t.n; k++) {
        rv = row(folder, &t.rows[k]);
    }
    table_free(&t);
    return rv;
}

/* ---- Files of a log directory ---- */

/* At most max bytes of a file; null if it is not there. */
static struct bytes read_some(const char *path, size_t max, struct buf *b)
{
    FILE *f = fopen(path, "rb");
    buf_clear(b);
    buf_reserve(b, max);
    if (f == NULL) {
        return BYTES_NULL;
    }
    b->len = fread(b->data, 1, max, f);
    fclose(f);
    return buf_bytes(b);
}

static bool ends(const char *path, const char *suffix)
{
    size_t n = strlen(path);
    size_t m = strlen(suffix);
    return n >= m && strcmp(path + n - m, suffix) == 0;
}

/* The form of fuzz_log: every file cut to what an input may hold. */
static int put_log(const char *folder, const char *path)
{
    static const char *const beside[] = {".index", ".timeindex", ".txnindex", ".snapshot"};
    struct buf seed = {0};
    struct buf b = {0};
    struct bytes rest = read_some(path, LOG_MAX, &b);
    struct bytes whole = rest;
    struct bytes batch;
    while (batch_next(&rest, &batch) == 1) {
        whole = bytes_of(b.data, (size_t)(batch.data - b.data) + batch.len);
    }
    buf_put_u8(&seed, (uint8_t)written);
    buf_put_be16(&seed, (uint16_t)whole.len);
    buf_put(&seed, whole.data, whole.len);
    for (size_t i = 0; i < sizeof beside / sizeof beside[0]; i++) {
        char name[4096];
        snprintf(name, sizeof name, "%.*s%s", (int)(strlen(path) - strlen(".log")), path,
                 beside[i]);
        struct bytes part = read_some(name, 240, &b); /* whole entries of 8 and 12 bytes */
        buf_put_be16(&seed, (uint16_t)part.len);
        buf_put(&seed, part.data, part.len);
    }
    int rv = put_file(folder, "log", buf_bytes(&seed));
    buf_free(&seed);
    buf_free(&b);
    return rv;
}

/* One batch's records as pieces; too long ones are left out. */
static void put_pieces(struct bytes batch, struct buf *seed)
{
    struct record_reader r;
    struct record rec;
    enum control_type type;
    int rv = record_reader_open(&r, batch, 0);
    while (rv >= 0 && (rv = record_reader_next(&r, &rec)) == 1) {
        bool control = batch_is_control(&r.h) && control_key_read(rec.key, &type) == 0;
        if (rec.value.len + 1 > PIECE_LENGTH) {
            continue;
        }
        buf_put_be16(seed, (uint16_t)((control ? PIECE_CONTROL : 0) | (rec.value.len + control)));
        if (control) {
            buf_put_u8(seed, (uint8_t)type);
        }
        buf_put(seed, rec.value.data, rec.value.len);
    }
    record_reader_close(&r);
}

/* The form of fuzz_metadata, several batches to a seed. */
static int put_metadata(const char *folder, const char *path, bool snapshot)
{
    struct buf seed = {0};
    struct buf b = {0};
    struct bytes rest = read_some(path, METADATA_MAX, &b);
    struct bytes batch;
    int rv = 0;
    buf_put_u8(&seed, snapshot);
    while (rv == 0 && batch_next(&rest, &batch) == 1) {
        put_pieces(batch, &seed);
        if (seed.len > LOG_MAX && !snapshot) {
            rv = put_file(folder, "metadata", buf_bytes(&seed));
            seed.len = 1;
        }
    }
    rv = rv ? rv : put_file(folder, "metadata", buf_bytes(&seed));
    buf_free(&seed);
    buf_free(&b);
    return rv;
}

/* A small file; `kind` as in fuzz_files.c. */
static int put_small(const char *folder, uint8_t kind, struct bytes text)
{
    struct buf seed = {0};
    buf_put_u8(&seed, kind);
    buf_put(&seed, text.data, text.len);
    int rv = put_file(folder, "files", buf_bytes(&seed));
    buf_free(&seed);
    return rv;
}

static int small_file(const char *folder, const char *path)
{
    static const struct {
        const char *suffix;
        uint8_t kind;
    } kinds[] = {
        {"/meta.properties", 0},         {"/partition.metadata", 1}, {"-offset-checkpoint", 2},
        {"/leader-epoch-checkpoint", 3}, {".snapshot", 5},           {".properties", 6},
        {"/.kafka_cleanshutdown", 7}};
    struct buf b = {0};
    int rv = -1;
    for (size_t i = 0; rv < 0 && i < sizeof kinds / sizeof kinds[0]; i++) {
        if (ends(path, kinds[i].suffix)) {
            rv = put_small(folder, kinds[i].kind, read_some(path, LOG_MAX, &b));
        }
    }
    buf_free(&b);
    return rv;
}

/* What no file in the tree shows. */
static int put_examples(const char *folder)
{
    static const struct {
        uint8_t kind;
        const char *text;
    } examples[] = {
        {0, "#\n#Tue Jul 14 02:40:00 UTC 2026\nnode.id=1\ndirectory.id=7FHbYhHTTEWcS9ZYGYk1WQ\n"
            "version=1\ncluster.id=bSyzm9mgQOeqMxAHXlmVRQ\n"},
        {0, "version=1\nnode.id=1\ncluster.id=\\ttab\\nand line\n"},
        {1, "version: 0\ntopic_id: 7FHbYhHTTEWcS9ZYGYk1WQ"},
        {2, "0\n2\norders 0 17\n__consumer_offsets 49 9223372036854775807\n"},
        {3, "0\n2\n0 0\n4 17\n"},
        {6, "a=1\n# no\nb : two \\\n   lines\nc\\u00e9\\ud83d\\ude00 = \\t\n"},
        {7, "{\"version\":0,\"brokerEpoch\":12}"},
        {8, "orders-0\n__cluster_metadata-0\norders-1.0123456789abcdef0123456789abcdef-delete\n"
            "a-2.0123456789abcdef0123456789abcdef-future\n"},
    };
    int rv = 0;
    for (size_t i = 0; rv == 0 && i < sizeof examples / sizeof examples[0]; i++) {
        rv = put_small(folder, examples[i].kind, bytes_str(examples[i].text));
    }
    return rv;
}

static int take(const char *folder, const char *path)
{
    if (ends(path, ".tsv") || ends(path, ".tsv.zst")) {
        return table(folder, path);
    }
    if (ends(path, ".checkpoint")) {
        return put_metadata(folder, path, true);
    }
    if (ends(path, ".log")) {
        int rv = put_log(folder, path);
        return rv || !strstr(path, "__cluster_metadata-0/") ? rv
                                                            : put_metadata(folder, path, false);
    }
    return small_file(folder, path);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: fuzz_seeds OUT_FOLDER FILE...\n");
        return 2;
    }
    if (put_examples(argv[1]) != 0) {
        return 1;
    }
    for (int i = 2; i < argc; i++) {
        if (take(argv[1], argv[i]) != 0) {
            fprintf(stderr, "fuzz_seeds: %s makes no seed\n", argv[i]);
            return 1;
        }
    }
    printf("%zu seeds\n", written);
    return 0;
}
