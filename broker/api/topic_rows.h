/* The error of each partition, by topic, as Kafka collects the answers of OffsetCommit and
 * OffsetDelete: what the connection's side refuses comes first, in the order of the request, with
 * one row for each topic; the coordinator's rows are put to those of their topic, or behind.
 *
 * Memory is the request's arena, but for the index, which is made again when it is needed. The
 * bytes of names must live as long as the struct. */
#ifndef BROKER_API_TOPIC_ROWS_H
#define BROKER_API_TOPIC_ROWS_H

#include "base/map.h"
#include "broker/request.h"

struct topic_rows_partition {
    struct topic_rows_partition *next;
    int32_t index;
    int16_t error;
};

struct topic_rows_topic {
    struct topic_rows_topic *next;
    struct bytes name;
    struct uuid id;
    struct topic_rows_partition *first;
    struct topic_rows_partition **end;
    int32_t n;
};

struct topic_rows {
    struct request *r;
    bool by_id; /* topics are told apart by id, else by name */
    struct topic_rows_topic *first;
    struct topic_rows_topic **end;
    int32_t n;
    struct map index;
};

void topic_rows_init(struct topic_rows *rows, struct request *r, bool by_id);
/* The topic's row, made if there is none. */
struct topic_rows_topic *topic_rows_topic(struct topic_rows *rows, struct bytes name,
                                          struct uuid id);
void topic_rows_add(struct topic_rows *rows, struct topic_rows_topic *t, int32_t index,
                    int16_t error);
/* Gives the index back; what was collected stays. */
void topic_rows_rest(struct topic_rows *rows);

#endif
