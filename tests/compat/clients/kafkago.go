// segmentio/kafka-go against one node: a writer and a reader of one partition with every codec, the admin calls of its client, and readers
// of a group: two share four partitions and read all records, once; a third goes on where they committed.
package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
)

var failed bool

func check(name string, f func() error) {
	if err := f(); err != nil {
		failed = true
		fmt.Printf("FAILED %s: %v\n", name, err)
	} else {
		fmt.Printf("ok %s\n", name)
	}
}

func create(ctx context.Context, server, topic string, partitions int) error {
	c := &kafka.Client{Addr: kafka.TCP(server), Timeout: 30 * time.Second}
	made, err := c.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{Topic: topic, NumPartitions: partitions, ReplicationFactor: 1}}})
	if err != nil || made.Errors[topic] != nil {
		return fmt.Errorf("CreateTopics: %v %v", made, err)
	}
	return nil
}

func roundTrip(ctx context.Context, server, name string, codec kafka.Compression) error {
	topic := "kafkago-" + name
	if err := create(ctx, server, topic, 1); err != nil { // its writer does not wait for a topic that is made on demand, with Kafka neither
		return err
	}
	w := &kafka.Writer{Addr: kafka.TCP(server), Topic: topic, RequiredAcks: kafka.RequireAll, Compression: codec, BatchTimeout: 5 * time.Millisecond}
	defer w.Close()
	var all []kafka.Message
	for i := 0; i < 500; i++ {
		all = append(all, kafka.Message{Key: []byte(fmt.Sprint("k", i)), Value: []byte(fmt.Sprint("v", i)), Headers: []kafka.Header{{Key: "h", Value: []byte{byte(i)}}}})
	}
	if err := w.WriteMessages(ctx, all...); err != nil {
		return err
	}
	r := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{server}, Topic: topic, Partition: 0, MaxWait: 500 * time.Millisecond})
	defer r.Close()
	for i := 0; i < 500; i++ {
		m, err := r.ReadMessage(ctx)
		if err != nil || m.Offset != int64(i) || string(m.Key) != fmt.Sprint("k", i) || string(m.Value) != fmt.Sprint("v", i) || m.Headers[0].Value[0] != byte(i) {
			return fmt.Errorf("record %d came as %d %s %s: %v", i, m.Offset, m.Key, m.Value, err)
		}
	}
	return nil
}

func admin(ctx context.Context, server string) error {
	c := &kafka.Client{Addr: kafka.TCP(server), Timeout: 30 * time.Second}
	if err := create(ctx, server, "kafkago-adm", 2); err != nil {
		return err
	}
	md, err := c.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{"kafkago-adm"}})
	if err != nil || len(md.Topics) != 1 || len(md.Topics[0].Partitions) != 2 || len(md.Brokers) != 1 {
		return fmt.Errorf("Metadata: %v %v", md, err)
	}
	altered, err := c.IncrementalAlterConfigs(ctx, &kafka.IncrementalAlterConfigsRequest{Resources: []kafka.IncrementalAlterConfigsRequestResource{{
		ResourceType: kafka.ResourceTypeTopic, ResourceName: "kafkago-adm",
		Configs: []kafka.IncrementalAlterConfigsRequestConfig{{Name: "retention.ms", Value: "60000", ConfigOperation: kafka.ConfigOperationSet}}}}})
	if err != nil || altered.Resources[0].Error != nil {
		return fmt.Errorf("IncrementalAlterConfigs: %v %v", altered, err)
	}
	told, err := c.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{{
		ResourceType: kafka.ResourceTypeTopic, ResourceName: "kafkago-adm", ConfigNames: []string{"retention.ms"}}}})
	if err != nil || told.Resources[0].ConfigEntries[0].ConfigValue != "60000" {
		return fmt.Errorf("DescribeConfigs: %v %v", told, err)
	}
	offsets, err := c.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{"kafkago-none": {kafka.FirstOffsetOf(0), kafka.LastOffsetOf(0)}}})
	if err != nil || offsets.Topics["kafkago-none"][0].FirstOffset != 0 || offsets.Topics["kafkago-none"][0].LastOffset != 500 {
		return fmt.Errorf("ListOffsets: %v %v", offsets, err)
	}
	if v, err := c.ApiVersions(ctx, &kafka.ApiVersionsRequest{}); err != nil || v.Error != nil {
		return fmt.Errorf("ApiVersions: %v %v", v, err)
	}
	gone, err := c.DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: []string{"kafkago-adm"}})
	if err != nil || gone.Errors["kafkago-adm"] != nil {
		return fmt.Errorf("DeleteTopics: %v %v", gone, err)
	}
	return nil
}

type member struct {
	sync.Mutex
	reader *kafka.Reader
	read   map[string]int
	ended  chan struct{}
}

func join(ctx context.Context, server string) *member {
	m := &member{read: map[string]int{}, ended: make(chan struct{}), reader: kafka.NewReader(kafka.ReaderConfig{Brokers: []string{server}, GroupID: "kafkago-group",
		Topic: "kafkago-group", StartOffset: kafka.FirstOffset, MaxWait: 200 * time.Millisecond, HeartbeatInterval: 500 * time.Millisecond,
		JoinGroupBackoff: 200 * time.Millisecond})}
	go func() {
		defer close(m.ended)
		for {
			got, err := m.reader.ReadMessage(ctx) // commits it
			if err != nil {
				return
			}
			m.Lock()
			m.read[fmt.Sprint(got.Partition, " ", got.Offset)]++
			m.Unlock()
		}
	}()
	return m
}

func (m *member) count() int {
	m.Lock()
	defer m.Unlock()
	return len(m.read)
}

func (m *member) leave() error {
	err := m.reader.Close()
	<-m.ended
	return err
}

func wait(what string, f func() bool) error {
	for end := time.Now().Add(time.Minute); !f(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("waited a minute: %s", what)
		}
	}
	return nil
}

func produceGroup(ctx context.Context, server string, count int) error {
	w := &kafka.Writer{Addr: kafka.TCP(server), Topic: "kafkago-group", RequiredAcks: kafka.RequireAll, Balancer: &kafka.RoundRobin{}, BatchTimeout: 5 * time.Millisecond}
	defer w.Close()
	var all []kafka.Message
	for i := 0; i < 4*count; i++ {
		all = append(all, kafka.Message{Value: []byte(fmt.Sprint(i))})
	}
	return w.WriteMessages(ctx, all...)
}

// What the group is, by its state, members and how many partitions each has.
func describe(ctx context.Context, c *kafka.Client) (string, []int, error) {
	told, err := c.DescribeGroups(ctx, &kafka.DescribeGroupsRequest{GroupIDs: []string{"kafkago-group"}})
	if err != nil || told.Groups[0].Error != nil {
		return "", nil, fmt.Errorf("DescribeGroups: %v %v", told, err)
	}
	var owned []int
	for _, m := range told.Groups[0].Members {
		n := 0
		for _, t := range m.MemberAssignments.Topics {
			n += len(t.Partitions)
		}
		owned = append(owned, n)
	}
	return told.Groups[0].GroupState, owned, nil
}

func group(ctx context.Context, server string) error {
	c := &kafka.Client{Addr: kafka.TCP(server), Timeout: 30 * time.Second}
	if err := create(ctx, server, "kafkago-group", 4); err != nil {
		return err
	}
	one, two := join(ctx, server), join(ctx, server)
	if err := wait("each has two", func() bool {
		state, owned, err := describe(ctx, c)
		return err == nil && state == "Stable" && len(owned) == 2 && owned[0] == 2 && owned[1] == 2
	}); err != nil {
		return err
	}
	if err := produceGroup(ctx, server, 50); err != nil {
		return err
	}
	if err := wait("all is read", func() bool { return one.count()+two.count() >= 200 }); err != nil {
		return err
	}
	if err := one.leave(); err != nil {
		return err
	}
	if err := two.leave(); err != nil {
		return err
	}
	for p := 0; p < 4; p++ {
		for o := 0; o < 50; o++ {
			at := fmt.Sprint(p, " ", o)
			if one.read[at]+two.read[at] != 1 {
				return fmt.Errorf("record %s was read %d times", at, one.read[at]+two.read[at])
			}
		}
	}
	three := join(ctx, server)
	if err := produceGroup(ctx, server, 10); err != nil {
		return err
	}
	if err := wait("the rest is read", func() bool { return three.count() >= 40 }); err != nil {
		return err
	}
	if err := three.leave(); err != nil {
		return err
	}
	if len(three.read) != 40 || three.read["0 50"] != 1 {
		return fmt.Errorf("%d records were read from where the group was", len(three.read))
	}
	told, err := c.OffsetFetch(ctx, &kafka.OffsetFetchRequest{GroupID: "kafkago-group", Topics: map[string][]int{"kafkago-group": {0, 1, 2, 3}}})
	if err != nil || told.Error != nil || told.Topics["kafkago-group"][3].CommittedOffset != 60 {
		return fmt.Errorf("OffsetFetch: %v %v", told, err)
	}
	if state, owned, err := describe(ctx, c); err != nil || state != "Empty" || len(owned) != 0 {
		return fmt.Errorf("DescribeGroups: %v %v %v", state, owned, err)
	}
	gone, err := c.DeleteGroups(ctx, &kafka.DeleteGroupsRequest{GroupIDs: []string{"kafkago-group"}})
	if err != nil || gone.Errors["kafkago-group"] != nil {
		return fmt.Errorf("DeleteGroups: %v %v", gone, err)
	}
	return nil
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	server := os.Args[1]
	for _, c := range []struct {
		name  string
		codec kafka.Compression
	}{{"none", 0}, {"gzip", kafka.Gzip}, {"snappy", kafka.Snappy}, {"lz4", kafka.Lz4}, {"zstd", kafka.Zstd}} {
		check("produce and fetch, "+c.name, func() error { return roundTrip(ctx, server, c.name, c.codec) })
	}
	check("admin", func() error { return admin(ctx, server) })
	check("group", func() error { return group(ctx, server) })
	if failed {
		os.Exit(1)
	}
}
