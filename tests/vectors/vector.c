#include "vector.h"

#include <stdlib.h>

static enum vector_framing framing_of(const char *name)
{
    static const char *const names[] = {"", "metadata-log/", "remote-log-metadata/",
                                        "coordinator-key/", "version-prefixed/"};
    for (int i = FRAME_METADATA; i <= FRAME_VERSION_PREFIX; i++) {
        if (strncmp(name, names[i], strlen(names[i])) == 0) {
            return (enum vector_framing)i;
        }
    }
    return FRAME_NONE;
}

int vector_of(struct vector *v, const struct table_row *row)
{
    *v = (struct vector){
        .m = proto_find(row->col[0]),
        .version = (int16_t)strtol(row->col[2], NULL, 10),
        .framing = framing_of(row->col[5]),
    };
    return v->m ? 0 : -1;
}

int vector_decode(const struct vector *v, struct bytes in, struct arena *a, struct vector *found,
                  void **out)
{
    *found = *v;
    size_t used = 0;
    int err;
    switch (v->framing) {
    case FRAME_METADATA:
        return proto_decode_metadata_record(in, a, &found->m, &found->version, out);
    case FRAME_REMOTE_LOG:
        return proto_decode_framed_record(PROTO_STORE_REMOTE_LOG, in, a, &found->m, &found->version,
                                          out);
    case FRAME_COORDINATOR_KEY:
        found->version = 0;
        return proto_decode_coordinator_key(v->m->store, in, a, &found->m, out);
    case FRAME_VERSION_PREFIX:
        return proto_decode_prefixed(v->m, in, a, &found->version, out);
    case FRAME_NONE:
    default:
        *out = proto_array(a, v->m->root, 1);
        err = proto_decode(v->m, v->version, in, &used, a, *out);
        return err == 0 && used != in.len ? ERR_CORRUPT : err;
    }
}

int vector_encode(const struct vector *v, const void *in, struct buf *out, struct errmsg *em)
{
    switch (v->framing) {
    case FRAME_METADATA:
    case FRAME_REMOTE_LOG:
        return proto_encode_metadata_record(v->m, v->version, in, out, em);
    case FRAME_COORDINATOR_KEY:
    case FRAME_VERSION_PREFIX:
        return proto_encode_prefixed(v->m, v->version, in, out, em);
    case FRAME_NONE:
    default:
        return proto_encode(v->m, v->version, in, out, em);
    }
}
