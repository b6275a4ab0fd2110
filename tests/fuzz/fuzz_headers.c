/* Input: a byte that chooses a header message and its version, then the header. The same bytes go
 * to the hand-written header functions, which must agree with the schema's messages. */
#include "base/assert.h"
#include "fuzz_message.h"
#include "proto_messages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void request_header(struct bytes in)
{
    struct proto_request_header h;
    struct request_header same;
    struct arena a = {0};
    size_t used;
    int err = proto_read_request_header(in, &h);
    const struct proto_message *m = proto_request(h.api_key);
    if (err != ERR_UNSUPPORTED && m != NULL && h.version >= m->version_min) {
        int16_t version = h.version >= m->flexible_from ? 2 : 1;
        int other = proto_decode(&request_header_msg, version, in, &used, &a, &same);
        ASSERT(err == other);
        ASSERT(err != 0 || (used == h.body_at && bytes_eq(h.client_id, same.client_id) &&
                            h.correlation_id == same.correlation_id));
    }
    arena_free(&a);
}

static void response_header(struct bytes in, int16_t version)
{
    struct response_header same;
    struct arena a = {0};
    size_t used;
    size_t body_at;
    int32_t correlation_id;
    /* Fetch version 11 has header 0, version 12 header 1. */
    int err = proto_skip_response_header(in, 1, version ? 12 : 11, &correlation_id, &body_at);
    int other = proto_decode(&response_header_msg, version, in, &used, &a, &same);
    ASSERT(err == other);
    ASSERT(err != 0 || (used == body_at && correlation_id == same.correlation_id));
    arena_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    struct bytes in = bytes_of(data + 1, size - 1);
    int16_t version = data[0] & 1;
    if (data[0] & 2) {
        fuzz_message(&request_header_msg, (int16_t)(version + 1), in);
        request_header(in);
    } else {
        fuzz_message(&response_header_msg, version, in);
        response_header(in, version);
    }
    return 0;
}
