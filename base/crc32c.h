/* CRC-32C (Castagnoli polynomial, reflected, as iSCSI and Kafka use it). On x86-64 by the SSE4.2
 * instruction in three interleaved lanes that PCLMULQDQ joins, on ARMv8 by its instruction, else by
 * a table; chosen per call from what the processor says, so that nothing here is mutable. */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The CRC of n bytes at p, continuing crc: 0 to start with, or what the bytes before gave. */
uint32_t crc32c(uint32_t crc, const void *p, size_t n);

/* The same by the table, whatever the processor has: the reference for tests. */
uint32_t crc32c_portable(uint32_t crc, const void *p, size_t n);

/* "sse4.2+pclmul", "armv8" or "table": what crc32c uses here. */
const char *crc32c_engine(void);

#endif
