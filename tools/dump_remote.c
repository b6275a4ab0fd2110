/* Records of __remote_log_metadata (KIP-405) in the words of Kafka's tool, which prints these as
 * Java objects instead of JSON. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "proto_messages.h"
#include "tools/dump.h"

static const char *const segment_states[] = {"COPY_SEGMENT_STARTED", "COPY_SEGMENT_FINISHED",
                                             "DELETE_SEGMENT_STARTED", "DELETE_SEGMENT_FINISHED"};
static const char *const partition_states[] = {
    "DELETE_PARTITION_MARKED", "DELETE_PARTITION_STARTED", "DELETE_PARTITION_FINISHED"};

static void put_state(struct buf *out, const char *const *names, int n, int8_t state)
{
    if (state >= 0 && state < n) {
        buf_printf(out, ", state=%s", names[state]);
    } else {
        buf_printf(out, ", state=UNKNOWN(%d)", state);
    }
}

static void put_segment_state(struct buf *out, int8_t state)
{
    put_state(out, segment_states, 4, state);
}

static void put_partition(struct buf *out, struct uuid id, struct bytes name, int32_t partition)
{
    char text[UUID_TEXT];
    buf_printf(out, "%s:", uuid_text(id, text));
    utf8_put(out, name);
    buf_printf(out, "-%" PRId32, partition);
}

static void put_custom(struct buf *out, struct bytes custom)
{
    if (bytes_is_null(custom)) {
        buf_put_str(out, ", customMetadata=Optional.empty");
    } else {
        buf_printf(out, ", customMetadata=Optional[CustomMetadata{%zu bytes}]", custom.len);
    }
}

static void put_epochs(struct buf *out, const struct dump_pairs *epochs)
{
    buf_put_str(out, ", segmentLeaderEpochs={");
    for (size_t i = 0; i < epochs->n; i++) {
        buf_printf(out, "%s%" PRId64 "=%" PRId64, i ? ", " : "", epochs->v[i].first,
                   epochs->v[i].second);
    }
    buf_put_u8(out, '}');
}

static void put_segment(const struct remote_log_segment_metadata_record *r, struct buf *out)
{
    char text[UUID_TEXT];
    struct dump_pairs epochs = {0};
    for (int32_t i = 0; i < r->segment_leader_epochs_n; i++) {
        dump_pairs_put(&epochs, r->segment_leader_epochs[i].leader_epoch,
                       r->segment_leader_epochs[i].offset);
    }
    buf_put_str(out,
                "RemoteLogSegmentMetadata{remoteLogSegmentId=RemoteLogSegmentId{topicIdPartition=");
    put_partition(out, r->remote_log_segment_id.topic_id_partition.id,
                  r->remote_log_segment_id.topic_id_partition.name,
                  r->remote_log_segment_id.topic_id_partition.partition);
    buf_printf(out,
               ", id=%s}, startOffset=%" PRId64 ", endOffset=%" PRId64 ", brokerId=%" PRId32
               ", maxTimestampMs=%" PRId64 ", eventTimestampMs=%" PRId64,
               uuid_text(r->remote_log_segment_id.id, text), r->start_offset, r->end_offset,
               r->broker_id, r->max_timestamp_ms, r->event_timestamp_ms);
    put_epochs(out, &epochs);
    buf_printf(out, ", segmentSizeInBytes=%" PRId32, r->segment_size_in_bytes);
    put_custom(out, r->custom_metadata);
    put_segment_state(out, r->remote_log_segment_state);
    buf_printf(out, ", txnIdxEmpty=%s}", r->txn_index_empty ? "true" : "false");
    dump_pairs_free(&epochs);
}

static void put_snapshot(const struct remote_log_segment_metadata_snapshot_record *r,
                         struct buf *out)
{
    char text[UUID_TEXT];
    struct dump_pairs epochs = {0};
    for (int32_t i = 0; i < r->segment_leader_epochs_n; i++) {
        dump_pairs_put(&epochs, r->segment_leader_epochs[i].leader_epoch,
                       r->segment_leader_epochs[i].offset);
    }
    buf_printf(out,
               "RemoteLogSegmentMetadataSnapshot{segmentId=%s, startOffset=%" PRId64
               ", endOffset=%" PRId64 ", maxTimestampMs=%" PRId64,
               uuid_text(r->segment_id, text), r->start_offset, r->end_offset, r->max_timestamp_ms);
    put_epochs(out, &epochs);
    buf_printf(out, ", segmentSizeInBytes=%" PRId32, r->segment_size_in_bytes);
    put_custom(out, r->custom_metadata);
    put_segment_state(out, r->remote_log_segment_state);
    buf_printf(out, ", txnIdxEmpty=%s}", r->txn_index_empty ? "true" : "false");
    dump_pairs_free(&epochs);
}

static void put_update(const struct remote_log_segment_metadata_update_record *r, struct buf *out)
{
    char text[UUID_TEXT];
    buf_put_str(out, "RemoteLogSegmentMetadataUpdate{remoteLogSegmentId=RemoteLogSegmentId{"
                     "topicIdPartition=");
    put_partition(out, r->remote_log_segment_id.topic_id_partition.id,
                  r->remote_log_segment_id.topic_id_partition.name,
                  r->remote_log_segment_id.topic_id_partition.partition);
    buf_printf(out, ", id=%s}", uuid_text(r->remote_log_segment_id.id, text));
    put_custom(out, r->custom_metadata);
    put_segment_state(out, r->remote_log_segment_state);
    buf_printf(out, ", eventTimestampMs=%" PRId64 ", brokerId=%" PRId32 "}", r->event_timestamp_ms,
               r->broker_id);
}

static void put_deletion(const struct remote_partition_delete_metadata_record *r, struct buf *out)
{
    buf_put_str(out, "RemotePartitionDeleteMetadata{topicPartition=");
    put_partition(out, r->topic_id_partition.id, r->topic_id_partition.name,
                  r->topic_id_partition.partition);
    put_state(out, partition_states, 3, r->remote_partition_delete_state);
    buf_printf(out, ", eventTimestampMs=%" PRId64 ", brokerId=%" PRId32 "}", r->event_timestamp_ms,
               r->broker_id);
}

bool dump_put_remote(const struct proto_message *m, const void *msg, struct buf *out)
{
    if (m == &remote_log_segment_metadata_record_msg) {
        put_segment(msg, out);
    } else if (m == &remote_log_segment_metadata_snapshot_record_msg) {
        put_snapshot(msg, out);
    } else if (m == &remote_log_segment_metadata_update_record_msg) {
        put_update(msg, out);
    } else if (m == &remote_partition_delete_metadata_record_msg) {
        put_deletion(msg, out);
    } else {
        return false;
    }
    return true;
}
