/* One message vector: which message in which version, and what stands around it. */
#ifndef TESTS_VECTORS_VECTOR_H
#define TESTS_VECTORS_VECTOR_H

#include "proto/message.h"
#include "table.h"

enum vector_framing {
    FRAME_NONE,
    FRAME_METADATA,
    FRAME_REMOTE_LOG,
    FRAME_COORDINATOR_KEY,
    FRAME_VERSION_PREFIX,
};

struct vector {
    const struct proto_message *m;
    int16_t version;
    enum vector_framing framing;
};

/* What a row of six columns says; -1 if there is no such message. */
int vector_of(struct vector *v, const struct table_row *row);
/* Decodes with its framing. *found is what was there. All of in must be used, but for a framing
 * that allows bytes behind it. */
int vector_decode(const struct vector *v, struct bytes in, struct arena *a, struct vector *found,
                  void **out);
int vector_encode(const struct vector *v, const void *in, struct buf *out, struct errmsg *em);

#endif
