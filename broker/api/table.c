/* The dispatch table: every API that this broker serves, and so advertises, by rising key. */
#include "broker/api/handlers.h"
#include "broker/request.h"
#include "proto_apis.h"

const struct api api_table[] = {
    {API_PRODUCE, api_produce},
    {API_FETCH, api_fetch},
    {API_LIST_OFFSETS, api_list_offsets},
    {API_FIND_COORDINATOR, api_find_coordinator},
    {API_API_VERSIONS, api_api_versions},
    {API_DELETE_RECORDS, api_delete_records},
    {API_INIT_PRODUCER_ID, api_init_producer_id},
    {API_OFFSET_FOR_LEADER_EPOCH, api_offset_for_leader_epoch},
    {API_DESCRIBE_LOG_DIRS, api_describe_log_dirs},
    {API_DESCRIBE_PRODUCERS, api_describe_producers},
};
const size_t api_table_n = sizeof api_table / sizeof api_table[0];
