/* Input: a byte that says what follows. 0 to 4: a framed record or a key of that store (as
 * enum proto_store, from PROTO_STORE_METADATA on). Any other: two bytes that choose a message, then
 * its version prefix and the message. */
#include "base/assert.h"
#include "fuzz_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever the frame says it is must survive a second trip by itself. */
static void framed(enum proto_store store, struct bytes in)
{
    const struct proto_message *m;
    int16_t version = 0;
    void *msg;
    struct arena a = {0};
    struct buf again = {0};
    struct errmsg em;
    bool key = store > PROTO_STORE_REMOTE_LOG;
    int err = key ? proto_decode_coordinator_key(store, in, &a, &m, &msg)
                  : proto_decode_framed_record(store, in, &a, &m, &version, &msg);
    if (err == 0) {
        ASSERT(m != NULL && m->store == store);
        err = key ? proto_encode_prefixed(m, 0, msg, &again, &em)
                  : proto_encode_metadata_record(m, version, msg, &again, &em);
        ASSERT(err == 0 || err == ERR_INVALID);
        if (err == 0) {
            err =
                key ? proto_decode_coordinator_key(store, buf_bytes(&again), &a, &m, &msg)
                    : proto_decode_framed_record(store, buf_bytes(&again), &a, &m, &version, &msg);
            ASSERT(err == 0);
        }
    }
    buf_free(&again);
    arena_free(&a);
}

static void prefixed(const struct proto_message *m, struct bytes in)
{
    struct arena a = {0};
    int16_t version;
    void *msg;
    (void)proto_decode_prefixed(m, in, &a, &version, &msg);
    arena_free(&a);
    if (in.len >= 2) {
        version = (int16_t)load_be16(in.data);
        fuzz_message(m, version, bytes_of(in.data + 2, in.len - 2));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t n;
    const struct proto_message *const *all = proto_all(&n);
    if (size < 3) {
        return 0;
    }
    if (data[0] < PROTO_STORE_SHARE_STATE) {
        framed((enum proto_store)(data[0] + PROTO_STORE_METADATA), bytes_of(data + 1, size - 1));
    } else {
        prefixed(all[fuzz_choose(data + 1, n)], bytes_of(data + 3, size - 3));
    }
    return 0;
}
