#include "fuzz_message.h"

#include "base/assert.h"

/* Above the worst that the schema allows for a byte (tests/vectors/check_hostile.c has it exact).
 */
enum { MEMORY_PER_BYTE = 2048 };

size_t fuzz_choose(const uint8_t *two, size_t n)
{
    return load_be16(two) % n;
}

static int read_all(const struct proto_message *m, int16_t version, struct bytes in,
                    struct arena *a, void **out)
{
    size_t used = 0;
    *out = proto_array(a, m->root, 1);
    size_t before = a->used;
    int err = proto_decode(m, version, in, &used, a, *out);
    ASSERT(used <= in.len);
    ASSERT(a->used - before <= (in.len + 1) * MEMORY_PER_BYTE);
    return err;
}

void fuzz_message(const struct proto_message *m, int16_t version, struct bytes in)
{
    struct arena a = {0};
    struct buf json = {0};
    struct buf again = {0};
    struct buf third = {0};
    struct errmsg em;
    void *msg;
    if (read_all(m, version, in, &a, &msg) == 0) {
        proto_print_json(m, version, msg, &json);
        int err = proto_encode(m, version, msg, &again, &em);
        ASSERT(err == 0 || err == ERR_INVALID); /* unknown tags out of order */
        if (err == 0) {
            err = read_all(m, version, buf_bytes(&again), &a, &msg);
            ASSERT(err == 0);
            err = proto_encode(m, version, msg, &third, &em);
            ASSERT(err == 0 && bytes_eq(buf_bytes(&again), buf_bytes(&third)));
        }
    }
    buf_free(&json);
    buf_free(&again);
    buf_free(&third);
    arena_free(&a);
}
