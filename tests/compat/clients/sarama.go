// sarama against one node: an idempotent producer and a consumer of one partition with every codec, and the cluster admin.
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/IBM/sarama"
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

func config(codec sarama.CompressionCodec) *sarama.Config {
	c := sarama.NewConfig()
	c.Version = sarama.MaxVersion
	c.Producer.Return.Successes = true
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Idempotent = true
	c.Net.MaxOpenRequests = 1
	c.Producer.Compression = codec
	c.Producer.Partitioner = sarama.NewManualPartitioner
	return c
}

func roundTrip(servers []string, codec sarama.CompressionCodec) error {
	topic := "sarama-" + codec.String()
	p, err := sarama.NewSyncProducer(servers, config(codec))
	if err != nil {
		return err
	}
	defer p.Close()
	var all []*sarama.ProducerMessage
	for i := 0; i < 500; i++ {
		all = append(all, &sarama.ProducerMessage{Topic: topic, Partition: 0, Key: sarama.StringEncoder(fmt.Sprint("k", i)),
			Value: sarama.StringEncoder(fmt.Sprint("v", i)), Headers: []sarama.RecordHeader{{Key: []byte("h"), Value: []byte{byte(i)}}}})
	}
	if err := p.SendMessages(all); err != nil {
		return err
	}
	c, err := sarama.NewConsumer(servers, config(codec))
	if err != nil {
		return err
	}
	defer c.Close()
	pc, err := c.ConsumePartition(topic, 0, sarama.OffsetOldest)
	if err != nil {
		return err
	}
	defer pc.Close()
	for i := 0; i < 500; i++ {
		select {
		case m := <-pc.Messages():
			if m.Offset != int64(i) || string(m.Key) != fmt.Sprint("k", i) || string(m.Value) != fmt.Sprint("v", i) || m.Headers[0].Value[0] != byte(i) {
				return fmt.Errorf("record %d came as %d %s %s", i, m.Offset, m.Key, m.Value)
			}
		case <-time.After(30 * time.Second):
			return fmt.Errorf("no record %d for 30 s", i)
		}
	}
	return nil
}

func admin(servers []string) error {
	a, err := sarama.NewClusterAdmin(servers, config(sarama.CompressionNone))
	if err != nil {
		return err
	}
	defer a.Close()
	ms := "60000"
	if err := a.CreateTopic("sarama-adm", &sarama.TopicDetail{NumPartitions: 2, ReplicationFactor: 1, ConfigEntries: map[string]*string{"retention.ms": &ms}}, false); err != nil {
		return err
	}
	if err := a.CreatePartitions("sarama-adm", 4, nil, false); err != nil {
		return err
	}
	topics, err := a.ListTopics()
	if err != nil || topics["sarama-adm"].NumPartitions != 4 || *topics["sarama-adm"].ConfigEntries["retention.ms"] != ms {
		return fmt.Errorf("ListTopics: %v %v", topics["sarama-adm"], err)
	}
	entries, err := a.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: "sarama-adm", ConfigNames: []string{"retention.ms"}})
	if err != nil || len(entries) != 1 || entries[0].Value != ms {
		return fmt.Errorf("DescribeConfig: %v %v", entries, err)
	}
	brokers, controller, err := a.DescribeCluster()
	if err != nil || len(brokers) != 1 || controller != brokers[0].ID() {
		return fmt.Errorf("DescribeCluster: %v %v %v", brokers, controller, err)
	}
	if err := a.DeleteRecords("sarama-none", map[int32]int64{0: 100}); err != nil {
		return err
	}
	if dirs, err := a.DescribeLogDirs([]int32{1}); err != nil || len(dirs[1]) != 1 {
		return fmt.Errorf("DescribeLogDirs: %v %v", dirs, err)
	}
	if err := a.DeleteTopic("sarama-adm"); err != nil {
		return err
	}
	if err := a.DeleteTopic("sarama-adm"); err == nil {
		return fmt.Errorf("a topic that is gone was deleted")
	}
	return nil
}

func main() {
	servers := []string{os.Args[1]}
	for _, c := range []sarama.CompressionCodec{sarama.CompressionNone, sarama.CompressionGZIP, sarama.CompressionSnappy, sarama.CompressionLZ4, sarama.CompressionZSTD} {
		check("produce and fetch, "+c.String(), func() error { return roundTrip(servers, c) })
	}
	check("admin", func() error { return admin(servers) })
	if failed {
		os.Exit(1)
	}
}
