/* Lookups in the generated tables: messages by name, key or record type, APIs, error codes,
 * enumerations, feature levels. Nothing here can fail but by not finding. */
#include <string.h>

#include "proto/descriptor.h"
#include "proto_apis.h"
#include "proto_enums.h"
#include "proto_errors.h"
#include "proto_features.h"

const struct proto_message *proto_request(int16_t api_key)
{
    return api_key >= 0 && (size_t)api_key < proto_requests_by_key_n
               ? proto_requests_by_key[api_key]
               : NULL;
}

const struct proto_message *proto_response(int16_t api_key)
{
    return api_key >= 0 && (size_t)api_key < proto_responses_by_key_n
               ? proto_responses_by_key[api_key]
               : NULL;
}

const struct proto_message *proto_record(enum proto_store store, enum proto_kind kind, int16_t type)
{
    for (size_t i = 0; i < proto_messages_n; i++) {
        const struct proto_message *m = proto_messages_by_name[i];
        if (m->store == store && m->kind == kind && m->key == type) {
            return m;
        }
    }
    return NULL;
}

const struct proto_message *proto_metadata_record(int16_t type)
{
    return type >= 0 && (size_t)type < proto_metadata_by_type_n ? proto_metadata_by_type[type]
                                                                : NULL;
}

const struct proto_message *proto_find(const char *name)
{
    size_t low = 0;
    size_t high = proto_messages_n;
    while (low < high) {
        size_t mid = (low + high) / 2;
        int c = strcmp(name, proto_messages_by_name[mid]->name);
        if (c == 0) {
            return proto_messages_by_name[mid];
        }
        if (c < 0) {
            high = mid;
        } else {
            low = mid + 1;
        }
    }
    return NULL;
}

const struct proto_message *const *proto_all(size_t *n)
{
    *n = proto_messages_n;
    return proto_messages_by_name;
}

const struct proto_api *proto_api(int16_t key)
{
    return key >= 0 && key <= API_KEY_MAX ? &proto_api_table[key] : NULL;
}

const struct proto_api *proto_apis(size_t *n)
{
    *n = API_KEY_MAX + 1;
    return proto_api_table;
}

static const struct kafka_error_row *error_row(int16_t code)
{
    bool known = code >= KE_UNKNOWN_SERVER_ERROR && code <= KE_MAX;
    return &kafka_error_rows[known ? code + 1 : 0];
}

const char *kafka_error_name(int16_t code)
{
    return error_row(code)->name;
}

const char *kafka_error_class(int16_t code)
{
    return error_row(code)->client_class;
}

bool kafka_error_retriable(int16_t code)
{
    return error_row(code)->retriable;
}

bool kafka_error_invalidates_metadata(int16_t code)
{
    return error_row(code)->invalidates_metadata;
}

const char *kafka_enum_name(const char *group, int64_t code)
{
    for (size_t i = 0; i < kafka_enum_rows_n; i++) {
        if (kafka_enum_rows[i].code == code && strcmp(kafka_enum_rows[i].group, group) == 0) {
            return kafka_enum_rows[i].name;
        }
    }
    return NULL;
}

const struct proto_feature *proto_feature(const char *name)
{
    for (size_t i = 0; i < proto_features_n; i++) {
        if (strcmp(proto_features[i].name, name) == 0) {
            return &proto_features[i];
        }
    }
    return NULL;
}

const struct proto_metadata_version *proto_metadata_version(int16_t level)
{
    for (size_t i = 0; i < proto_metadata_versions_n; i++) {
        if (proto_metadata_versions[i].level == level) {
            return &proto_metadata_versions[i];
        }
    }
    return NULL;
}
