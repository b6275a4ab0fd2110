// Kafka's Java client (producer, consumer by assign, Admin) against one node: each check prints `ok NAME` or `FAILED NAME: why`.
// A single source file: `java -cp <Kafka's jars> JavaClient.java HOST:PORT`, by java_tools.py.

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.*;

public class JavaClient {
    static String servers;
    static boolean failed;
    static final long T0 = System.currentTimeMillis() - 60_000;  // recent: retention leaves them alone

    interface Check { void run() throws Exception; }

    static void check(String name, Check c) {
        try {
            c.run();
            System.out.println("ok " + name);
        } catch (Throwable t) {
            failed = true;
            System.out.println("FAILED " + name + ": " + t);
        }
    }

    /** Looks again for ten seconds: what an administrator changed is in the next answer soon, not at once, with Kafka too. */
    static void seen(Check c) throws Exception {
        long end = System.nanoTime() + 10_000_000_000L;
        while (true) {
            try {
                c.run();
                return;
            } catch (AssertionError e) {
                if (System.nanoTime() > end) throw e;
                Thread.sleep(20);
            }
        }
    }

    static void equal(Object want, Object got) {
        if (!Objects.equals(want, got)) throw new AssertionError("wanted " + want + ", got " + got);
    }

    static void holds(boolean what, String why) {
        if (!what) throw new AssertionError(why);
    }

    static void fails(Class<? extends Exception> want, Future<?> f) throws Exception {
        try {
            f.get(30, TimeUnit.SECONDS);
        } catch (ExecutionException e) {
            equal(want, e.getCause().getClass());
            return;
        }
        throw new AssertionError("no " + want.getSimpleName());
    }

    static <T> T get(Future<T> f) throws Exception { return f.get(30, TimeUnit.SECONDS); }

    static KafkaProducer<String, byte[]> producer(Object... more) {
        Map<String, Object> c = new HashMap<>(Map.of("bootstrap.servers", servers));
        for (int i = 0; i < more.length; i += 2) c.put((String) more[i], more[i + 1]);
        return new KafkaProducer<>(c, new StringSerializer(), new ByteArraySerializer());
    }

    static KafkaConsumer<String, byte[]> consumer(Object... more) {
        Map<String, Object> c = new HashMap<>(Map.of("bootstrap.servers", servers, "enable.auto.commit", "false", "auto.offset.reset", "none"));
        for (int i = 0; i < more.length; i += 2) c.put((String) more[i], more[i + 1]);
        return new KafkaConsumer<>(c, new StringDeserializer(), new ByteArrayDeserializer());
    }

    static List<ConsumerRecord<String, byte[]>> read(KafkaConsumer<String, byte[]> c, int count) {
        List<ConsumerRecord<String, byte[]>> got = new ArrayList<>();
        long end = System.nanoTime() + 30_000_000_000L;
        while (got.size() < count && System.nanoTime() < end) c.poll(Duration.ofMillis(500)).forEach(got::add);
        equal(count, got.size());
        return got;
    }

    static byte[] value(int i) { return ("value " + i + " " + "x".repeat(i % 200)).getBytes(StandardCharsets.UTF_8); }

    static void codec(String codec, Object... more) throws Exception {
        String topic = "java-" + codec + (more.length > 0 ? "-plain" : "");
        int count = 2000;
        Object[] all = Arrays.copyOf(more, more.length + 6);
        System.arraycopy(new Object[] {"compression.type", codec, "acks", "all", "linger.ms", 5}, 0, all, more.length, 6);
        try (KafkaProducer<String, byte[]> p = producer(all)) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (int i = 0; i < count; i++) {
                ProducerRecord<String, byte[]> r = new ProducerRecord<>(topic, 0, T0 + i, i % 5 == 0 ? null : "k" + i, i % 7 == 0 ? null : value(i));
                r.headers().add(new RecordHeader("h", new byte[] {(byte) i})).add(new RecordHeader("none", (byte[]) null));
                sent.add(p.send(r));
            }
            p.flush();
            for (int i = 0; i < count; i++) equal((long) i, get(sent.get(i)).offset());
        }
        TopicPartition tp = new TopicPartition(topic, 0);
        try (KafkaConsumer<String, byte[]> c = consumer()) {
            c.assign(List.of(tp));
            c.seekToBeginning(List.of(tp));
            List<ConsumerRecord<String, byte[]>> got = read(c, count);
            for (int i = 0; i < count; i++) {
                ConsumerRecord<String, byte[]> r = got.get(i);
                equal((long) i, r.offset());
                equal(T0 + i, r.timestamp());
                equal(i % 5 == 0 ? null : "k" + i, r.key());
                holds(Arrays.equals(i % 7 == 0 ? null : value(i), r.value()), "the value of record " + i);
                equal((byte) i, r.headers().lastHeader("h").value()[0]);
                equal(null, r.headers().lastHeader("none").value());
            }
            c.seek(tp, 777);
            equal(777L, read(c, count - 777).get(0).offset());
            equal(Map.of(tp, 0L), c.beginningOffsets(List.of(tp)));
            equal(Map.of(tp, (long) count), c.endOffsets(List.of(tp)));
            equal(500L, c.offsetsForTimes(Map.of(tp, T0 + 500)).get(tp).offset());
            equal(null, c.offsetsForTimes(Map.of(tp, T0 + 1_000_000)).get(tp));
        }
    }

    static void clients() {
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) check("idempotent producer and consumer, " + codec, () -> codec(codec));
        check("producer without idempotence", () -> codec("lz4", "enable.idempotence", false, "max.in.flight.requests.per.connection", 5));
        check("acks 0 and 1", () -> {
            for (String acks : List.of("0", "1")) {
                try (KafkaProducer<String, byte[]> p = producer("acks", acks, "enable.idempotence", false)) {
                    for (int i = 0; i < 100; i++) p.send(new ProducerRecord<>("java-acks-" + acks, 0, null, value(i)));
                }
                TopicPartition tp = new TopicPartition("java-acks-" + acks, 0);
                try (KafkaConsumer<String, byte[]> c = consumer()) {
                    c.assign(List.of(tp));
                    c.seek(tp, 0);
                    read(c, 100);
                }
            }
        });
        check("a record that is too large", () -> {
            try (KafkaProducer<String, byte[]> p = producer("max.request.size", 8 << 20, "buffer.memory", 32L << 20)) {
                fails(RecordTooLargeException.class, p.send(new ProducerRecord<>("java-none", new byte[3 << 20])));
                get(p.send(new ProducerRecord<>("java-large", new byte[1 << 19])));
            }
        });
        check("offset out of range, policy none", () -> {
            TopicPartition tp = new TopicPartition("java-none", 0);
            try (KafkaConsumer<String, byte[]> c = consumer()) {
                c.assign(List.of(tp));
                c.seek(tp, 1_000_000);
                for (int i = 0; i < 20; i++) c.poll(Duration.ofMillis(500));
                throw new AssertionError("no exception");
            } catch (org.apache.kafka.clients.consumer.OffsetOutOfRangeException e) {
                equal(Set.of(tp), e.partitions());
            }
        });
        check("an unknown topic, no auto-creation", () -> {
            try (KafkaConsumer<String, byte[]> c = consumer("allow.auto.create.topics", "false")) {
                equal(List.of(), c.partitionsFor("java-not-there"));
                holds(c.listTopics().containsKey("java-none"), "listTopics");
                holds(!c.listTopics().containsKey("java-not-there"), "listTopics");
            }
        });
        check("an invalid topic name", () -> {
            try (KafkaProducer<String, byte[]> p = producer()) {
                fails(InvalidTopicException.class, p.send(new ProducerRecord<>("no such/topic", value(1))));
            }
        });
        check("read committed", () -> {
            TopicPartition tp = new TopicPartition("java-zstd", 0);
            try (KafkaConsumer<String, byte[]> c = consumer("isolation.level", "read_committed")) {
                c.assign(List.of(tp));
                c.seek(tp, 0);
                read(c, 2000);
            }
        });
    }

    static void topics(Admin a) {
        check("createTopics", () -> {
            CreateTopicsResult r = a.createTopics(List.of(new NewTopic("adm", 3, (short) 1).configs(Map.of("retention.ms", "60000", "cleanup.policy", "delete")),
                new NewTopic("adm-placed", Map.of(0, List.of(1), 1, List.of(1))), new NewTopic("adm-default", Optional.empty(), Optional.empty())));
            get(r.all());
            equal(3, get(r.numPartitions("adm")));
            equal("60000", get(r.config("adm")).get("retention.ms").value());
            holds(!get(r.topicId("adm")).equals(Uuid.ZERO_UUID), "a topic id");
        });
        check("createTopics, refused", () -> {
            fails(TopicExistsException.class, a.createTopics(List.of(new NewTopic("adm", 3, (short) 1))).all());
            fails(InvalidReplicationFactorException.class, a.createTopics(List.of(new NewTopic("adm-3", 1, (short) 3))).all());
            fails(InvalidPartitionsException.class, a.createTopics(List.of(new NewTopic("adm-0", 0, (short) 1))).all());
            fails(InvalidTopicException.class, a.createTopics(List.of(new NewTopic("a/b", 1, (short) 1))).all());
            fails(InvalidConfigurationException.class,
                a.createTopics(List.of(new NewTopic("adm-c", 1, (short) 1).configs(Map.of("retention.ms", "soon")))).all());
            fails(InvalidReplicaAssignmentException.class, a.createTopics(List.of(new NewTopic("adm-p", Map.of(0, List.of(7))))).all());
            get(a.createTopics(List.of(new NewTopic("adm-v", 1, (short) 1)), new CreateTopicsOptions().validateOnly(true)).all());
            holds(!get(a.listTopics().names()).contains("adm-v"), "validateOnly made it");
        });
        check("listTopics, describeTopics by name and id", () -> {
            Uuid id = null;
            for (TopicListing t : get(a.listTopics().listings())) if (t.name().equals("adm")) id = t.topicId();
            TopicDescription byName = get(a.describeTopics(List.of("adm")).allTopicNames()).get("adm");
            TopicDescription byId = get(a.describeTopics(TopicCollection.ofTopicIds(List.of(id))).allTopicIds()).get(id);
            equal(byName.topicId(), byId.topicId());
            equal(byName.name(), byId.name());
            equal(byName.partitions().get(1).leader(), byId.partitions().get(1).leader());
            equal(3, byName.partitions().size());
            equal(1, byName.partitions().get(2).leader().id());
            equal(1, byName.partitions().get(2).isr().size());
            fails(UnknownTopicOrPartitionException.class, a.describeTopics(List.of("adm-not")).allTopicNames());
            fails(UnknownTopicIdException.class, a.describeTopics(TopicCollection.ofTopicIds(List.of(Uuid.randomUuid()))).allTopicIds());
        });
        check("createPartitions", () -> {
            get(a.createPartitions(Map.of("adm", NewPartitions.increaseTo(5))).all());
            seen(() -> equal(5, get(a.describeTopics(List.of("adm")).allTopicNames()).get("adm").partitions().size()));
            fails(InvalidPartitionsException.class, a.createPartitions(Map.of("adm", NewPartitions.increaseTo(2))).all());
        });
        check("describeTopics with a small page", () ->
            equal(5, get(a.describeTopics(List.of("adm", "adm-placed"), new DescribeTopicsOptions().partitionSizeLimitPerResponse(2)).allTopicNames())
                .get("adm").partitions().size()));
    }

    static void configs(Admin a) {
        ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, "adm"), broker = new ConfigResource(ConfigResource.Type.BROKER, "1"),
            all = new ConfigResource(ConfigResource.Type.BROKER, "");
        check("incrementalAlterConfigs of a topic", () -> {
            get(a.incrementalAlterConfigs(Map.of(topic, List.of(new AlterConfigOp(new ConfigEntry("segment.ms", "90000"), AlterConfigOp.OpType.SET),
                new AlterConfigOp(new ConfigEntry("cleanup.policy", "compact"), AlterConfigOp.OpType.APPEND)))).all());
            seen(() -> {
                Config c = get(a.describeConfigs(List.of(topic)).all()).get(topic);
                equal("90000", c.get("segment.ms").value());
                equal(ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, c.get("segment.ms").source());
                equal("delete,compact", c.get("cleanup.policy").value());
            });
            get(a.incrementalAlterConfigs(Map.of(topic, List.of(new AlterConfigOp(new ConfigEntry("cleanup.policy", "compact"), AlterConfigOp.OpType.SUBTRACT),
                new AlterConfigOp(new ConfigEntry("segment.ms", ""), AlterConfigOp.OpType.DELETE)))).all());
            seen(() -> {
                Config c = get(a.describeConfigs(List.of(topic)).all()).get(topic);
                equal("delete", c.get("cleanup.policy").value());
                equal(ConfigEntry.ConfigSource.DEFAULT_CONFIG, c.get("segment.ms").source());
            });
            fails(InvalidConfigurationException.class, a.incrementalAlterConfigs(Map.of(topic,
                List.of(new AlterConfigOp(new ConfigEntry("no.such.setting", "1"), AlterConfigOp.OpType.SET)))).all());
        });
        check("incrementalAlterConfigs of a broker and of all", () -> {
            for (ConfigResource r : List.of(broker, all)) {
                get(a.incrementalAlterConfigs(Map.of(r, List.of(new AlterConfigOp(new ConfigEntry("log.retention.ms", "7200000"), AlterConfigOp.OpType.SET)))).all());
            }
            seen(() -> {
                ConfigEntry e = get(a.describeConfigs(List.of(broker), new DescribeConfigsOptions().includeSynonyms(true)).all()).get(broker).get("log.retention.ms");
                equal("7200000", e.value());
                equal(ConfigEntry.ConfigSource.DYNAMIC_BROKER_CONFIG, e.source());
                equal(ConfigEntry.ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG, e.synonyms().get(1).source());
            });
            for (ConfigResource r : List.of(broker, all)) {
                get(a.incrementalAlterConfigs(Map.of(r, List.of(new AlterConfigOp(new ConfigEntry("log.retention.ms", null), AlterConfigOp.OpType.DELETE)))).all());
            }
        });
        check("describeConfigs with documentation", () -> {
            ConfigEntry e = get(a.describeConfigs(List.of(topic), new DescribeConfigsOptions().includeDocumentation(true)).all()).get(topic).get("retention.ms");
            equal(ConfigEntry.ConfigType.LONG, e.type());
            equal("60000", e.value());
        });
    }

    static void cluster(Admin a) {
        TopicPartition tp = new TopicPartition("java-none", 0);
        check("describeCluster", () -> {
            DescribeClusterResult r = a.describeCluster();
            equal(1, get(r.nodes()).size());
            equal(1, get(r.controller()).id());
            equal(22, get(r.clusterId()).length());
            equal(get(r.nodes()).iterator().next(), get(r.controller()));
        });
        check("describeFeatures", () -> {
            FeatureMetadata f = get(a.describeFeatures().featureMetadata());
            holds(f.finalizedFeatures().containsKey("metadata.version") && f.supportedFeatures().containsKey("kraft.version"), f.toString());
        });
        check("describeMetadataQuorum", () -> {
            QuorumInfo q = get(a.describeMetadataQuorum().quorumInfo());
            equal(1, q.leaderId());
            equal(1, q.voters().size());
            holds(q.highWatermark() > 0, "a high watermark");
        });
        check("describeLogDirs, describeReplicaLogDirs", () -> {
            Map<String, LogDirDescription> dirs = get(a.describeLogDirs(List.of(1)).allDescriptions()).get(1);
            equal(1, dirs.size());
            LogDirDescription d = dirs.values().iterator().next();
            equal(null, d.error());
            holds(d.replicaInfos().get(tp).size() > 0, "a replica's size");
            holds(d.totalBytes().getAsLong() >= d.usableBytes().getAsLong() && d.usableBytes().getAsLong() > 0, "the volume's sizes");
            TopicPartitionReplica rep = new TopicPartitionReplica("java-none", 0, 1);
            equal(dirs.keySet().iterator().next(), get(a.describeReplicaLogDirs(List.of(rep)).all()).get(rep).getCurrentReplicaLogDir());
        });
        check("listOffsets", () -> {
            Map<OffsetSpec, Long> want = new LinkedHashMap<>();
            want.put(OffsetSpec.earliest(), 0L);
            want.put(OffsetSpec.latest(), 2000L);
            want.put(OffsetSpec.maxTimestamp(), 1999L);
            want.put(OffsetSpec.forTimestamp(T0 + 100), 100L);
            want.put(OffsetSpec.forTimestamp(T0 + 100_000), -1L);
            want.put(OffsetSpec.earliestLocal(), 0L);
            want.put(OffsetSpec.latestTiered(), -1L);
            for (Map.Entry<OffsetSpec, Long> w : want.entrySet()) equal(w.getValue(), get(a.listOffsets(Map.of(tp, w.getKey())).all()).get(tp).offset());
        });
        check("describeProducers", () -> equal(1999, get(a.describeProducers(List.of(tp)).all()).get(tp).activeProducers().get(0).lastSequence()));
        check("deleteRecords", () -> {
            equal(50L, get(a.deleteRecords(Map.of(tp, RecordsToDelete.beforeOffset(50))).lowWatermarks().get(tp)).lowWatermark());
            equal(50L, get(a.listOffsets(Map.of(tp, OffsetSpec.earliest())).all()).get(tp).offset());
            fails(org.apache.kafka.common.errors.OffsetOutOfRangeException.class, a.deleteRecords(Map.of(tp, RecordsToDelete.beforeOffset(5000))).all());
            equal(2000L, get(a.deleteRecords(Map.of(tp, RecordsToDelete.beforeOffset(-1))).lowWatermarks().get(tp)).lowWatermark());
        });
        check("deleteTopics by name and id", () -> {
            Uuid id = get(a.describeTopics(List.of("adm-placed")).allTopicNames()).get("adm-placed").topicId();
            get(a.deleteTopics(List.of("adm", "adm-default")).all());
            get(a.deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all());
            fails(UnknownTopicOrPartitionException.class, a.deleteTopics(List.of("adm")).all());
            fails(UnknownTopicIdException.class, a.deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all());
            for (String t : get(a.listTopics().names())) holds(!t.startsWith("adm"), t + " is still there");
        });
    }

    public static void main(String[] args) {
        servers = args[0];
        clients();
        try (Admin a = Admin.create(Map.of("bootstrap.servers", servers))) {
            topics(a);
            configs(a);
            cluster(a);
        }
        System.exit(failed ? 1 : 0);
    }
}
