// sarama against one node: an idempotent producer and a consumer of one partition with every codec, the cluster admin, and groups: two
// members share four partitions and read all records, once; a third goes on where they committed.
package main

import (
	"context"
	"fmt"
	"os"
	"sync"
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
	var topics map[string]sarama.TopicDetail
	var err2 error
	if err := wait("four partitions", func() bool { // the controller has answered, the broker may not know it yet
		topics, err2 = a.ListTopics()
		return err2 != nil || topics["sarama-adm"].NumPartitions == 4
	}); err != nil {
		return err
	}
	if err2 != nil || *topics["sarama-adm"].ConfigEntries["retention.ms"] != ms {
		return fmt.Errorf("ListTopics: %v %v", topics["sarama-adm"], err2)
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

type member struct {
	sync.Mutex
	group sarama.ConsumerGroup
	owned int
	read  map[string]int
	ended chan error
}

func (m *member) Setup(s sarama.ConsumerGroupSession) error {
	m.Lock()
	defer m.Unlock()
	m.owned = len(s.Claims()["sarama-group"])
	return nil
}
func (m *member) Cleanup(s sarama.ConsumerGroupSession) error { return nil }
func (m *member) ConsumeClaim(s sarama.ConsumerGroupSession, c sarama.ConsumerGroupClaim) error {
	for msg := range c.Messages() {
		m.Lock()
		m.read[fmt.Sprint(msg.Partition, " ", msg.Offset)]++
		m.Unlock()
		s.MarkMessage(msg, "")
	}
	return nil
}

func (m *member) has() (owned, read int) {
	m.Lock()
	defer m.Unlock()
	return m.owned, len(m.read)
}

func join(servers []string, strategy sarama.BalanceStrategy) (*member, error) {
	c := config(sarama.CompressionNone)
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Offsets.AutoCommit.Interval = 100 * time.Millisecond
	c.Consumer.Group.Heartbeat.Interval = 500 * time.Millisecond
	c.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{strategy}
	g, err := sarama.NewConsumerGroup(servers, "sarama-"+strategy.Name(), c)
	if err != nil {
		return nil, err
	}
	m := &member{group: g, read: map[string]int{}, ended: make(chan error, 1)}
	go func() {
		for {
			if err := g.Consume(context.Background(), []string{"sarama-group"}, m); err != nil {
				m.ended <- err
				return
			}
		}
	}()
	return m, nil
}

func (m *member) leave() error {
	if err := m.group.Close(); err != nil {
		return err
	}
	if err := <-m.ended; err != sarama.ErrClosedConsumerGroup {
		return err
	}
	return nil
}

func wait(what string, f func() bool) error {
	for end := time.Now().Add(time.Minute); !f(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("waited a minute: %s", what)
		}
	}
	return nil
}

func produceGroup(servers []string, count int) error {
	p, err := sarama.NewSyncProducer(servers, config(sarama.CompressionNone))
	if err != nil {
		return err
	}
	defer p.Close()
	var all []*sarama.ProducerMessage
	for i := 0; i < 4*count; i++ {
		all = append(all, &sarama.ProducerMessage{Topic: "sarama-group", Partition: int32(i % 4), Value: sarama.StringEncoder(fmt.Sprint(i))})
	}
	return p.SendMessages(all)
}

// From record `first` of each partition; 300 more are produced to two members, and 50 to the one that comes after them.
func group(servers []string, strategy sarama.BalanceStrategy, first int) error {
	a, err := sarama.NewClusterAdmin(servers, config(sarama.CompressionNone))
	if err != nil {
		return err
	}
	defer a.Close()
	one, err := join(servers, strategy)
	if err != nil {
		return err
	}
	two, err := join(servers, strategy)
	if err != nil {
		return err
	}
	if err := wait("each has two", func() bool { a, _ := one.has(); b, _ := two.has(); return a == 2 && b == 2 }); err != nil {
		return err
	}
	if err := produceGroup(servers, 300); err != nil {
		return err
	}
	total := first + 300
	if err := wait("all is read", func() bool { _, a := one.has(); _, b := two.has(); return a+b >= 4*total }); err != nil {
		return err
	}
	if err := one.leave(); err != nil {
		return err
	}
	if err := two.leave(); err != nil {
		return err
	}
	for p := 0; p < 4; p++ {
		for o := 0; o < total; o++ {
			at := fmt.Sprint(p, " ", o)
			if one.read[at]+two.read[at] != 1 {
				return fmt.Errorf("record %s was read %d times", at, one.read[at]+two.read[at])
			}
		}
	}
	three, err := join(servers, strategy)
	if err != nil {
		return err
	}
	if err := produceGroup(servers, 50); err != nil {
		return err
	}
	if err := wait("the rest is read", func() bool { _, n := three.has(); return n >= 200 }); err != nil {
		return err
	}
	if err := three.leave(); err != nil {
		return err
	}
	if len(three.read) != 200 || three.read[fmt.Sprint("0 ", total)] != 1 {
		return fmt.Errorf("%d records were read from where the group was", len(three.read))
	}
	name := "sarama-" + strategy.Name()
	told, err := a.ListConsumerGroupOffsets(name, map[string][]int32{"sarama-group": {0, 1, 2, 3}})
	if err != nil || told.GetBlock("sarama-group", 3).Offset != int64(total+50) {
		return fmt.Errorf("ListConsumerGroupOffsets: %v %v", told, err)
	}
	groups, err := a.DescribeConsumerGroups([]string{name})
	if err != nil || groups[0].State != "Empty" {
		return fmt.Errorf("DescribeConsumerGroups: %v %v", groups, err)
	}
	if err := a.DeleteConsumerGroup(name); err != nil {
		return err
	}
	left, err := a.ListConsumerGroups()
	if _, there := left[name]; err != nil || there {
		return fmt.Errorf("ListConsumerGroups: %v %v", left, err)
	}
	return nil
}

func groups(servers []string) {
	check("group, its topic", func() error {
		a, err := sarama.NewClusterAdmin(servers, config(sarama.CompressionNone))
		if err != nil {
			return err
		}
		defer a.Close()
		return a.CreateTopic("sarama-group", &sarama.TopicDetail{NumPartitions: 4, ReplicationFactor: 1}, false)
	})
	for i, s := range []sarama.BalanceStrategy{sarama.NewBalanceStrategyRange(), sarama.NewBalanceStrategyRoundRobin(), sarama.NewBalanceStrategySticky()} {
		check("group, "+s.Name(), func() error { return group(servers, s, 350*i) })
	}
}

func main() {
	servers := []string{os.Args[1]}
	for _, c := range []sarama.CompressionCodec{sarama.CompressionNone, sarama.CompressionGZIP, sarama.CompressionSnappy, sarama.CompressionLZ4, sarama.CompressionZSTD} {
		check("produce and fetch, "+c.String(), func() error { return roundTrip(servers, c) })
	}
	check("admin", func() error { return admin(servers) })
	groups(servers)
	if failed {
		os.Exit(1)
	}
}
