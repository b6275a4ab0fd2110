/* Input: a request frame as it comes from a connection, without its length. */
#include "base/assert.h"
#include "fuzz_message.h"
#include "proto/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes frame = bytes_of(data, size);
    struct proto_request_header h;
    struct proto_trace trace = {.batches = size % 2 == 0};
    struct buf out = {0};
    struct errmsg em;
    if (proto_read_request_header(frame, &h) == 0) {
        ASSERT(h.body_at <= size);
        fuzz_message(proto_request(h.api_key), h.version,
                     bytes_of(data + h.body_at, size - h.body_at));
    }
    (void)proto_trace_request(&trace, frame, &out, &em);
    proto_trace_free(&trace);
    buf_free(&out);
    return 0;
}
