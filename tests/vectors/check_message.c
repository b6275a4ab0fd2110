/* One message vector: decode, write again to the same bytes, print the same JSON. */
#include <stdlib.h>

#include "check.h"
#include "vector.h"

static bool check_decoded(struct check *c, const struct vector *v, struct bytes wire)
{
    struct vector found;
    void *msg;
    struct arena a = {0};
    struct buf again = {0};
    struct buf json = {0};
    struct errmsg em = {{0}};
    bool ok = false;
    int err = vector_decode(v, wire, &a, &found, &msg);
    if (err) {
        check_fail(c, "cannot be decoded: %s", err_text(err));
    } else if (found.m != v->m || found.version != v->version) {
        check_fail(c, "taken for %s version %d", found.m->name, found.version);
    } else if (vector_encode(v, msg, &again, &em) != 0) {
        check_fail(c, "cannot be encoded: %s", em.text);
    } else {
        proto_print_json(v->m, v->version, msg, &json);
        ok = check_bytes(c, "encoded", buf_bytes(&again), wire) &&
             check_json(c, buf_bytes(&json), c->row->col[4]);
    }
    buf_free(&again);
    buf_free(&json);
    arena_free(&a);
    return ok;
}

bool check_message_row(struct check *c)
{
    struct vector v;
    struct buf wire = {0};
    bool ok = false;
    if (vector_of(&v, c->row) != 0) {
        check_fail(c, "there is no such message");
    } else if (table_hex(&wire, c->row->col[3]) != 0) {
        check_fail(c, "the bytes are not hex");
    } else if (strcmp(c->row->col[1], "-") != 0 &&
               v.m->key != (int16_t)strtol(c->row->col[1], NULL, 10)) {
        check_fail(c, "our key is %d", v.m->key);
    } else {
        ok = check_decoded(c, &v, buf_bytes(&wire));
    }
    buf_free(&wire);
    return ok;
}
