/* Makes seeds for the fuzz targets out of golden vectors: fuzz_seeds OUT_FOLDER FILE...
 *
 * Each vector becomes one file OUT_FOLDER/TARGET/NUMBER in the form that its target wants. The
 * folders must exist. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "../vectors/vector.h"
#include "base/mem.h"
#include "proto/record_batch.h"

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
    } else {
        fprintf(stderr, "fuzz_seeds: line %zu is no vector\n", r->line);
    }
    buf_free(&wire);
    buf_free(&seed);
    return rv;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: fuzz_seeds OUT_FOLDER FILE...\n");
        return 2;
    }
    for (int i = 2; i < argc; i++) {
        struct table t;
        if (table_load(&t, argv[i]) != 0) {
            return 1;
        }
        for (size_t k = 0; k < t.n; k++) {
            if (row(argv[1], &t.rows[k]) != 0) {
                return 1;
            }
        }
        table_free(&t);
    }
    printf("%zu seeds\n", written);
    return 0;
}
