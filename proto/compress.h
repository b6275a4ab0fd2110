/* The five codecs of record batches behind one table: none, gzip, snappy, lz4 and zstd, numbered as
 * in the batch attributes. Nothing else in the tree includes zlib.h, snappy-c.h, lz4frame.h or
 * zstd.h.
 *
 * What comes in is what Kafka takes: gzip members one behind the other, snappy in Kafka's stream
 * framing (magic, versions, length-prefixed blocks) and raw, lz4 frames, zstd frames. Bytes behind
 * the compressed stream are ignored for gzip, snappy and lz4 and are an error for zstd.
 *
 * Failure modes. A broken stream: ERR_CORRUPT; one that ends too early: ERR_TRUNCATED; output past
 * the limit: ERR_TOOBIG, after at most limit bytes. The output buffer grows with the bytes that
 * really came out, never by a size that a header claims. */
#ifndef PROTO_COMPRESS_H
#define PROTO_COMPRESS_H

#include <limits.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

enum codec { CODEC_NONE, CODEC_GZIP, CODEC_SNAPPY, CODEC_LZ4, CODEC_ZSTD };
enum { CODEC_COUNT = 5, CODEC_LEVEL_DEFAULT = INT_MIN };

static inline bool codec_valid(unsigned id)
{
    return id < CODEC_COUNT;
}

/* "none", "gzip", "snappy", "lz4", "zstd", as in compression.type. */
const char *codec_name(enum codec codec);
/* CODEC_ of a name, "uncompressed" (a topic's word for none) included; ERR_INVALID. */
int codec_from_name(struct bytes name);
/* Levels that a codec takes (compression.gzip.level and so on): ERR_UNSUPPORTED for none and
 * snappy, which have none. *fallback is the default. gzip also takes -1, its default. */
int codec_levels(enum codec codec, int *least, int *most, int *fallback);

/* Appends in, compressed, to out. level: CODEC_LEVEL_DEFAULT or one within codec_levels (others are
 * clamped). snappy is written in Kafka's framing. ERR_NOMEM, ERR_TOOBIG (input of 2 GiB and more);
 * out is cut back to its old length then. */
int compress_put(enum codec codec, int level, struct bytes in, struct buf *out);

/* Appends in, decompressed, to out, at most limit bytes. On an error out keeps the bytes that came
 * before it: a caller that does not want them cuts out back. */
int decompress_put(enum codec codec, struct bytes in, size_t limit, struct buf *out);

/* lz4 of magic 0: its frame header carries a checksum that is computed wrongly (KAFKA-3160) and is
 * not looked at. */
int decompress_lz4_magic0(struct bytes in, size_t limit, struct buf *out);

/* CRC-32 as gzip and messages of magic 0 and 1 have it (not CRC-32C). */
uint32_t crc32_ieee(struct bytes in);

/* One block of snappy as it is, without framing. */
int snappy_raw_put(struct bytes in, struct buf *out);

#endif
