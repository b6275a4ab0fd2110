/* The settings of one topic that its partitions' logs obey (Kafka's names, with their units). The
 * broker owns them and shares one among all partitions of the topic on a shard; a log keeps a
 * pointer and never changes it. A changed setting is a new struct, handed over with
 * plog_set_config. */
#ifndef STORAGE_LOG_CONFIG_H
#define STORAGE_LOG_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

struct log_config {
    int64_t segment_bytes;         /* segment.bytes (internal.segment.bytes below its minimum) */
    int64_t segment_ms;            /* segment.ms: against record time, formats.md section 5 */
    int64_t segment_jitter_ms;     /* segment.jitter.ms */
    int64_t segment_index_bytes;   /* segment.index.bytes */
    int64_t index_interval_bytes;  /* index.interval.bytes */
    int64_t retention_ms;          /* retention.ms; -1 keeps for ever */
    int64_t retention_bytes;       /* retention.bytes; -1 no limit */
    int64_t file_delete_delay_ms;  /* file.delete.delay.ms */
    int64_t flush_messages;        /* flush.messages; INT64_MAX never */
    int64_t flush_ms;              /* flush.ms; INT64_MAX never */
    int64_t max_compaction_lag_ms; /* max.compaction.lag.ms: caps segment_ms when compacted */
    int64_t producer_id_expiration_ms; /* producer.id.expiration.ms (a broker setting) */
    bool cleanup_delete;               /* cleanup.policy contains delete */
    bool cleanup_compact;              /* cleanup.policy contains compact */
    bool append_time; /* message.timestamp.type=LogAppendTime: plog_append stamps */
    bool preallocate; /* preallocate: .log made at segment_bytes, cut when sealed */
};

/* Kafka's defaults for a topic without settings of its own. */
void log_config_default(struct log_config *c);

#endif
