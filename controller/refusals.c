#include "controller/refusals.h"

#include "base/assert.h"
#include "proto/message.h"
#include "proto_errors.h"
#include "proto_messages.h"

static size_t count(int32_t n)
{
    return n > 0 ? (size_t)n : 0;
}

void refuse_elect_leaders(struct arena *a, int16_t version, const void *request, void *response,
                          int16_t code)
{
    const struct elect_leaders_request *q = request;
    struct elect_leaders_response *resp = response;
    resp->error_code = version >= 1 ? code : KE_NONE; /* 0 has none for all */
    resp->replica_election_results = proto_array(
        a, &elect_leaders_response_replica_election_result_desc, count(q->topic_partitions_n));
    resp->replica_election_results_n = (int32_t)count(q->topic_partitions_n);
    for (int32_t i = 0; i < q->topic_partitions_n; i++) {
        const struct elect_leaders_request_topic_partitions *in = &q->topic_partitions[i];
        struct elect_leaders_response_replica_election_result *out =
            &resp->replica_election_results[i];
        out->topic = in->topic;
        out->partition_result =
            proto_array(a, &elect_leaders_response_partition_result_desc, count(in->partitions_n));
        out->partition_result_n = (int32_t)count(in->partitions_n);
        for (int32_t k = 0; k < in->partitions_n; k++) {
            out->partition_result[k].partition_id = in->partitions[k];
            out->partition_result[k].error_code = code;
            out->partition_result[k].error_message = BYTES_NULL;
        }
    }
}

void refuse_alter_partition_reassignments(struct arena *a, int16_t version, const void *request,
                                          void *response, int16_t code)
{
    const struct alter_partition_reassignments_request *q = request;
    struct alter_partition_reassignments_response *resp = response;
    UNUSED(version);
    resp->error_code = code;
    resp->error_message = BYTES_NULL;
    resp->responses =
        proto_array(a, &alter_partition_reassignments_response_reassignable_topic_response_desc,
                    count(q->topics_n));
    resp->responses_n = (int32_t)count(q->topics_n);
    for (int32_t i = 0; i < q->topics_n; i++) {
        const struct alter_partition_reassignments_request_reassignable_topic *in = &q->topics[i];
        struct alter_partition_reassignments_response_reassignable_topic_response *out =
            &resp->responses[i];
        out->name = in->name;
        out->partitions = proto_array(
            a, &alter_partition_reassignments_response_reassignable_partition_response_desc,
            count(in->partitions_n));
        out->partitions_n = (int32_t)count(in->partitions_n);
        for (int32_t k = 0; k < in->partitions_n; k++) {
            out->partitions[k].partition_index = in->partitions[k].partition_index;
            out->partitions[k].error_code = code;
            out->partitions[k].error_message = BYTES_NULL;
        }
    }
}

void refuse_list_partition_reassignments(struct arena *a, int16_t version, const void *request,
                                         void *response, int16_t code)
{
    const struct list_partition_reassignments_request *q = request;
    struct list_partition_reassignments_response *resp = response;
    UNUSED(version);
    resp->error_code = code;
    resp->error_message = BYTES_NULL;
    resp->topics =
        proto_array(a, &list_partition_reassignments_response_ongoing_topic_reassignment_desc,
                    count(q->topics_n));
    resp->topics_n = (int32_t)count(q->topics_n);
    for (int32_t i = 0; i < q->topics_n; i++) {
        const struct list_partition_reassignments_request_list_partition_reassignments_topics *in =
            &q->topics[i];
        struct list_partition_reassignments_response_ongoing_topic_reassignment *out =
            &resp->topics[i];
        out->name = in->name;
        out->partitions = proto_array(
            a, &list_partition_reassignments_response_ongoing_partition_reassignment_desc,
            count(in->partition_indexes_n));
        out->partitions_n = (int32_t)count(in->partition_indexes_n);
        for (int32_t k = 0; k < in->partition_indexes_n; k++) {
            out->partitions[k].partition_index = in->partition_indexes[k];
        }
    }
}

void refuse_update_features(struct arena *a, int16_t version, const void *request, void *response,
                            int16_t code)
{
    struct update_features_response *resp = response;
    UNUSED(a);
    UNUSED(version);
    UNUSED(request);
    resp->error_code = code;
    resp->error_message = BYTES_NULL;
}

void refuse_unregister_broker(struct arena *a, int16_t version, const void *request, void *response,
                              int16_t code)
{
    struct unregister_broker_response *resp = response;
    UNUSED(a);
    UNUSED(version);
    UNUSED(request);
    resp->error_code = code;
    resp->error_message = BYTES_NULL;
}
