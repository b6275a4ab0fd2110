#include "storage/log_config.h"

void log_config_default(struct log_config *c)
{
    *c = (struct log_config){
        .segment_bytes = 1073741824,
        .segment_ms = 604800000,
        .segment_jitter_ms = 0,
        .segment_index_bytes = 10485760,
        .index_interval_bytes = 4096,
        .retention_ms = 604800000,
        .retention_bytes = -1,
        .file_delete_delay_ms = 60000,
        .flush_messages = INT64_MAX,
        .flush_ms = INT64_MAX,
        .max_compaction_lag_ms = INT64_MAX,
        .producer_id_expiration_ms = 86400000,
        .cleanup_delete = true,
    };
}
