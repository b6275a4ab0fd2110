/* What every message target demands: bytes that are taken can be written, and what was written
 * reads back to the same bytes; memory is bounded by the input; printing works. Anything else
 * aborts. */
#ifndef TESTS_FUZZ_FUZZ_MESSAGE_H
#define TESTS_FUZZ_FUZZ_MESSAGE_H

#include "proto/message.h"

void fuzz_message(const struct proto_message *m, int16_t version, struct bytes in);
/* One of n, chosen by two bytes. */
size_t fuzz_choose(const uint8_t *two, size_t n);

#endif
