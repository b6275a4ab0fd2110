/* Input: API key and version of a request, then a frame that answers it, without its length. */
#include "base/assert.h"
#include "fuzz_message.h"
#include "proto/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4) {
        return 0;
    }
    int16_t key = (int16_t)load_be16(data);
    int16_t version = (int16_t)load_be16(data + 2);
    struct bytes frame = bytes_of(data + 4, size - 4);
    int32_t correlation_id;
    size_t body_at;
    struct buf out = {0};
    struct errmsg em;
    const struct proto_message *m = proto_response(key);
    if (m && proto_skip_response_header(frame, key, version, &correlation_id, &body_at) == 0) {
        ASSERT(body_at <= frame.len);
        fuzz_message(m, version, bytes_of(frame.data + body_at, frame.len - body_at));
    }
    (void)proto_describe_response(frame, key, version, size % 2 == 0, &out, &em);
    buf_free(&out);
    return 0;
}
