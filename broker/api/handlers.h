/* The handlers of the dispatch table (table.c), one file each. */
#ifndef BROKER_API_HANDLERS_H
#define BROKER_API_HANDLERS_H

struct request;

/* data plane */
void api_versions_unsupported(struct request *r); /* of a version that we do not know */
void api_produce(struct request *r);
void api_fetch(struct request *r);
void api_list_offsets(struct request *r);
void api_offset_for_leader_epoch(struct request *r);
void api_delete_records(struct request *r);
void api_describe_producers(struct request *r);
void api_describe_log_dirs(struct request *r);
void api_alter_replica_log_dirs(struct request *r);
void api_init_producer_id(struct request *r);
void api_api_versions(struct request *r);

/* groups */
void api_find_coordinator(struct request *r);
void api_join_group(struct request *r);
void api_sync_group(struct request *r);
void api_heartbeat(struct request *r);
void api_leave_group(struct request *r);
void api_offset_commit(struct request *r);
void api_offset_fetch(struct request *r);
void api_offset_delete(struct request *r);
void api_describe_groups(struct request *r);
void api_list_groups(struct request *r);
void api_delete_groups(struct request *r);

/* control plane */
void api_metadata(struct request *r);
void api_describe_cluster(struct request *r);
void api_describe_topic_partitions(struct request *r);
void api_create_topics(struct request *r);
void api_delete_topics(struct request *r);
void api_create_partitions(struct request *r);
void api_describe_configs(struct request *r);
void api_list_config_resources(struct request *r);
void api_alter_configs(struct request *r);
void api_incremental_alter_configs(struct request *r);
void api_elect_leaders(struct request *r);
void api_alter_partition_reassignments(struct request *r);
void api_list_partition_reassignments(struct request *r);
void api_update_features(struct request *r);
void api_unregister_broker(struct request *r);
void api_describe_quorum(struct request *r);

#endif
