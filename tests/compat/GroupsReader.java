// What __consumer_offsets holds, by Kafka's own classes: reads the whole topic with Kafka's consumer, decodes each key and value with the
// generated classes of its group coordinator and the embedded protocol of members with its ConsumerProtocol, and prints what is left, a
// JSON object a line:  {"offset":{group, topic, partition, offset, leaderEpoch, metadata, commitTimestamp}, "version":N} and
// {"group":{group, protocolType, generation, protocol, leader, members:[{id, instance, client, host, subscribed, assigned}]}, "version":N}.
// A single source file: `java -cp <Kafka's jars> GroupsReader.java HOST:PORT`, by mixed_groups.py.

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.*;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.consumer.internals.ConsumerProtocol;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.serialization.ByteBufferDeserializer;
import org.apache.kafka.coordinator.group.generated.*;

public class GroupsReader {
    static final ObjectMapper JSON = new ObjectMapper();
    static final Map<String, ObjectNode> left = new TreeMap<>();

    static ObjectNode offset(OffsetCommitKey k, OffsetCommitValue v) {
        return JSON.createObjectNode().put("group", k.group()).put("topic", k.topic()).put("partition", k.partition()).put("offset", v.offset())
            .put("leaderEpoch", v.leaderEpoch()).put("metadata", v.metadata()).put("commitTimestamp", v.commitTimestamp());
    }

    static ObjectNode group(GroupMetadataKey k, GroupMetadataValue v) {
        ObjectNode g = JSON.createObjectNode().put("group", k.group()).put("protocolType", v.protocolType()).put("generation", v.generation())
            .put("protocol", v.protocol()).put("leader", v.leader());
        ArrayNode members = g.putArray("members");
        for (GroupMetadataValue.MemberMetadata m : v.members()) {
            ObjectNode o = members.addObject().put("id", m.memberId()).put("instance", m.groupInstanceId()).put("client", m.clientId())
                .put("host", m.clientHost()).put("sessionTimeout", m.sessionTimeout()).put("rebalanceTimeout", m.rebalanceTimeout());
            if (!v.protocolType().equals("consumer")) continue;
            ArrayNode subscribed = o.putArray("subscribed"), assigned = o.putArray("assigned");
            ConsumerProtocol.deserializeSubscription(ByteBuffer.wrap(m.subscription())).topics().forEach(subscribed::add);
            if (m.assignment().length > 0) {
                ConsumerProtocol.deserializeAssignment(ByteBuffer.wrap(m.assignment())).partitions().stream().map(TopicPartition::toString).sorted()
                    .forEach(assigned::add);
            }
        }
        return g;
    }

    static void record(ConsumerRecord<ByteBuffer, ByteBuffer> r) {
        ByteBuffer key = r.key(), value = r.value();
        short type = key.getShort();
        ObjectNode told = JSON.createObjectNode();
        String name;
        if (type <= 1) {
            OffsetCommitKey k = new OffsetCommitKey(new ByteBufferAccessor(key), (short) 0);
            name = "o " + k.group() + " " + k.topic() + " " + k.partition();
            if (value != null) {
                short version = value.getShort();
                told.put("version", version).set("offset", offset(k, new OffsetCommitValue(new ByteBufferAccessor(value), version)));
            }
        } else if (type == 2) {
            GroupMetadataKey k = new GroupMetadataKey(new ByteBufferAccessor(key), (short) 0);
            name = "g " + k.group();
            if (value != null) {
                short version = value.getShort();
                told.put("version", version).set("group", group(k, new GroupMetadataValue(new ByteBufferAccessor(value), version)));
            }
        } else {
            throw new IllegalStateException("a record of type " + type);
        }
        if (key.hasRemaining() || (value != null && value.hasRemaining())) throw new IllegalStateException("bytes behind the record at " + r.offset());
        if (value == null) left.remove(name); else left.put(name, told);
    }

    public static void main(String[] args) {
        Map<String, Object> config = Map.of("bootstrap.servers", args[0], "enable.auto.commit", "false", "isolation.level", "read_committed");
        try (KafkaConsumer<ByteBuffer, ByteBuffer> c = new KafkaConsumer<>(config, new ByteBufferDeserializer(), new ByteBufferDeserializer())) {
            List<TopicPartition> all = c.partitionsFor("__consumer_offsets").stream().map(p -> new TopicPartition(p.topic(), p.partition())).toList();
            c.assign(all);
            c.seekToBeginning(all);
            Map<TopicPartition, Long> end = c.endOffsets(all);
            long late = System.nanoTime() + 60_000_000_000L;
            while (end.entrySet().stream().anyMatch(e -> c.position(e.getKey()) < e.getValue())) {
                if (System.nanoTime() > late) throw new IllegalStateException("the topic does not come to its end");
                c.poll(Duration.ofMillis(200)).forEach(GroupsReader::record);
            }
        }
        left.values().forEach(System.out::println);
    }
}
